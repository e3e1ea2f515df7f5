"""What links earned, as stored rows: a new state of some fans replaces the old one, and every sum moves by the difference."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Table, bindparam, delete, select, update

from ofapi_store.models.link_revenue import (
    SUMS,
    Conversion,
    ConversionDay,
    LinkCohort,
    LinkDay,
    LinkFan,
    LinkFanDay,
    LinkTotal,
)
from ofapi_store.models.links import Link, LinkClaim
from ofapi_store.models.observed import SyncCursor
from ofapi_store.models.teams import Account
from ofapi_store.queries import fan_groups
from ofapi_store.queries.upsert import add_up, insert_for

FANS: Table = LinkFan.__table__  # type: ignore[assignment]
FAN_DAYS: Table = LinkFanDay.__table__  # type: ignore[assignment]
DAYS: Table = LinkDay.__table__  # type: ignore[assignment]
COHORTS: Table = LinkCohort.__table__  # type: ignore[assignment]
TOTALS: Table = LinkTotal.__table__  # type: ignore[assignment]
CONVERSIONS: Table = Conversion.__table__  # type: ignore[assignment]
CONVERSION_DAYS: Table = ConversionDay.__table__  # type: ignore[assignment]
_LINKS: Table = Link.__table__  # type: ignore[assignment]
_CLAIMS: Table = LinkClaim.__table__  # type: ignore[assignment]
_CURSORS: Table = SyncCursor.__table__  # type: ignore[assignment]
_FAN_COLUMNS = ("since", "day", "click_id", "is_trial", "came_before", "tips_net", "chargebacks", "messages", *SUMS)
_TOTALS = ("subs", "spenders", "net", "tips_net", "chargebacks", "fans_1", "fans_3", "conversions")

FanKey = tuple[str, int]  # (ref, fan)


def lock(conn: Connection, account_id: str) -> None:
    """Until the end of the transaction no other one works out this account's revenue (SQLite has one writer anyway)."""
    account = Account.__table__.c.id
    conn.execute(select(account).where(account == account_id).with_for_update(key_share=True))


def stored_fans(conn: Connection, account_id: str, fan_ids: Sequence[int]) -> dict[FanKey, dict[str, Any]]:
    """Rows of `link_fans` of these fans by (ref, fan)."""
    columns = [FANS.c[name] for name in _FAN_COLUMNS]
    query = select(FANS.c.ref, FANS.c.fan_id, *columns).where(
        FANS.c.account_id == account_id, FANS.c.fan_id.in_(fan_ids)
    )
    return {(row[0], row[1]): dict(zip(_FAN_COLUMNS, row[2:], strict=True)) for row in conn.execute(query)}


def store(
    conn: Connection,
    account_id: str,
    fan_ids: Sequence[int],
    fans: Mapping[FanKey, Mapping[str, Any]],
    days: Mapping[tuple[str, int, int], tuple[int, int]],
    *,
    now: datetime,
) -> None:
    """`fans` and `days` ((ref, fan, day) → net, gross) are all that these fans brought. Writes only what differs."""
    old = stored_fans(conn, account_id, fan_ids)
    changed = {key: row for key, row in fans.items() if old.get(key) != row}
    gone = [key for key in old if key not in fans]
    _write_fans(conn, account_id, changed, gone, now)
    moves = _Moves(account_id)
    for key in (*changed, *gone):
        moves.fan(key[0], old.get(key), fans.get(key))
    _write_days(conn, account_id, fan_ids, days, moves)
    moves.write(conn)


def _write_fans(
    conn: Connection,
    account_id: str,
    changed: Mapping[FanKey, Mapping[str, Any]],
    gone: Sequence[FanKey],
    now: datetime,
) -> None:
    for ref, fan in gone:
        conn.execute(delete(FANS).where(FANS.c.ref == ref, FANS.c.fan_id == fan))
    if not changed:
        return
    statement = insert_for(conn, FANS)
    values = {name: statement.excluded[name] for name in (*_FAN_COLUMNS, "calculated_at")}
    rows = [
        {**row, "ref": ref, "fan_id": fan, "account_id": account_id, "calculated_at": now}
        for (ref, fan), row in sorted(changed.items())
    ]
    conn.execute(statement.on_conflict_do_update(index_elements=["ref", "fan_id"], set_=values), rows)


