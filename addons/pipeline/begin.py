"""First stage: mount, dialect, canonical path, rule. Pure and synchronous; nothing here asks the store."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from addons.pipeline.errors import ApiError
from addons.pipeline.forwarded import believed
from addons.pipeline.matcher import METHODS
from addons.pipeline.mounts import PUBLIC
from addons.pipeline.paths import canonical_path

if TYPE_CHECKING:
    from addons.pipeline.exchange import Exchange, Request
    from addons.pipeline.parts import Parts

ALLOW = ", ".join(METHODS)


def route(parts: Parts, x: Exchange) -> None:
    """Fill in what the request line and headers decide. Raises ApiError for what cannot be served at all."""
    if x.entry.kind == "reverse":
        x.entry = believed(x.entry, x.request.headers, parts.config.listen.trusted_proxies)
    check_size(parts, x.request)
    if x.request.method not in METHODS:
        raise method_not_allowed(x.request.method, METHODS)
    x.plan = parts.plan()
    path = canonical_path(origin_form(x.request.target))
    if len(path.query) > parts.config.limits.query_bytes and x.entry.kind != "proxy_cdn":
        limit = parts.config.limits.query_bytes
        raise ApiError(414, "uri_too_long", f"The query has {len(path.query)} bytes, the limit is {limit}.")
    x.path = path
    if x.entry.kind == "proxy_cdn":
        x.mount = "cdn_host"
    elif x.entry.kind == "proxy_upstream":
        x.mount = "upstream"
        x.match = x.plan.match_upstream(x.request.method, path)
    else:
        _route_mount(parts, x)


def _route_mount(parts: Parts, x: Exchange) -> None:
    assert x.path is not None
    assert x.plan is not None
    mount, below = parts.mounts.resolve(x.path, x.entry.host)
    if mount is None:
        raise not_routed(x)
    x.mount, x.path = mount, below
    x.dialect = "envelope" if mount == "envelope" else "raw"
    x.state["prefix"] = parts.mounts.prefix(mount)
    if mount in PUBLIC:
        below.check()
    else:
        x.match = x.plan.match(x.request.method, below)


def origin_form(target: str) -> str:
    """`/path?query`, also where a proxy sends `http://host/path?query`."""
    if target.startswith("/"):
        return target
    if target == "*":
        return "/"
    found = urlsplit(target)
    return (found.path or "/") + (f"?{found.query}" if found.query else "")


def check_size(parts: Parts, request: Request) -> None:
    """Raises ApiError 431 when all header fields together are over `limits.header_bytes`."""
    size = sum(len(k) + len(v) + 4 for k, v in request.headers)
    limit = parts.config.limits.header_bytes
    if size > limit:
        raise ApiError(431, "headers_too_large", f"The request headers have {size} bytes, the limit is {limit}.")


def method_not_allowed(method: str, allowed: tuple[str, ...] | list[str]) -> ApiError:
    allow = ", ".join(allowed)
    text = f"{method[:20]} is not allowed here. Allowed: {allow}."
    return ApiError(405, "method_not_allowed", text, headers=(("Allow", allow),))


def not_routed(x: Exchange) -> ApiError:
    """405 where another method would be served, else 404."""
    if x.plan is not None and x.path is not None and (allowed := x.plan.allowed(x.path)):
        return method_not_allowed(x.request.method, allowed)
    shown = x.request.target.partition("?")[0][:200]
    text = f"No route matches {x.request.method} {shown}. `ofapi rules explain` names the nearest ones."
    return ApiError(404, "route_not_found", text)
