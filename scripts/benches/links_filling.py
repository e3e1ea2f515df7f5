"""A smart link with many clicks and conversions, written in bulk into the very tables and sums that reports read."""

from __future__ import annotations

import itertools
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ofapi_store.models import metadata
from ofapi_store.models.link_revenue import SUMS
from ofapi_store.queries import fan_groups

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from ofapi_store.engine import Store

DAYS = 365
CLICKS_PER_CONVERSION = 10
KINDS = ("new_subscriber", "new_transaction", "message_received", "fan_sent_1_message")
CHUNK = 10_000
ROWS_PER_COMMIT = 500_000
_HOUR, _DAY = 3_600_000_000, 86_400_000_000
_AGENT = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0"


@dataclass(frozen=True)
class Place:
    """Where it goes. `members`: (pool id, link pk). `first_fan`: fan ids count from here."""

    account_id: str
    link: str
    members: list[tuple[int, int]]
    first_fan: int


@dataclass
class _Sums:
    """What the product keeps up with every write, added up on the way."""

    hours: dict[tuple[int, bool, bool], int] = field(default_factory=lambda: defaultdict(int))
    days: dict[tuple[int, bool, bool], int] = field(default_factory=lambda: defaultdict(int))
    conversions: dict[tuple[int, str], list[int]] = field(default_factory=lambda: defaultdict(lambda: [0, 0]))
    earned: dict[int, list[int]] = field(default_factory=lambda: defaultdict(lambda: [0, 0, 0]))
    cohorts: dict[int, list[int]] = field(default_factory=lambda: defaultdict(lambda: [0] * (1 + len(SUMS))))
    groups: dict[fan_groups.GroupKey, list[int]] = field(default_factory=lambda: defaultdict(lambda: [0, 0, 0]))
    net: int = 0
    tips: int = 0
    fans_3: int = 0


def fill(store: Store, place: Place, clicks: int, tell: Callable[[str], None] = lambda _: None) -> dict[str, int]:
    """`clicks` over the last year, a conversion for each ten of them, four per fan. Returns the numbers of rows.

    `tell` hears how far it is after each transaction.
    """
    end = int(datetime.now(UTC).timestamp() * 1_000_000) // _DAY * _DAY
    begin, step = end - DAYS * _DAY, DAYS * _DAY // clicks
    fans = clicks // CLICKS_PER_CONVERSION // len(KINDS)
    sums, apart = _Sums(), clicks // fans
    came = [(place.first_fan + n, begin + n * apart * step, n * apart) for n in range(fans)]
    tables = (
        ("clicks", _CLICK, _clicks(place, begin, step, clicks, sums), clicks),
        ("fans", _PERSON, (_person(place, fan, at) for fan, at, _ in came), fans),
        ("link_claims", _CLAIM, (_claim(place, fan, at, n) for fan, at, n in came), fans),
        ("link_fans", _FAN, (_fan(place, fan, at, n, sums) for fan, at, n in came), fans),
        ("conversions", _CONVERSION, _conversions(place, came, sums), fans * len(KINDS)),
    )
    for table, columns, rows, total in tables:
        began = time.perf_counter()
        for done in _bulk(store, table, columns, rows):
            tell(f"{table} {done:,} of {total:,} rows, {time.perf_counter() - began:.0f} s")
    with store.write() as conn:
        _write_sums(conn, place, sums, fans)
    return {"clicks": clicks, "conversions": fans * len(KINDS), "fans": fans}


def _bulk(store: Store, table: str, columns: Sequence[str], rows: Iterator[tuple[Any, ...]]) -> Iterator[int]:
    """COPY on PostgreSQL, executemany on SQLite, in transactions of half a million rows. Yields how many are stored."""
    counted = _Counted(rows)
    for first in counted:
        part = itertools.chain([first], itertools.islice(counted, ROWS_PER_COMMIT - 1))
        with store.write() as conn:
            if store.dialect == "postgresql":
                cursor = conn.connection.cursor()
                with cursor.copy(f"COPY {table} ({', '.join(columns)}) FROM STDIN") as copy:  # type: ignore[attr-defined]
                    for row in part:
                        copy.write_row(row)
            else:
                marks = ", ".join("?" * len(columns))
                text = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})"  # noqa: S608 (our own names)
                while batch := list(itertools.islice(part, CHUNK)):
                    conn.exec_driver_sql(text, batch)
        yield counted.count


class _Counted:
    def __init__(self, rows: Iterator[tuple[Any, ...]]) -> None:
        self._rows = rows
        self.count = 0

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return self

    def __next__(self) -> tuple[Any, ...]:
        row = next(self._rows)
        self.count += 1
        return row


_CLICK = (
    "smart_link_id", "id", "created_at", "pool_id", "visitor", "ip_address", "user_agent", "referrer", "device_type",
    "browser_name", "browser_family", "platform", "country_code", "is_bot", "is_duplicate", "is_shared",
    "gross_clicks", "params",
)  # fmt: skip
_PERSON = ("account_id", "fan_id", "username", "name", "subscribed_at", "first_seen_at", "updated_at")
_CLAIM = ("link_pk", "account_id", "fan_id", "claimed_at", "source", "observed_at")
_FAN = (
    "ref", "account_id", "fan_id", "since", "day", "click_id", "is_trial", "came_before", "tips_net", "chargebacks",
    "messages", "calculated_at", *SUMS,
)  # fmt: skip
_CONVERSION = (
    "smart_link_id", "account_id", "type", "fan_id", "fact", "click_id", "conversion_at", "gross", "net", "is_bot",
    "is_duplicate",
)  # fmt: skip


_DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = [one + two for one in _DIGITS for two in _DIGITS]


