"""`_pagination.next_page` (contract 1.1): the query that continues a list, from what upstream said about its page.

`hasMore` decides; a short or even empty page is not the end, for upstream filters after slicing. So offset lists go on
by `limit`, never by the number of rows that came.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from addons.pipeline import phpquery

PageKind = Literal["offset", "marker", "cursor"]


@dataclass(frozen=True, slots=True)
class PageSpec:
    """How one operation pages. `param` None: the usual name of the kind."""

    kind: PageKind
    default_limit: int = 10
    param: str | None = None
    value: str | None = None
    has_more: str | None = None
    items: str | None = None


class _Page(msgspec.Struct):
    hasMore: msgspec.Raw = msgspec.Raw(b"")
    nextMarker: msgspec.Raw = msgspec.Raw(b"")
    marker: msgspec.Raw = msgspec.Raw(b"")
    list: msgspec.Raw = msgspec.Raw(b"")
    users: msgspec.Raw = msgspec.Raw(b"")
    items: msgspec.Raw = msgspec.Raw(b"")


class _Row(msgspec.Struct):
    id: msgspec.Raw = msgspec.Raw(b"")


_PAGE = msgspec.json.Decoder(type=_Page)
_ROWS = msgspec.json.Decoder(type=list[_Row])
_ANY_ROWS = msgspec.json.Decoder(type=list[msgspec.Raw])


def next_query(spec: PageSpec, query: str, body: bytes) -> str | None:
    """The client's own `query` changed so that it asks for the page after `body`; None where this page is the last."""
    page = _read(body)
    if page is None:
        return None
    more = page.hasMore
    if bytes(more) in (b"false", b"0", b"null"):
        return None
    if spec.kind == "marker":
        return _by_marker(spec, query, page)
    rows = bytes(page.list) or bytes(page.users) or bytes(page.items)
    if not bytes(more) and not _count(rows):
        return None
    return _by_offset(spec, query) if spec.kind == "offset" else _by_cursor(spec, query, rows)


def _read(body: bytes) -> _Page | None:
    try:
        return _PAGE.decode(body)
    except (msgspec.DecodeError, RecursionError):
        pass
    return _Page(list=msgspec.Raw(body)) if body.lstrip()[:1] == b"[" else None


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
    name = spec.param or "marker"
    marker = _text(bytes(page.nextMarker)) or _text(bytes(page.marker))
    if marker is None or marker == phpquery.value_of(phpquery.pairs(query), name):
        return None  # the same marker again would never end
    return phpquery.with_values(query, {name: marker})


def _by_cursor(spec: PageSpec, query: str, rows: bytes) -> str | None:
    """Newest first continues below the last id, oldest first after it."""
    ids = _ids(rows)
    if not ids:
        return None
    oldest_first = phpquery.value_of(phpquery.pairs(query), "order") == "asc"
    name, other = ("last_id", "first_id") if oldest_first else (spec.param or "first_id", "last_id")
    return phpquery.with_values(query, {name: ids[-1], other: None})


def _ids(rows: bytes) -> list[str]:
    try:
        found = [_text(bytes(row.id)) for row in _ROWS.decode(rows)]
    except (msgspec.DecodeError, RecursionError):
        return []
    return [i for i in found if i is not None]


def _text(raw: bytes) -> str | None:
    """A JSON number or string as query text."""
    if not raw or raw == b"null":
        return None
    value: Any = msgspec.json.decode(raw) if raw[:1] == b'"' else raw.decode()
    return str(value) or None


def _number(text: str | None, default: int) -> int:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 19 else default
