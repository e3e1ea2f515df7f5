"""The demo's two teams, their keys and their accounts, made once and kept."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scripts.cli.children import write_atomically
from scripts.cli.frame import open_secrets, opened_store

if TYPE_CHECKING:
    from addons.config import Config

CREDITS = 1_000_000
TEAMS = ("demo", "other")


@dataclass(frozen=True, slots=True)
class Seeded:
    api_key: str
    account: str
    other_api_key: str
    other_account: str


def seed(config: Config, logins: list[dict[str, Any]], keys_file: Path) -> Seeded:
    """Two teams with an account each. API keys are shown once by the store, so the demo keeps its own in `keys_file`.

    `logins`: as the simulator gives them (`auth_id, cookies, user_agent, xbc, id, username, name`).
    """
    from ofapi_store.queries import accounts, keys, teams
    from ofapi_store.queries import credits as ledger

    box = open_secrets(config)
    known: dict[str, str] = json.loads(keys_file.read_text(encoding="utf-8")) if keys_file.exists() else {}
    out: list[str] = []
    with opened_store(config) as store, store.write() as conn:
        for slug, login in zip(TEAMS, logins, strict=False):
            team = teams.by_slug(conn, slug) or teams.create(conn, slug=slug)
            ledger.grant(conn, team.id, CREDITS, ref="demo", note="demo")
            secret = box.encrypt_json({k: login[k] for k in ("auth_id", "cookies", "user_agent", "xbc")})
            user = str(login["id"])
            row = accounts.live_of_user(conn, team.id, user)
            values = {"login": secret, "username": login["username"], "onlyfans_id": user, "state": "authenticated"}
            if row is None:
                row = accounts.create(conn, team.id, display_name=login["name"], **values)
            else:
                accounts.change(conn, row.id, **values)
            if slug not in known or not any(k.hint == known[slug][-4:] for k in keys.list_for_team(conn, team.id)):
                known[slug] = keys.create(conn, team.id, name="demo")[1]
            out += [known[slug], row.id]
    write_atomically(keys_file, json.dumps(known))
    return Seeded(*out)
