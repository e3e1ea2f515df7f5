"""Links of all teams and kinds, for the operator; never for a client's request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Table, select

from ofapi_store.models.links import Link
from ofapi_store.models.smart_links import SmartLink
from ofapi_store.queries import smart_links

LINKS: Table = Link.__table__  # type: ignore[assignment]
SMART: Table = SmartLink.__table__  # type: ignore[assignment]
REAL = ("tracking", "trial")


@dataclass(frozen=True, slots=True)
class Overview:
    """`pk`: our id of a real link. `revenue`: net cents, None until calculated."""

    kind: str
    number: str
    pk: int | None
    account_id: str
    name: str | None
    clicks: int | None
    subscribers: int | None
    spenders: int | None
    revenue: int | None
    chargebacks: int | None
    created_at: datetime | None

    @property
    def link(self) -> str:
        """How commands name it: a ULID, `tracking:ID` or `trial:ID`."""
        return self.number if self.pk is None else f"{self.kind}:{self.number}"

    @property
    def ref(self) -> str:
        """How reports name it."""
        return self.number if self.pk is None else str(self.pk)


_REAL_COLUMNS = tuple(
    LINKS.c[name]
    for name in (
        "kind", "link_id", "id", "account_id", "name", "clicks_count", "subscribers_count", "spenders_count",
        "revenue_total", "chargebacks", "created_at",
    )
)  # fmt: skip


def smart(conn: Connection, *, account_id: str | None = None, link: str | None = None, limit: int) -> list[Overview]:
    """Smart links that are not deleted, newest first."""
    c = SMART.c
    query = select(c.id, c.account_id, c.name, c.created_at).where(c.state == "active")
    if account_id is not None:
        query = query.where(c.account_id == account_id)
    if link is not None:
        query = query.where(c.id == link)
    rows = conn.execute(query.order_by(c.id.desc()).limit(limit)).all()
    figures = smart_links.figures(conn, [row.id for row in rows])
    out = []
    for row in rows:
        f = figures[row.id]
        figure = (f.clicks, f.subs, f.spenders, f.net, f.chargebacks)
        out.append(Overview("smart", row.id, None, row.account_id, row.name, *figure, row.created_at))
    return out


def real(
    conn: Connection,
    *,
    kinds: Sequence[str] = REAL,
    account_id: str | None = None,
    link_id: int | None = None,
    limit: int,
) -> list[Overview]:
    """Tracking and trial links, newest first; pool links of smart links only by their id."""
    c = LINKS.c
    query = select(*_REAL_COLUMNS).where(c.kind.in_(kinds), c.is_deleted.is_(False))
    if account_id is not None:
        query = query.where(c.account_id == account_id)
    query = query.where(c.is_smart.is_(False)) if link_id is None else query.where(c.link_id == link_id)
    rows = conn.execute(query.order_by(c.created_at.desc(), c.id.desc()).limit(limit))
    return [Overview(row[0], str(row[1]), *row[2:]) for row in rows]
