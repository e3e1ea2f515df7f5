"""`ofapi keys`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from scripts.cli.frame import App, CliError, emit, opened_store, table
from scripts.cli.teams import find_team

if TYPE_CHECKING:
    from ofapi_store.queries.keys import KeyRow

app = App()
TeamOption = Annotated[str, typer.Option("--team", "-t", help="Slug or id of the team.")]


def as_json(key: KeyRow) -> dict[str, Any]:
    return {
        "id": key.id,
        "team_id": key.team_id,
        "name": key.name,
        "hint": f"…{key.hint}",
        "scopes": sorted(key.scopes),
        "account_ids": None if key.account_ids is None else sorted(key.account_ids),
        "created_at": key.created_at,
        "last_used_at": key.last_used_at,
        "revoked_at": key.revoked_at,
    }


@app.command("create")
def create(
    team: TeamOption,
    name: Annotated[str, typer.Option(help="What the key is for.")] = "key",
    scope: Annotated[list[str] | None, typer.Option(help="read, write or delete; repeat it.  [default: all]")] = None,
    account: Annotated[
        list[str] | None, typer.Option(help="Account that the key may use; repeat it.  [default: all of the team]")
    ] = None,
) -> None:
    """Make an API key. The key itself is shown now and never again."""
    from ofapi_store.errors import BadValue
    from ofapi_store.queries import accounts, keys

    with opened_store() as store, store.write() as conn:
        found = find_team(conn, team)
        own = {a.id for a in accounts.list_for_team(conn, found.id)}
        if foreign := sorted(set(account or ()) - own):
            raise CliError("account_not_found", f"team {found.slug} has no account {foreign[0]}")
        try:
            key, token = keys.create(
                conn, found.id, name=name, scopes=scope or keys.SCOPES, account_ids=account or None
            )
        except BadValue as e:
            raise CliError("bad_value", str(e)) from e
    emit({**as_json(key), "api_key": token}, f"{token}\n(key {key.id} of team {found.slug}; it is not shown again)")


@app.command("list")
def list_(
    team: Annotated[str | None, typer.Option("--team", "-t", help="Slug or id of a team.  [default: all]")] = None,
    revoked: Annotated[bool, typer.Option("--revoked", help="Revoked ones too.")] = False,
) -> None:
    """API keys, by their last characters."""
    from ofapi_store.queries import keys, teams

    with opened_store() as store, store.read() as conn:
        owners = [find_team(conn, team)] if team else teams.list_all(conn)
        found = [(o, k) for o in owners for k in keys.list_for_team(conn, o.id, revoked=revoked)]
    rows = [{"team": owner.slug, **as_json(key)} for owner, key in found]
    columns = ["id", "team", "name", "hint", "scopes", "account_ids", "last_used_at"] + ["revoked_at"] * revoked
    emit(rows, table(rows, columns, empty="no keys"))


@app.command("revoke")
def revoke(key_id: Annotated[str, typer.Argument(help="Id of the key (`ofapi keys list`).")]) -> None:
    """Revoke a key; works within a second."""
    from ofapi_store.queries import keys

    with opened_store() as store, store.write() as conn:
        if not keys.revoke(conn, key_id):
            raise CliError("key_not_found", f"there is no live key {key_id!r}; `ofapi keys list` shows them")
    emit({"id": key_id, "revoked": True}, f"{key_id} revoked")
