"""The request that goes to OnlyFans: what of the client's request goes up, and whose login it carries.

The client's key, cookies and proxy headers never go up (design invariant 7): headers pass by an allow-list.
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog

from addons.pipeline import phpquery
from addons.pipeline.errors import ApiError
from addons.pipeline.exchange import Headers, Login, UpstreamRequest

log = structlog.get_logger(__name__)

Signer = Callable[[UpstreamRequest], Any]

_UP = frozenset({"accept", "accept-language", "content-type", "content-encoding", "content-language"})
_CONDITIONS = frozenset({"range", "if-range", "if-match", "if-none-match", "if-modified-since", "if-unmodified-since"})
_NEVER = frozenset(
    {
        "authorization",
        "connection",
        "content-length",
        "expect",
        "forwarded",
        "host",
        "http2-settings",
        "idempotency-key",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "via",
        "x-api-key",
        "x-real-ip",
    }
)
_NEVER_PREFIX = ("proxy-", "x-forwarded-", "x-ofapi-")
_GZIP = re.compile(r"(?:^|[,\s])(?:gzip|\*)\s*(?!;\s*q=0(?:\.0*)?\s*(?:,|$))(?:[;,]|$)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class QueryMap:
    """How a rule changes the client's query on its way up.

    `rename`, `drop`, `values` and `split` (a list in one parameter → several) go by the client's names, `static` by
    upstream's: parameters that the rule sends where the client does not.
    """

    rename: Mapping[str, str] = field(default_factory=dict)
    drop: frozenset[str] = frozenset()
    values: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    static: Sequence[tuple[str, str]] = ()
    split: Mapping[str, str] = field(default_factory=dict)

    def apply(self, query: str) -> str:
        """The upstream query: the rule's own parameters that the client did not set, then the client's as sent.

        An empty value sets nothing: where the rule has one for that parameter, the rule's goes up.
        """
        own = {name for name, _ in self.static}
        if not (self.rename or self.drop or self.values or self.split):
            sent = phpquery.pairs(query) if own else []
            if any(p.name in own and not p.value for p in sent):
                sent = [p for p in sent if p.name not in own or p.value]
                query = "&".join(p.text for p in sent)
            return self._with_static(query, {p.name for p in sent})
        out, names = [], set()
        for pair in phpquery.pairs(query):
            name = self.rename.get(pair.name, pair.name)
            if pair.name in self.drop or (name in own and not pair.value):
                continue
            separator = self.split.get(pair.name)
            for part in pair.value.split(separator) if separator else [pair.value]:
                value = self.values.get(pair.name, {}).get(part, part)
                same = name == pair.name and value == pair.value
                out.append(pair.text if same else _encoded(name, value))
            names.add(name)
        return self._with_static("&".join(out), names)

    def _with_static(self, query: str, names: set[str]) -> str:
        own = [_encoded(k, v) for k, v in self.static if k not in names]
        return "&".join([*own, query]) if query else "&".join(own)


def _encoded(name: str, value: str) -> str:
    return f"{phpquery.encode(name)}={phpquery.encode(value)}"


def accepts_gzip(value: str | None) -> bool:
    """Whether an Accept-Encoding allows gzip."""
    return value is not None and _GZIP.search(value) is not None


def up_headers(client: Headers, *, edited: bool) -> Headers:
    """The client's headers that concern upstream.

    `edited`: the answer will be changed here, so upstream must send it whole (no Range, no conditions) and in an
    encoding that is cheap to undo.
    """
    keep = _UP if edited else _UP | _CONDITIONS
    out = Headers([(k, v) for k, v in client if k.lower() in keep])
    accepted = client.get("accept-encoding")
    if edited:
        out.set("Accept-Encoding", "gzip" if accepts_gzip(accepted) else "identity")
    else:
        out.set("Accept-Encoding", accepted or "identity")
    if "accept" not in out:
        out.set("Accept", "application/json, text/plain, */*")
    return out


def own_session_headers(client: Headers) -> Headers:
    """Headers of a client of the regular proxy that brings its own upstream session: all but ours and the hop's."""
    named = {n.strip().lower() for v in client.get_all("connection") for n in v.split(",")}
    return Headers(
        [
            (k, v)
            for k, v in client
            if (low := k.lower()) not in _NEVER and low not in named and not low.startswith(_NEVER_PREFIX)
        ]
    )


def add_login(headers: Headers, login: Login, default_user_agent: str) -> None:
    """The account's identity towards upstream."""
    headers.set("User-Agent", login.user_agent or default_user_agent)
    if login.cookies:
        headers.set("Cookie", login.cookies)
    if login.xbc:
        headers.set("x-bc", login.xbc)


def load_signer(name: str | None) -> Signer | None:
    """The callable `module:function` of `upstream.signer`. Raises ValueError naming what is wrong."""
    if name is None:
        return None
    module, _, attribute = name.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as e:
        raise ValueError(f"config upstream.signer: {name} cannot be loaded: {e}") from e
    if not callable(found):
        raise ValueError(f"config upstream.signer: {name} is not callable")
    signer: Signer = found
    return signer


async def sign(request: UpstreamRequest, signer: Signer) -> None:
    """Add the operator's headers. A signer that fails is a clear error of this request, not of the gateway."""
    try:
        added = signer(request)
        if inspect.isawaitable(added):
            added = await added
        for name, value in dict(added or {}).items():
            request.headers.set(str(name), str(value))
    except Exception as e:
        log.error("upstream signer failed", error=type(e).__name__)
        text = "The configured `upstream.signer` failed, so the request was not sent. See the gateway's log."
        raise ApiError(502, "upstream_signer_failed", text) from e