def click_id(at: int, number: int) -> str:
    """The ULID of click `number` at `at` (microseconds): `ids.ulid_at` and the number, quicker."""
    ms = at // 1000
    head = "".join(_PAIRS[ms >> bits & 1023] for bits in (40, 30, 20, 10, 0))
    return f"{head}{number:016d}"


def _clicks(place: Place, begin: int, step: int, count: int, sums: _Sums) -> Iterator[tuple[Any, ...]]:
    link, pool = place.link, [member for member, _ in place.members]
    for n in range(count):
        at = begin + n * step
        bot, again = n % 13 == 0, n % 7 == 3
        sums.hours[at // _HOUR, bot, again] += 1
        sums.days[at // _DAY, bot, again] += 1
        yield (
            link, click_id(at, n), at, None if bot else pool[n % len(pool)], f"{n % 1_000_003:016x}", "203.0.113.9",
            _AGENT, "https://t.co/abc", "desktop", "Chrome 130", "Chrome", "Windows", "US", bot, again, False, 1,
            '{"utm_source": "bench", "external_click_id": "e"}',
        )  # fmt: skip


def _person(place: Place, fan: int, at: int) -> tuple[Any, ...]:
    return (place.account_id, fan, f"u{fan}", f"Fan {fan}", at - _DAY if _returns(fan) else at, at, at)


def _claim(place: Place, fan: int, at: int, click: int) -> tuple[Any, ...]:
    return (place.members[click % len(place.members)][1], place.account_id, fan, at, "sync", at)


def _fan(place: Place, fan: int, at: int, click: int, sums: _Sums) -> tuple[Any, ...]:
    gross = _gross(fan)
    net = gross * 4 // 5
    parts = [net * share // 5 for share in range(1, 6)] + [gross * share // 5 for share in range(1, 6)]
    day = at // _DAY
    cohort = sums.cohorts[day]
    cohort[0] += 1
    for i, value in enumerate(parts, 1):
        cohort[i] += value
    sums.net += net
    earned = sums.earned[day]
    earned[0] += 1
    earned[1] += net
    earned[2] += 1
    tips, messages = net // 4 if fan % 9 == 0 else 0, 1 + fan % 20
    sums.tips += tips
    sums.fans_3 += messages >= 3
    alike = {"is_trial": False, "came_before": _returns(fan), "messages": messages, "net_all": net, "tips_net": tips}
    group = sums.groups[fan_groups.group_of(place.link, alike)]
    for i, value in enumerate((1, net, tips)):
        group[i] += value
    head = (place.link, place.account_id, fan, at, day, click_id(at, click), False, _returns(fan))
    return (*head, tips, 0, messages, at, *parts)


def _returns(fan: int) -> bool:
    return fan % 50 == 0


def _gross(fan: int) -> int:
    return 500 + fan * 7919 % 50_000


def _conversions(place: Place, came: Iterable[tuple[int, int, int]], sums: _Sums) -> Iterator[tuple[Any, ...]]:
    for fan, at, click in came:
        for i, kind in enumerate(KINDS):
            gross = _gross(fan) if kind == "new_transaction" else 0
            when, net, fact = at + i * 1_000_000, gross * 4 // 5, f"f{fan}" if i in {1, 2} else ""
            found = sums.conversions[when // _DAY, kind]
            found[0] += 1
            found[1] += net
            source = (place.link, place.account_id, kind, fan, fact, click_id(at, click))
            yield (*source, when, gross, net, False, False)


def _write_sums(conn: Connection, place: Place, sums: _Sums, fans: int) -> None:
    link, base = {"smart_link_id": place.link}, {"ref": place.link, "account_id": place.account_id}
    for table, counts in (("click_hours", sums.hours), ("click_days", sums.days)):
        rows = [
            {**link, "bucket": bucket, "is_bot": bot, "is_duplicate": again, "clicks": n}
            for (bucket, bot, again), n in counts.items()
        ]
        conn.execute(metadata.tables[table].insert(), rows)
    plain = {**link, "is_bot": False, "is_duplicate": False}
    by_kind = [
        {**plain, "day": day, "type": kind, "conversions": n, "net": net}
        for (day, kind), (n, net) in sums.conversions.items()
    ]
    conn.execute(metadata.tables["conversion_days"].insert(), by_kind)
    days = [{**base, "day": d, "subs": s, "net": n, "spenders": p} for d, (s, n, p) in sums.earned.items()]
    conn.execute(metadata.tables["link_days"].insert(), days)
    cohorts = [{**base, "day": d, "subs": v[0], **dict(zip(SUMS, v[1:], strict=True))} for d, v in sums.cohorts.items()]
    conn.execute(metadata.tables["link_cohorts"].insert(), cohorts)
    fan_groups.move(conn, place.account_id, sums.groups)
    totals = {**base, "subs": fans, "spenders": fans, "net": sums.net, "tips_net": sums.tips, "chargebacks": 0}
    totals |= {"fans_1": fans, "fans_3": sums.fans_3}
    conn.execute(metadata.tables["link_totals"].insert(), {**totals, "conversions": fans * len(KINDS)})


def settle(url: str) -> int:
    """What a running database does by itself after a while. Returns the bytes that it has on disk."""
    from sqlalchemy import create_engine, text

    postgresql = url.startswith("postgresql")
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as conn:
        conn.execute(text("VACUUM ANALYZE" if postgresql else "PRAGMA wal_checkpoint(TRUNCATE)"))
        pages = "page_count * page_size FROM pragma_page_count, pragma_page_size"
        size = conn.execute(text("SELECT pg_database_size(current_database())" if postgresql else f"SELECT {pages}"))
        found = int(size.scalar_one())
    engine.dispose()
    return found
