"""A simulated upstream, services in front of it, and a team that logs accounts in."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from addons.config import Config
from addons.logins import given
from addons.logins.attempts import Attempts
from addons.logins.given import Given
from addons.pipeline.services import Services
from ofapi_store import testing
from ofapi_store.engine import Store
from ofapi_store.queries import accounts, auth
from ofapi_store.queries.accounts import AccountRow
from ofapi_store.queries.auth import AttemptRow
from ofapi_store.secrets import SecretBox
from scripts.simulator import Simulator
from scripts.simulator.model import Creator

TINY: dict[str, Any] = dict.fromkeys(("fans", "chats", "messages", "transactions", "posts", "media"), 1)


class Clock:
    """Time that tests move."""

    def __init__(self) -> None:
        self.now = datetime(2026, 5, 1, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def go(self, **by: float) -> None:
        self.now += timedelta(**by)


@dataclass
class Desk:
    """A team's logins: `start` as a client would, `row` and `account` to look at what became of it."""

    sim: Simulator
    services: Services
    team_id: str
    clock: Clock

    @property
    def creator(self) -> Creator:
        return self.sim.world.creators[0]

    @property
    def attempts(self) -> Attempts:
        return Attempts(self.services)

    def given(self, prefix: str = "", **body: Any) -> Given:
        login = {"email": prefix + self.creator.email, "password": self.creator.password}
        return given.start({**login, **body}, self.services.config)

    def session(self, **body: Any) -> Given:
        login = self.sim.creators[0]
        known = {k: str(login[k]) for k in ("auth_id", "cookies", "user_agent", "xbc")}
        return given.start({"auth_type": "raw_data", **known, **body}, self.services.config)

    async def start(self, prefix: str = "", **body: Any) -> str:
        return (await self.attempts.start(self.team_id, self.given(prefix, **body))).id

    def row(self, attempt_id: str) -> AttemptRow:
        with self.services.store.read() as conn:
            found = auth.by_id(conn, attempt_id)
        assert found is not None
        return found

    def account(self, attempt_id: str) -> AccountRow:
        with self.services.store.read() as conn:
            found = accounts.by_id(conn, self.row(attempt_id).account_id)
        assert found is not None
        return found

    def events(self) -> list[str]:
        with self.services.store.read() as conn:
            return [row[0] for row in conn.exec_driver_sql("SELECT event FROM events ORDER BY id")]

    def works(self, attempt_id: str) -> bool:
        """Whether upstream knows the login that the account got."""
        row = self.account(attempt_id)
        login = self.services.secrets.decrypt_json(row.login or "")
        headers = {"Cookie": login["cookies"], "User-Agent": login["user_agent"], "x-bc": login["xbc"]}
        return httpx.get(f"{self.sim.api_url}/api2/v2/users/me", headers=headers).status_code == 200


@pytest.fixture
def sim() -> Iterator[Simulator]:
    with Simulator.start(**TINY) as running:
        yield running


@pytest.fixture
def desk_of(sim: Simulator, tmp_path: Path, secret_box: SecretBox) -> Callable[..., Desk]:
    """Makes a desk over a store; `auth`: config values of that section. A webhook listens to all account events."""

    def make(store: Store, **sections: Mapping[str, Any]) -> Desk:
        jobs = {"poll_interval_s": 0.02, "backoff_s": 0.01, "backoff_max_s": 0.02, **sections.pop("jobs", {})}
        data = {"upstream": {"base_url": sim.api_url, "user_agent": "Ours/1.0"}, "jobs": jobs, **sections}
        clock = Clock()
        services = Services(Config.build(data, base=tmp_path), store, secret_box, clock)
        with store.write() as conn:
            team = testing.make_team(conn)
            listen(conn, team.id, clock.now)
        return Desk(sim, services, team.id, clock)

    return make


def listen(conn: Any, team_id: str, now: datetime) -> None:
    """Events are only written where a webhook wants them."""
    from ofapi_store.models.webhooks import Webhook

    names = ("connected", "reconnected", "authentication_failed", "otp_code_required", "face_otp_required")
    conn.execute(
        Webhook.__table__.insert(),  # type: ignore[attr-defined]
        {
            "id": "wh_logins",
            "team_id": team_id,
            "url": "https://example.com/",
            "events": [f"accounts.{name}" for name in names],
            "account_scope": "global",
            "account_ids": [],
            "enabled": True,
            "state": "active",
            "created_at": now - timedelta(days=1),
            "updated_at": now,
        },
    )


@pytest.fixture
def desk(sqlite_store: Store, desk_of: Callable[..., Desk]) -> Desk:
    return desk_of(sqlite_store)
