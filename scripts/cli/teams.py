"""`ofapi teams`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from scripts.cli.frame import App, CliError, emit, open_config, opened_store, table

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from addons.config import Config
    from ofapi_store.queries.teams import TeamRow

app = App()
MOST = 1_000_000_000
TeamArg = Annotated[str, typer.Argument(help="Slug or id of the team.")]


def find_team(conn: Connection, name: str) -> TeamRow:
    """The team of that slug or id. Raises CliError naming those that exist."""
    from ofapi_store.queries import teams

    found = teams.by_slug(conn, name) or teams.by_id(conn, name)
    if found is None:
        known = (
            ", ".join(t.slug for t in teams.list_all(conn)[:20]) or "none yet; make one with `ofapi teams create SLUG`"
        )
        raise CliError("team_not_found", f"there is no team {name!r}; teams: {known}")
    return found


def as_json(team: TeamRow, config: Config) -> dict[str, Any]:
    return {
        "id": team.id,
        "slug": team.slug,
        "name": team.name,
        "requests_per_minute": team.requests_per_minute or config.limits.requests_per_minute,
        "own_limit": team.requests_per_minute > 0,
        "credits": team.credit_balance,
        "created_at": team.created_at,
    }


@app.command("create")
def create(
    slug: Annotated[str, typer.Argument(help="Lower-case letters, digits and dashes.")],
    name: Annotated[str | None, typer.Option(help="Name for people.  [default: the slug]")] = None,
    requests_per_minute: Annotated[
        int | None, typer.Option(min=1, max=MOST, help="Rate limit.  [default: limits.requests_per_minute]")
    ] = None,
    credits: Annotated[
        int | None, typer.Option(min=0, max=MOST, help="Credits.  [default: credits.initial_balance]")
    ] = None,
) -> None:
    """Make a team and grant it its first credits."""
    from ofapi_store.errors import BadValue
    from ofapi_store.queries import credits as ledger
    from ofapi_store.queries import teams

    config = open_config()
    with opened_store(config) as store, store.write() as conn:
        try:
            team = teams.create(conn, slug=slug, name=name, requests_per_minute=requests_per_minute or 0)
        except BadValue as e:
            raise CliError("bad_value", str(e)) from e
        amount = config.credits.initial_balance if credits is None else credits
        if amount:
            ledger.grant(conn, team.id, amount, ref="initial", note="first credits")
        made = teams.by_id(conn, team.id) or team
    shown = as_json(made, config)
    emit(shown, f"team {slug} ({team.id}), {amount} credits, {shown['requests_per_minute']} requests per minute")


@app.command("list")
def list_() -> None:
    """All teams with their balance."""
    from ofapi_store.queries import teams

    config = open_config()
    with opened_store(config) as store, store.read() as conn:
        rows = [as_json(t, config) for t in teams.list_all(conn)]
    emit(rows, table(rows, ["slug", "id", "name", "requests_per_minute", "credits"], empty="no teams"))


@app.command("credits")
def credits_(
    team: TeamArg,
    add: Annotated[int, typer.Option(min=-MOST, max=MOST, help="Credits to add; negative takes away.")] = 0,
    note: Annotated[str | None, typer.Option(help="Why, for the ledger.")] = None,
    ref: Annotated[str | None, typer.Option(help="Reference; the same one counts once, so a repeat is safe.")] = None,
) -> None:
    """Show a team's balance, or add credits to it."""
    from ofapi_store.queries import credits as ledger

    with opened_store() as store, store.write() as conn:
        found = find_team(conn, team)
        if add:
            ledger.grant(conn, found.id, add, kind="grant" if add > 0 else "adjust", note=note, ref=ref)
        left = ledger.balance(conn, found.id)
    emit({"team": found.slug, "id": found.id, "credits": left}, f"{found.slug}: {left} credits")


@app.command("limit")
def limit_(
    team: TeamArg,
    requests_per_minute: Annotated[int | None, typer.Argument(min=1, max=MOST, help="Requests per minute.")] = None,
    default: Annotated[
        bool, typer.Option("--default", help="No limit of its own: `limits.requests_per_minute` of the config.")
    ] = False,
) -> None:
    """Set a team's rate limit; works within a second."""
    from ofapi_store.queries import teams

    if default is (requests_per_minute is not None):
        raise CliError("bad_value", "name a number of requests per minute, or --default", exit_code=2)
    config = open_config()
    with opened_store(config) as store, store.write() as conn:
        found = find_team(conn, team)
        teams.set_requests_per_minute(conn, found.id, requests_per_minute or 0)
    limit = requests_per_minute or config.limits.requests_per_minute
    body = {"team": found.slug, "id": found.id, "requests_per_minute": limit, "own_limit": not default}
    emit(body, f"{found.slug}: {limit} requests per minute{', as the config says' if default else ''}")


@app.command("usage")
def usage(
    team: TeamArg,
    days: Annotated[int, typer.Option(min=1, max=366, help="How many days back.")] = 30,
    by: Annotated[str, typer.Option(help="day, account or endpoint.")] = "day",
) -> None:
    """What a team used its credits for."""
    from datetime import UTC, datetime, timedelta

    from ofapi_store.queries import credits as ledger

    if by not in ("day", "account", "endpoint"):
        raise CliError("bad_value", f"--by is day, account or endpoint, not {by!r}", exit_code=2)
    now = datetime.now(UTC)
    with opened_store() as store, store.read() as conn:
        found = find_team(conn, team)
        used = ledger.usage(conn, found.id, now - timedelta(days=days), now, group_by=by)  # type: ignore[arg-type]
    rows = [{by: u.group, "type": u.credit_type, "credits": u.credits, "requests": u.requests} for u in used]
    emit(rows, table(rows, [by, "type", "credits", "requests"], empty="nothing used"))


@app.command("revoke")
def revoke(team: TeamArg) -> None:
    """Revoke every API key of a team; accounts and data stay."""
    from ofapi_store.queries import keys

    with opened_store() as store, store.write() as conn:
        found = find_team(conn, team)
        gone = [k.id for k in keys.list_for_team(conn, found.id) if keys.revoke(conn, k.id)]
    emit({"team": found.slug, "id": found.id, "revoked_keys": gone}, f"{found.slug}: {len(gone)} keys revoked")