def _write_days(
    conn: Connection,
    account_id: str,
    fan_ids: Sequence[int],
    days: Mapping[tuple[str, int, int], tuple[int, int]],
    moves: _Moves,
) -> None:
    c = FAN_DAYS.c
    query = select(c.ref, c.fan_id, c.day, c.net, c.gross).where(c.account_id == account_id, c.fan_id.in_(fan_ids))
    old = {(row[0], row[1], row[2]): (row[3], row[4]) for row in conn.execute(query)}
    for key in old:
        if key not in days:
            conn.execute(delete(FAN_DAYS).where(c.ref == key[0], c.fan_id == key[1], c.day == key[2]))
    rows = [
        {"ref": key[0], "account_id": account_id, "fan_id": key[1], "day": key[2], "net": sums[0], "gross": sums[1]}
        for key, sums in sorted(days.items())
        if old.get(key) != sums
    ]
    if rows:
        statement = insert_for(conn, FAN_DAYS)
        set_ = {"net": statement.excluded.net, "gross": statement.excluded.gross}
        conn.execute(statement.on_conflict_do_update(index_elements=["ref", "fan_id", "day"], set_=set_), rows)
    for key in old.keys() | days.keys():
        moves.day(key[0], key[2], net=days.get(key, (0, 0))[0] - old.get(key, (0, 0))[0])
    before, after = _first_spent(old), _first_spent(days)
    for at, sign in ((before, -1), (after, 1)):
        for (ref, _), day in at.items():
            moves.day(ref, day, spenders=sign)


def _first_spent(days: Mapping[tuple[str, int, int], tuple[int, int]]) -> dict[FanKey, int]:
    """The day on which each fan who spends became one: of those with something left over all days, the first with some."""
    first: dict[FanKey, int] = {}
    left: dict[FanKey, int] = defaultdict(int)
    for (ref, fan, day), (net, _) in days.items():
        left[ref, fan] += net
        if net > 0:
            first[ref, fan] = min(day, first.get((ref, fan), day))
    return {key: day for key, day in first.items() if left[key] > 0}


class _Moves:
    """Differences of the sums, gathered to one write per table."""

    def __init__(self, account_id: str) -> None:
        self._account_id = account_id
        self._days: dict[tuple[str, int], dict[str, int]] = defaultdict(
            lambda: dict.fromkeys(("subs", "net", "spenders"), 0)
        )
        self._cohorts: dict[tuple[str, int], dict[str, int]] = defaultdict(lambda: dict.fromkeys(("subs", *SUMS), 0))
        self._totals: dict[str, dict[str, int]] = defaultdict(lambda: dict.fromkeys(_TOTALS, 0))
        self._groups: dict[fan_groups.GroupKey, list[int]] = defaultdict(lambda: [0, 0, 0])

    def fan(self, ref: str, old: Mapping[str, Any] | None, new: Mapping[str, Any] | None) -> None:
        for row, sign in ((old, -1), (new, 1)):
            if row is None:
                continue
            self.day(ref, row["day"], subs=sign)
            cohort = self._cohorts[ref, row["day"]]
            cohort["subs"] += sign
            for name in SUMS:
                cohort[name] += sign * row[name]
            total = self._totals[ref]
            total["subs"] += sign
            total["spenders"] += sign * (row["net_all"] > 0)
            total["net"] += sign * row["net_all"]
            total["tips_net"] += sign * row["tips_net"]
            total["chargebacks"] += sign * row["chargebacks"]
            total["fans_1"] += sign * (row["messages"] >= 1)
            total["fans_3"] += sign * (row["messages"] >= 3)
            group = self._groups[fan_groups.group_of(ref, row)]
            for i, value in enumerate((1, row["net_all"], row["tips_net"])):
                group[i] += sign * value

    def day(self, ref: str, day: int, *, subs: int = 0, net: int = 0, spenders: int = 0) -> None:
        if subs or net or spenders:
            sums = self._days[ref, day]
            sums["subs"] += subs
            sums["net"] += net
            sums["spenders"] += spenders

    def write(self, conn: Connection) -> None:
        for table, moved in ((DAYS, self._days), (COHORTS, self._cohorts)):
            rows = [
                {"ref": ref, "day": day, "account_id": self._account_id, **sums}
                for (ref, day), sums in sorted(moved.items())
                if any(sums.values())
            ]
            add_up(conn, table, rows, "ref", "day", constant=("account_id",))
        totals = [
            {"ref": ref, "account_id": self._account_id, **sums}
            for ref, sums in sorted(self._totals.items())
            if any(sums.values())
        ]
        add_up(conn, TOTALS, totals, "ref", constant=("account_id",))
        fan_groups.move(conn, self._account_id, self._groups)


