"""`index` of a rule: the store chooses the rows of a page, upstream is asked for these, and its answer becomes the page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from addons.pipeline import local
from addons.pipeline.answers import dumps, json_response
from addons.pipeline.document import Document, NotJson
from addons.pipeline.exchange import Origin

if TYPE_CHECKING:
    from addons.compute.api import Selection
    from addons.pipeline.exchange import Exchange, Response
    from addons.pipeline.node import Node
    from addons.pipeline.parts import Parts
    from addons.pipeline.plan import CompiledIndex

KEY = "selection"
STEP = "index"


def index_of(x: Exchange) -> CompiledIndex | None:
    """The rule's `index`, where this request asks for it."""
    index = x.match.rule.index if x.match else None
    return index if index is not None and x.mount != "upstream" and x.query.get(index.when) is not None else None


async def select(parts: Parts, x: Exchange) -> None:
    """Find the rows of the page, if the store is to say which. Raises ApiError."""
    index = index_of(x)
    if index is not None:
        x.state[KEY] = await local.call_selector(parts, x, index.handler)


def nothing(x: Exchange) -> Response | None:
    """What stands for upstream's answer where there is no row to ask for."""
    found: Selection | None = x.state.get(KEY)
    return json_response(200, b"{}") if found is not None and not found.ids and x.request.method != "HEAD" else None


def page(x: Exchange, body: bytes) -> bytes:
    """Upstream's rows as the page that the store chose; any other body as it is."""
    found: Selection | None = x.state.get(KEY)
    if found is None:
        return body
    try:
        doc = Document(body)
    except NotJson as reason:
        x.notes.skipped.append((STEP, str(reason)))
        return body
    try:
        with doc.transaction(x.rule_id, STEP):
            doc.root.replace(_page(x, found, _rows(doc.root)), Origin(found.table, f"{len(found.ids)} rows"))
        x.edits += doc.edits
        return doc.render()
    finally:
        doc.close()


def _page(x: Exchange, found: Selection, rows: dict[str, bytes]) -> bytes:
    listed, omitted, gone = [], 0, 0
    for number in found.ids:
        row = rows.get(str(number))
        fits = found.check(row) if row is not None else None
        if row is not None and fits:
            listed.append(row)
        elif fits is None:
            omitted += 1
        else:
            gone += 1
    source: dict[str, Any] = {**found.source, "omitted_from_page": omitted, "no_longer_matching": gone}
    for name, count in (("omitted", omitted), ("no_longer_matching", gone)):
        if count:
            x.notes.count(name, count)
    more = b"true" if found.has_more else b"false"
    return b"".join((b'{"list":[', b",".join(listed), b'],"hasMore":', more, b',"_source":', dumps(source), b"}"))


def _rows(root: Node) -> dict[str, bytes]:
    """Objects by id: upstream keys them by it, and an empty PHP array of them is a list."""
    if root.kind == "object":
        return {name: node.raw for name, node in root.items() if node.kind == "object"}
    return {node_id.decode(): node.raw for node in root.children() if (node_id := node.peek("id")) is not None}
