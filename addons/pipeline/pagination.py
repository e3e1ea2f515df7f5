"""`_pagination.next_page` (contract 1.1): the query that continues a list, from what upstream said about its page.

`hasMore` decides; a short or even empty page is not the end, for upstream filters after slicing. So offset lists go on
by `limit`, never by the number of rows that came.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import msgspec

from addons.pipeline import phpquery

PageKind = Literal["offset", "marker", "cursor", "none"]
_NO = (b"false", b"0", b"null")


@dataclass(frozen=True, slots=True)
class PageSpec:
    """How one operation pages. `param` None: the usual name of the kind."""

    kind: PageKind
    default_limit: int = 10
    param: str | None = None


class _Usual(msgspec.Struct, rename="camel"):
    """The members of upstream's usual page."""

    has_more: msgspec.Raw = msgspec.Raw(b"")
    next_marker: msgspec.Raw = msgspec.Raw(b"")
    marker: msgspec.Raw = msgspec.Raw(b"")
    list: msgspec.Raw = msgspec.Raw(b"")
    users: msgspec.Raw = msgspec.Raw(b"")
    items: msgspec.Raw = msgspec.Raw(b"")


class _Row(msgspec.Struct):
    id: msgspec.Raw = msgspec.Raw(b"")


_USUAL = msgspec.json.Decoder(type=_Usual)
_ROWS = msgspec.json.Decoder(type=list[_Row])
_ANY_ROWS = msgspec.json.Decoder(type=list[msgspec.Raw])


@dataclass(frozen=True, slots=True)
class _Page:
    """JSON texts, empty where absent: what says that more follows, the next value, the rows."""

    more: bytes
    value: bytes
    rows: bytes


def next_query(spec: PageSpec, query: str, body: bytes) -> str | None:
    """The client's own `query` changed so that it asks for the page after `body`; None where this page is the last."""
    page = _read(body)
    if page is None or page.more in _NO:
        return None
    if spec.kind == "marker":
        return _by_marker(spec, query, page)
    if not page.more and not _count(page.rows):
        return None
    return _by_offset(spec, query) if spec.kind == "offset" else _by_cursor(spec, query, page)


def page_url(base_url: str, target: str, query: str) -> str:
    """The absolute URL of the request `target` with another query."""
    path = target.partition("?")[0]
    if not path.startswith("/"):
        path = "/" + path.split("/", 3)[-1]
    return f"{base_url}{path}?{query}"


def _read(body: bytes) -> _Page | None:
    if body.lstrip()[:1] == b"[":
        return _Page(b"", b"", body)
    try:
        found = _USUAL.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return None
    value = bytes(found.next_marker)
    if value in (b"", b"null"):
        value = bytes(found.marker)
    rows = bytes(found.list) or bytes(found.users) or bytes(found.items)
    return _Page(bytes(found.has_more), value, rows)


def _count(rows: bytes) -> int:
    try:
        return len(_ANY_ROWS.decode(rows)) if rows else 0
    except (msgspec.DecodeError, RecursionError):
        return 0


def _by_offset(spec: PageSpec, query: str) -> str:
    sent = phpquery.pairs(query)
    limit = _number(phpquery.value_of(sent, "limit"), spec.default_limit)
    name = spec.param or "offset"
    offset = _number(phpquery.value_of(sent, name), 0)
    return phpquery.with_values(query, {name: str(offset + limit), "limit": str(limit)})


def _by_marker(spec: PageSpec, query: str, page: _Page) -> str | None:
    name, marker = spec.param or "marker", _text(page.value)
    if marker is None or marker == phpquery.value_of(phpquery.pairs(query), name):
        return None  # the same marker again would never end
    return phpquery.with_values(query, {name: marker})


def _by_cursor(spec: PageSpec, query: str, page: _Page) -> str | None:
    """Newest first goes on below the last id. Oldest first begins with the message of the cursor (contract 5.2), so it
    goes on with the id after the last one."""
    last = _last_id(page.rows)
    if last is None:
        return None
    if phpquery.value_of(phpquery.pairs(query), "order") == "asc":
        after = str(int(last) + 1) if last.isascii() and last.isdigit() else last
        return phpquery.with_values(query, {"last_id": after, "first_id": None})
    return phpquery.with_values(query, {spec.param or "first_id": last, "last_id": None})


def _last_id(rows: bytes) -> str | None:
    try:
        found = [_text(bytes(row.id)) for row in _ROWS.decode(rows)] if rows else []
    except (msgspec.DecodeError, RecursionError):
        return None
    return next((i for i in reversed(found) if i is not None), None)


def _text(raw: bytes) -> str | None:
    """A JSON number or string as query text."""
    if not raw or raw == b"null":
        return None
    value = msgspec.json.decode(raw, type=str) if raw[:1] == b'"' else raw.decode("utf-8", "replace")
    return value or None


def _number(text: str | None, default: int) -> int:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 19 else default
