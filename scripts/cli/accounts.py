"""`ofapi accounts`."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scripts.cli.frame import App, CliError, emit, open_config, open_secrets, opened_store, table
from scripts.cli.teams import find_team

if TYPE_CHECKING:
    from addons.config import Config
    from ofapi_store.queries.accounts import AccountRow

app = App()
AccountArg = Annotated[str, typer.Argument(help="Id of the account (acct_…).")]


def as_json(account: AccountRow) -> dict[str, Any]:
    return {
        "id": account.id,
        "team_id": account.team_id,
        "display_name": account.display_name,
        "username": account.username,
        "onlyfans_id": account.onlyfans_id,
        "state": account.state,
        "created_at": account.created_at,
        "updated_at": account.updated_at,
    }


def _read_text(source: str) -> str:
    """A file, or standard input (`-`). Raises CliError."""
    try:
        return (sys.stdin.read() if source == "-" else Path(source).read_text(encoding="utf-8")).strip()
    except (OSError, UnicodeDecodeError) as e:
        raise CliError("file_unreadable", f"{source} cannot be read: {type(e).__name__}") from None


def read_login(source: str, *, user_agent: str | None, xbc: str | None) -> dict[str, str]:
    """A login from a file or standard input (`-`): JSON with `cookies`, `user_agent`, `x_bc`, or a bare cookie header.

    Raises CliError; its text never repeats the input.
    """
    text = _read_text(source)
    try:
        found = json.loads(text) if text.lstrip().startswith("{") else {"cookies": text.strip()}
    except json.JSONDecodeError as e:
        raise CliError(
            "bad_login", f"{source} begins like JSON and is none: line {e.lineno}, column {e.colno}"
        ) from None
    cookies = found.get("cookies")
    if isinstance(cookies, dict):
        cookies = "; ".join(f"{k}={v}" for k, v in cookies.items())
    cookies = str(cookies or "").removeprefix("Cookie:").strip()
    pairs = dict(p.strip().partition("=")[::2] for p in cookies.split(";") if "=" in p)
    if not pairs.get("sess"):
        raise CliError("bad_login", f'{source} has no cookie `sess`; expected {{"cookies": "sess=…; auth_id=…"}}')
    agent = user_agent or found.get("user_agent") or found.get("userAgent") or ""
    bc = xbc or found.get("x_bc") or found.get("xbc") or found.get("x-bc") or ""
    auth_id = str(found.get("auth_id") or pairs.get("auth_id") or "")
    return {"auth_id": auth_id, "cookies": cookies, "user_agent": str(agent), "xbc": str(bc)}


def read_proxy(path: Path) -> str:
    """The URL in a file. Raises CliError; its text never repeats the input."""
    from addons.net.proxy_url import read_proxy_url

    text = _read_text(str(path))
    try:
        read_proxy_url(text)
    except ValueError as e:
        raise CliError("bad_proxy", f"{path}: {e}") from None
    return text


@app.command("connect", alias="create")
def connect(
    *,
    team: Annotated[str, typer.Option("--team", "-t", help="Slug or id of the team.")],
    source: Annotated[
        str, typer.Option("--from", help="File with the login, `-` for standard input; never as argument.")
    ],
    name: Annotated[str | None, typer.Option(help="Name for people.  [default: the creator's]")] = None,
    user_agent: Annotated[str | None, typer.Option(help="User agent that the cookies belong to.")] = None,
    x_bc: Annotated[str | None, typer.Option(help="x-bc that the cookies belong to.")] = None,
    proxy_file: Annotated[
        Path | None,
        typer.Option(help="File with the upstream proxy's URL for this account.  [default: the one it has]"),
    ] = None,
    no_proxy: Annotated[bool, typer.Option("--no-proxy", help="Take away the proxy that the account has.")] = False,
    check: Annotated[bool, typer.Option(help="Whether upstream is asked who this is.")] = True,
    force: Annotated[bool, typer.Option(help="Replace the login where this creator is connected already.")] = False,
) -> None:
    """Connect an account by the cookies of a session. Only one whose owner agreed."""
    config = open_config()
    login = read_login(source, user_agent=user_agent, xbc=x_bc)
    proxy = read_proxy(proxy_file) if proxy_file else None if no_proxy else _proxy_of(config, team, login)
    user = asyncio.run(_who(config, login, proxy)) if check else {}
    row = _save(config, team, name=name, login=login, proxy=proxy, user=user, force=force)
    emit(as_json(row), f"{row.id} connected: {row.display_name} ({row.username or row.onlyfans_id or 'not checked'})")


def _proxy_of(config: Config, team: str, login: dict[str, str]) -> str | None:
    """The proxy of this creator's account where it is connected already: a new login must not leave without it."""
    from ofapi_store.queries import accounts

    with opened_store(config) as store, store.read() as conn:
        known = accounts.live_of_user(conn, find_team(conn, team).id, login["auth_id"]) if login["auth_id"] else None
    return open_secrets(config).decrypt(known.proxy_url) if known is not None and known.proxy_url else None


