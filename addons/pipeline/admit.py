"""Second stage: API key → account → rate limit → route → parameters. What fails here never reaches upstream."""

from __future__ import annotations

from typing import TYPE_CHECKING

from addons.pipeline import auth, upstream_errors
from addons.pipeline.answers import is_upload_type
from addons.pipeline.begin import not_routed
from addons.pipeline.errors import PayloadTooLarge, RateLimited, ValidationFailed
from addons.pipeline.exchange import BodyMode
from addons.pipeline.mounts import PUBLIC
from addons.pipeline.validate import check_query

if TYPE_CHECKING:
    from addons.pipeline.exchange import AccountContext, Exchange
    from addons.pipeline.parts import Parts

ACCOUNT_PREFIX = "acct_"
ACCOUNT_HEADER = "X-OFAPI-Account"
NAME_ACCOUNT = (
    f"Your API key has no account, or several: name one in the header {ACCOUNT_HEADER}. `GET /accounts` lists them."
)
LIVE_SOURCES = ("hybrid", "passthrough", "media")


async def admit(parts: Parts, x: Exchange) -> None:
    """Fill in principal, account and query, or raise the ApiError that refuses the request."""
    if x.mount in PUBLIC or x.mount == "cdn_host":
        return
    if x.mount == "upstream":
        await _admit_upstream(parts, x)
    else:
        await _admit_key(parts, x)
        _check_route(x)
    _check_length(parts, x)
    if x.match is not None and x.path is not None and x.mount != "upstream":
        rule, now = x.match.rule, parts.services.clock()
        x.query = check_query(x.path.query, rule.spec.params, now, computed=rule.source == "computed")


async def _admit_key(parts: Parts, x: Exchange) -> None:
    x.principal = await auth.authenticate(x.request.headers, parts.directory)
    if not (x.match is not None and x.match.rule.spec.client_sessions):
        auth.check_key(x.principal)
    team = x.principal.team
    limit = team.requests_per_minute or parts.config.limits.requests_per_minute
    rate = x.state["rate"] = parts.limiter.hit(team.id, limit)
    account_id = _account_id(x)
    if account_id is not None:
        x.account = auth.check_account(x.principal, await parts.directory.account(account_id))
    if not rate.allowed:
        raise RateLimited(rate.limit, rate.retry_after_s)
    auth.check_scope(x.principal, x.request.method)


def _account_id(x: Exchange) -> str | None:
    """The account that the path names: the rule's `{account}`, else the first segment of an unnamed route."""
    if x.match is not None:
        return x.match.params.get("account")
    if x.path is not None and x.path.segments and x.path.segments[0].startswith(ACCOUNT_PREFIX):
        return x.path.segments[0]
    return None


def _check_route(x: Exchange) -> None:
    """Only what goes to upstream needs a live login; a path that no rule names needs an account and something below it."""
    live = x.match is None or x.match.rule.source in LIVE_SOURCES
    if x.match is None:
        computed = x.plan.allowed(x.path, sources=("computed", "media")) if x.plan and x.path else []
        if x.account is None or x.path is None or len(x.path.segments) < 2 or computed:
            raise not_routed(x)
    if live and x.account is not None:
        check_login(x.account)


def check_login(account: AccountContext) -> None:
    """Raises 503 while a login runs, 401 where there is none.

    An account marked `session_expired` is still asked for: only upstream knows whether its session lives, and its next
    good answer takes the mark away.
    """
    if account.state in ("authenticating", "reauthenticating"):
        raise upstream_errors.reauthenticating()
    if account.login is None:
        raise upstream_errors.session_expired()


async def _admit_upstream(parts: Parts, x: Exchange) -> None:
    """A client of the regular proxy that addresses upstream itself: with an API key of ours, or with its own session.

    The key's account is the one that the header or the client's `auth_id` cookie names, else the only one it may use.
    """
    headers = x.request.headers
    user_id = auth_cookie(headers.get("cookie"))
    if auth.bearer_token(headers) is None and user_id is not None and parts.config.proxy.allow_sessions:
        x.state["own_session"] = True
        x.account = await parts.directory.account_of_user(user_id, None)
        return
    await _admit_key(parts, x)
    assert x.principal is not None
    named = headers.get(ACCOUNT_HEADER)
    if named is not None:
        x.account = auth.check_account(x.principal, await parts.directory.account(named.strip()))
    elif user_id is not None:
        x.account = await parts.directory.account_of_user(user_id, x.principal.team.id)
        x.account = auth.check_account(x.principal, x.account)
    else:
        key = x.principal.key
        x.account = await parts.directory.only_account(key.team_id, key.account_ids)
        if x.account is None:
            raise ValidationFailed({ACCOUNT_HEADER: [NAME_ACCOUNT]})
    check_login(x.account)


def auth_cookie(value: str | None) -> str | None:
    """The OnlyFans user id in a Cookie header, whatever the other cookies look like."""
    for part in (value or "").split(";"):
        name, _, found = part.strip().partition("=")
        if name == "auth_id" and found.strip('"').isascii() and found.strip('"').isdigit():
            return found.strip('"')
    return None


def body_limit(parts: Parts, x: Exchange) -> int:
    """Most bytes that the body of this request may have: what is held in memory is no upload, whatever it says it is."""
    limits = parts.config.limits
    return limits.upload_body_bytes if request_mode(x) is BodyMode.STREAM else limits.json_body_bytes


def _check_length(parts: Parts, x: Exchange) -> None:
    limit = body_limit(parts, x)
    declared = x.request.headers.get("content-length") or ""
    size = len(x.request.body) if x.request.body is not None else int(declared) if declared.isdigit() else 0
    if size > limit:
        raise PayloadTooLarge(limit)


def request_mode(x: Exchange) -> BodyMode:
    """Whether the request body may go on unread: uploads may, unless a rule looks into them."""
    if x.response is not None or x.mount in PUBLIC or x.state.get("idempotency_key") is not None:
        return BodyMode.BUFFER
    rule = x.match.rule if x.match else None
    if rule is not None and (rule.source == "computed" or rule.spec.body or rule.request):
        return BodyMode.BUFFER
    return BodyMode.STREAM if is_upload_type(x.request.headers.get("content-type")) else BodyMode.BUFFER
