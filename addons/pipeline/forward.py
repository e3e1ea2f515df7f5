"""Third stage for live sources: the upstream request of an exchange."""

from __future__ import annotations

from typing import TYPE_CHECKING

from addons.pipeline import upstream, validate
from addons.pipeline.admit import body_limit
from addons.pipeline.answers import API_ROOT, JSON_TYPE, is_json_type
from addons.pipeline.begin import not_routed
from addons.pipeline.errors import ApiError, PayloadTooLarge
from addons.pipeline.exchange import Headers, UpstreamRequest
from addons.pipeline.paths import encode_segment

if TYPE_CHECKING:
    from collections.abc import Mapping

    from addons.pipeline.exchange import Exchange
    from addons.pipeline.parts import Parts
    from addons.pipeline.paths import CanonicalPath
    from addons.pipeline.plan import CompiledRule


async def check_body(parts: Parts, x: Exchange) -> None:
    """The JSON body against the rule's `body`, before anything is charged or sent. Raises ApiError."""
    body, limit = x.request.body, body_limit(parts, x)
    if body is not None and len(body) > limit:
        raise PayloadTooLarge(limit)
    kind = x.request.headers.get("content-type")
    if x.match is None or not x.match.rule.spec.body or x.mount == "upstream" or _is_form(kind):
        return
    value = validate.read_json(body, limit=limit, content_type=kind)
    validate.check_body({} if value is None else value, x.match.rule.spec.body, parts.services.clock())


def _is_form(content_type: str | None) -> bool:
    return content_type is not None and content_type.lower().startswith("multipart/")


async def build(parts: Parts, x: Exchange) -> UpstreamRequest:
    """The request that goes out for `x`, login and operator's signature included. Raises ApiError."""
    rule = x.match.rule if x.match else None
    config = parts.config.upstream
    target = _target_as_sent(x) if x.mount == "upstream" else _target(x, rule)
    headers = _headers(parts, x, edited=rule is not None and rule.source == "hybrid")
    body = await _body(parts, x, rule)
    if body and not x.request.body:
        headers.set("Content-Type", JSON_TYPE)
    request = UpstreamRequest(
        x.request.method if x.mount == "upstream" else method_of(rule, x.request.method),
        config.base_url + target,
        headers,
        body,
        via_proxy=x.account.login.proxy_url if x.account and x.account.login else None,
        timeout_s=(rule.spec.timeout_s if rule else None) or config.read_timeout_s,
    )
    if parts.signer is not None and not x.state.get("own_session"):
        await upstream.sign(request, parts.signer)
    return request


def method_of(rule: CompiledRule | None, method: str) -> str:
    """The upstream method for a client's: the rule's, but HEAD stays HEAD."""
    if rule is None or rule.upstream is None or rule.upstream.method == "*" or method == "HEAD":
        return method
    return rule.upstream.method


def _target_as_sent(x: Exchange) -> str:
    assert x.path is not None
    x.path.check()
    if not x.path.canonical.startswith(API_ROOT):
        raise not_routed(x)
    return x.path.canonical + (f"?{x.path.query}" if x.path.query else "")


def _target(x: Exchange, rule: CompiledRule | None) -> str:
    assert x.path is not None
    try:
        if rule is not None and rule.index is not None and (found := x.state.get("selection")) is not None:
            return rule.index.target(_params(x), [str(number) for number in found.ids])
        return target_of(rule, x.path, _params(x))
    except KeyError as e:
        name = str(e.args[0])
        text = f"The account's `{name}` is not known yet. Run `ofapi sync` for this account, then try again."
        raise ApiError(409, "conflict", text) from None


def target_of(rule: CompiledRule | None, path: CanonicalPath, params: Mapping[str, str]) -> str:
    """Path and query upstream: the rule's template, or `/{account}/x/y` → `/api2/v2/x/y`.

    Raises KeyError for a part of the template that `params` lacks.
    """
    query = path.query
    if rule is None or rule.upstream is None:
        below = API_ROOT + "/".join(encode_segment(s) for s in path.segments[1:])
    else:
        below, spec = rule.upstream.path(params), rule.spec.query
        static = [*rule.upstream.fixed_query(params), *spec.default.items()]
        query = upstream.QueryMap(spec.rename, frozenset(spec.drop), spec.values, static, spec.split).apply(query)
    return f"{below}?{query}" if query else below


def _params(x: Exchange) -> dict[str, str]:
    params = dict(x.match.params) if x.match else {}
    if x.account is not None:
        known = {"id": x.account.id, "username": x.account.username, "onlyfans_id": x.account.onlyfans_id}
        params.update({f"account.{name}": value for name, value in known.items() if value})
    return params


def _headers(parts: Parts, x: Exchange, *, edited: bool) -> Headers:
    if x.state.get("own_session"):
        headers = upstream.own_session_headers(x.request.headers)
        if edited:
            headers.remove("range", "if-range", "if-none-match", "if-modified-since")
        return headers
    headers = upstream.up_headers(x.request.headers, edited=edited)
    if x.account is not None and x.account.login is not None:
        upstream.add_login(headers, x.account.login, parts.config.upstream.user_agent)
    else:
        headers.set("User-Agent", parts.config.upstream.user_agent)
    return headers


async def _body(parts: Parts, x: Exchange, rule: CompiledRule | None) -> bytes | None:
    """The body that goes out. `request` steps may make one where the client sent none: upstream wants it at some places."""
    body = x.request.body
    if x.mount == "upstream" or not _may_be_json(x):
        return body
    if rule is not None and rule.request:
        body = await parts.editor.request(x, body or b"{}")
    aliases = parts.services.parts.get("media_aliases")
    return await aliases(body, x) if aliases is not None and body else body


def _may_be_json(x: Exchange) -> bool:
    kind = x.request.headers.get("content-type")
    return kind is None or is_json_type(kind)