def uncalculated(conn: Connection, account_id: str) -> list[tuple[int, bool]]:
    """(our id, whether all its claimers are known) of the account's own links whose revenue is due.

    Claimers are known where a sync has walked them since the link was first seen, or as many are stored as upstream
    counts. Until transactions were walked once, nothing is known: the list is empty.
    """
    streams = select(_CURSORS.c.stream, _CURSORS.c.completed_at).where(
        _CURSORS.c.account_id == account_id, _CURSORS.c.stream.in_(["transactions", "claimers"])
    )
    ends = {row[0]: row[1] for row in conn.execute(streams)}
    if ends.get("transactions") is None:
        return []
    walked = ends.get("claimers")
    c = _LINKS.c
    query = select(c.id, c.subscribers_count, c.first_seen_at).where(
        c.account_id == account_id,
        c.kind.in_(["tracking", "trial"]),
        c.revenue_stale.is_(True) | c.revenue_calculated_at.is_(None),
    )
    rows = conn.execute(query).all()
    known = _claimers(conn, [row.id for row in rows])
    return [
        (
            row.id,
            (walked is not None and row.first_seen_at < walked) or known.get(row.id, 0) >= (row.subscribers_count or 0),
        )
        for row in rows
    ]


def _claimers(conn: Connection, pks: Sequence[int]) -> dict[int, int]:
    from sqlalchemy import func

    c = _CLAIMS.c
    query = select(c.link_pk, func.count(c.fan_id.distinct())).where(c.link_pk.in_(pks)).group_by(c.link_pk)
    return {pk: int(n) for pk, n in conn.execute(query)}


def show_on_links(conn: Connection, pks: Iterable[int], *, now: datetime) -> None:
    """Copies the totals onto the links' rows, which the lists read."""
    wanted = sorted(pks)
    refs = [str(pk) for pk in wanted]
    c = TOTALS.c
    totals = {
        row.ref: row for row in conn.execute(select(c.ref, c.net, c.spenders, c.chargebacks).where(c.ref.in_(refs)))
    }
    rows = [
        {
            "pk": pk,
            "total": found.net if (found := totals.get(str(pk))) else 0,
            "spenders": found.spenders if found else 0,
            "lost": found.chargebacks if found else 0,
            "at": now,
        }
        for pk in wanted
    ]
    if rows:
        at = bindparam("at", type_=_LINKS.c.updated_at.type)
        conn.execute(
            update(_LINKS)
            .where(_LINKS.c.id == bindparam("pk"))
            .values(
                revenue_total=bindparam("total"),
                spenders_count=bindparam("spenders"),
                chargebacks=bindparam("lost"),
                revenue_calculated_at=at,
                revenue_stale=False,
                updated_at=at,
            ),
            rows,
        )