async def _who(config: Config, login: dict[str, str], proxy: str | None) -> dict[str, Any]:
    from addons.jobs.upstream_client import Unavailable, UpstreamProblem, ask_once
    from addons.pipeline.exchange import Login

    try:
        reply = await ask_once(config, Login(**login, proxy_url=proxy), "/api2/v2/users/me")
        user: Any = reply.json()
    except Unavailable as e:
        hint = "`ofapi doctor` tests the connection; --no-check connects the account without asking"
        raise CliError("upstream_unavailable", f"{e}; {hint}") from e
    except UpstreamProblem as e:
        raise CliError("login_refused", f"{e}; check the cookies and the user agent, or use --no-check") from e
    if not isinstance(user, dict) or user.get("isAuth") is False or not user.get("id"):
        raise CliError("login_refused", "upstream does not know this session; take fresh cookies from the browser")
    return dict(user)


def _save(
    config: Config,
    team: str,
    *,
    name: str | None,
    login: dict[str, str],
    proxy: str | None,
    user: dict[str, Any],
    force: bool,
) -> AccountRow:
    from ofapi_store.errors import AlreadyConnected
    from ofapi_store.queries import accounts

    box = open_secrets(config)
    values = {
        "login": box.encrypt_json(login),
        "proxy_url": box.encrypt(proxy) if proxy else None,
        "onlyfans_id": str(user.get("id") or login["auth_id"]) or None,
        "username": user.get("username"),
        "state": "authenticated",
    }
    with opened_store(config) as store, store.write() as conn:
        owner = find_team(conn, team)
        known = accounts.live_of_user(conn, owner.id, values["onlyfans_id"]) if values["onlyfans_id"] else None
        if known is not None and force:
            kept = {"onlyfans_id", "username"} if not user else set()  # not asked for: as it is known
            return accounts.change(conn, known.id, **{k: v for k, v in values.items() if k not in kept}) or known
        try:
            shown = name or user.get("name") or user.get("username") or "account"
            return accounts.create(conn, owner.id, display_name=shown, **values)
        except AlreadyConnected as e:
            raise CliError("already_connected", f"{e}; --force replaces its login") from e


@app.command("list")
def list_(
    team: Annotated[str | None, typer.Option("--team", "-t", help="Slug or id of a team.  [default: all]")] = None,
) -> None:
    """Connected accounts and their state."""
    from ofapi_store.queries import accounts, teams

    with opened_store() as store, store.read() as conn:
        slugs = {t.id: t.slug for t in teams.list_all(conn)}
        found = accounts.list_for_team(conn, find_team(conn, team).id) if team else accounts.list_live(conn)
    rows = [{"team": slugs.get(a.team_id), **as_json(a)} for a in found]
    emit(rows, table(rows, ["id", "team", "display_name", "username", "onlyfans_id", "state"], empty="no accounts"))


@app.command("show")
def show(account: AccountArg) -> None:
    """One account: state, and how far each sync has come."""
    from ofapi_store.queries import sync

    row = _find(account)
    with opened_store() as store, store.read() as conn:
        cursors = sync.list_for_account(conn, account)
    syncs = {c.stream: {"completed_at": c.completed_at, "under_way": _under_way(c.position)} for c in cursors}
    lines = [f"{k:14} {v}" for k, v in as_json(row).items()]
    for name, state in syncs.items():
        ended = f"{state['completed_at']:%Y-%m-%d %H:%M:%S} UTC" if state["completed_at"] else "never ended"
        lines.append(f"synced         {name}: {ended}{', under way' if state['under_way'] else ''}")
    emit({**as_json(row), "syncs": syncs}, "\n".join(lines))


def _under_way(position: dict[str, Any]) -> bool:
    from addons.jobs.sync import UNDER_WAY

    return any(key in position for key in UNDER_WAY)


@app.command("state")
def state_(
    account: AccountArg,
    value: Annotated[str, typer.Argument(help="authenticated or session_expired.")],
) -> None:
    """Set the state of an account. Regular syncs leave one out whose session expired, until upstream answers it again."""
    from ofapi_store.queries import accounts

    if value not in ("authenticated", "session_expired"):
        raise CliError("bad_value", f"state is authenticated or session_expired, not {value!r}", exit_code=2)
    _find(account)
    with opened_store() as store, store.write() as conn:
        accounts.set_state(conn, account, value)
    emit({"id": account, "state": value}, f"{account}: {value}")


@app.command("disconnect", alias="revoke")
def disconnect(account: AccountArg) -> None:
    """End an account and wipe its login; what was observed stays."""
    from ofapi_store.queries import accounts

    row = _find(account)
    with opened_store() as store, store.write() as conn:
        accounts.disconnect(conn, row.team_id, row.id)
    emit({"id": account, "disconnected": True}, f"{account} disconnected, login wiped")


def _find(account: str) -> AccountRow:
    from ofapi_store.queries import accounts

    with opened_store() as store, store.read() as conn:
        row = accounts.by_id(conn, account)
    if row is None or row.disconnected_at is not None:
        raise CliError(
            "account_not_found", f"there is no connected account {account!r}; `ofapi accounts list` shows them"
        )
    return row
