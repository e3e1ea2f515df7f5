"""Batches of clicks into the store, on both databases: counts, duplicates, holds, and each spool line once."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select
from ulid import ULID

from addons.config import Config
from addons.links.records import Places, Record, parse_lines, row_of
from addons.links.storing import prepare, store
from addons.spool.files import Lines
from ofapi_store import outbox
from ofapi_store.engine import Store
from ofapi_store.queries import clicks, links, pools, smart_links, spools
from ofapi_store.queries.clicks import CLICKS, DAYS, HOURS, Filter
from ofapi_store.types import from_micros

T0 = datetime(2026, 3, 1, 23, 30, tzinfo=UTC)
CONFIG = Config.build({}).links
PLACES = Places(CONFIG)
BROWSER = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0 Safari/537.36"


def record(link: str, minutes: float, visitor: str = "v", **values) -> Record:
    at = T0 + timedelta(minutes=minutes)
    defaults = {
        "id": str(ULID.from_datetime(at)), "smart_link_id": link, "pool_id": None, "is_shared": False,
        "visitor": visitor, "yesterday": visitor + "-old", "ip": "203.0.113.9", "user_agent": BROWSER, "referrer": "",
        "query": "", "is_prefetch": False,
    }  # fmt: skip
    return Record(**{**defaults, **values})


@pytest.fixture
def opened(request) -> Store:
    """The store; `store` is the function under test here."""
    found: Store = request.getfixturevalue("store")
    return found


@pytest.fixture
def link(opened, account) -> str:
    """A smart link with two ready pool links."""
    ulid = str(ULID())
    with opened.write() as conn:
        row = smart_links.SmartRow(
            ulid, account.team_id, account.id, "S", "tracking_link", None, "active", None, T0, T0, "", None
        )
        smart_links.create(conn, row)
        pools.add(conn, ulid, ["a", "b"], now=T0)
        for n, member in enumerate(pools.of_smart(conn, ulid)):
            pk = links.ensure(conn, account.id, "tracking", n + 1)
            pools.made(conn, member.id, link_pk=pk, url=f"https://onlyfans.com/x/c{n}")
    return ulid


def put(opened, records, spool=None) -> int:
    with opened.write() as conn:
        return store(conn, prepare(records, PLACES, spool), CONFIG, T0)


def rows(opened) -> list:
    with opened.read() as conn:
        return list(conn.execute(select(CLICKS).order_by(CLICKS.c.id)))


def test_duplicates_within_the_hour_are_folded(opened, link) -> None:
    """In one batch, over batches, over midnight by yesterday's id, and while the clock goes back; not after the hour."""
    put(opened, [record(link, 0), record(link, 10), record(link, 20, "other")])
    put(opened, [record(link, 40, "today", yesterday="v")])  # after midnight the same visitor has a new id
    put(opened, [record(link, -5)])  # the clock went back
    put(opened, [record(link, 90)])
    found = [(row.is_duplicate, row.gross_clicks) for row in rows(opened)]
    assert found == [(True, 1), (False, 4), (True, 1), (False, 1), (True, 1), (False, 1)]


def test_counts_agree_with_the_rows(opened, link) -> None:
    """Hours and days hold exactly what the raw rows say, by robot and duplicate."""
    agents = (BROWSER, "curl/8", BROWSER, "")
    records = [record(link, 7 * n, f"v{n % 9}", user_agent=agents[n % 4], is_prefetch=n % 7 == 0) for n in range(60)]
    for at in range(0, 60, 17):
        put(opened, records[at : at + 17])
    for table, length in ((HOURS, 3600), (DAYS, 86_400)):
        expected = Counter(
            (int(row.created_at.timestamp() // length), row.is_bot, row.is_duplicate) for row in rows(opened)
        )
        with opened.read() as conn:
            got = {(r.bucket, r.is_bot, r.is_duplicate): r.clicks for r in conn.execute(select(table))}
        assert got == dict(expected)


def test_a_spool_line_is_stored_once(opened, link) -> None:
    """The position moves with the clicks: the same lines again, after a crash, change nothing."""
    lines = [record(link, n).line() for n in range(3)]
    spool = Lines("s.clicks", 0, sum(map(len, lines)), lines)
    parsed = parse_lines([*lines, b"[broken"])
    assert len(parsed) == 3
    assert put(opened, parsed, spool) == 3
    assert put(opened, parsed, spool) == 0
    assert len(rows(opened)) == 3
    with opened.read() as conn:
        assert spools.position(conn, "s.clicks") == spool.end


def test_clicks_of_forgotten_links_are_left_out(opened, link) -> None:
    """A team may be deleted while clicks wait: the others are stored all the same."""
    assert put(opened, [record(str(ULID()), 1), record(link, 2)]) == 1


def test_holds_and_refill(opened, link) -> None:
    """The latest click holds its pool link for six hours; a pool that runs low grows, with the job that makes links."""
    with opened.read() as conn:
        first, second = (row.id for row in pools.of_smart(conn, link))
    put(opened, [record(link, 1, "a", pool_id=first), record(link, 2, "b", pool_id=second)])
    put(opened, [record(link, 0, "late", pool_id=first)])  # an older click that arrives late takes nothing away
    with opened.read() as conn:
        members = pools.of_smart(conn, link)
        held = {row.id: row.held_until for row in members}
        assert held[first] == from_micros(int((T0 + timedelta(hours=6, minutes=1)).timestamp() * 1_000_000))
        assert [row.state for row in members] == ["ready"] * 2 + ["making"] * CONFIG.pool_size
        assert outbox.live(conn, "links.pool", link) is not None


def test_robots_hold_nothing(opened, link) -> None:
    """Neither is their click attributed anything."""
    with opened.read() as conn:
        first = pools.of_smart(conn, link)[0].id
    put(opened, [record(link, 1, user_agent="Googlebot/2.1", pool_id=first)])
    (row,) = rows(opened)
    assert (row.is_bot, row.pool_id) == (True, None)
    with opened.read() as conn:
        assert pools.of_smart(conn, link)[0].held_by is None


def test_a_prefetch_makes_no_duplicate_of_the_visit(opened, link) -> None:
    """Nor does the visit count as the robot's: people and robots have duplicates of their own."""
    put(opened, [record(link, 0, is_prefetch=True), record(link, 1), record(link, 2, is_prefetch=True)])
    put(opened, [record(link, 3), record(link, 4, is_prefetch=True)])
    found = [(row.is_bot, row.is_duplicate, row.gross_clicks) for row in rows(opened)]
    assert found == [(True, False, 3), (False, False, 2), (True, True, 1), (False, True, 1), (True, True, 1)]


@pytest.mark.parametrize("bots", [True, False])
@pytest.mark.parametrize("duplicates", [True, False])
def test_pages_are_what_an_offset_would_give(opened, link, bots, duplicates) -> None:
    """Pages by the counts equal a plain offset over all rows, for every filter."""
    records = [record(link, 23 * n, f"v{n % 5}", user_agent=BROWSER if n % 3 else "curl/8") for n in range(90)]
    put(opened, records)
    wanted = Filter(link, None, None, bots, duplicates)
    plain = [r.id for r in reversed(rows(opened)) if (bots or not r.is_bot) and (duplicates or not r.is_duplicate)]
    with opened.read() as conn:
        days = clicks.by_day(conn, wanted)
        assert sum(n for _, n in days) == len(plain)
        for offset in (0, 1, 7, 40, len(plain) - 1, len(plain), len(plain) + 5):
            page = clicks.page(conn, wanted, limit=7, offset=offset, days=days)
            assert [row.id for row in page] == plain[offset : offset + 7]
        day = days[0][0]
        inside = Filter(link, day, day, bots, duplicates)
        page = clicks.page(conn, inside, limit=1000, offset=0, days=clicks.by_day(conn, inside))
        assert len(page) == days[0][1]


def test_retention_forgets_clicks_and_keeps_counts(opened, link) -> None:
    """Raw rows go, figures stay."""
    put(opened, [record(link, n * 60, f"v{n}") for n in range(10)])
    with opened.write() as conn:
        assert clicks.prune(conn, before=T0 + timedelta(minutes=299), limit=100) == 5
    with opened.read() as conn:
        assert sum(n for _, n in clicks.by_day(conn, Filter(link))) == 10
    assert len(rows(opened)) == 5


def test_what_cannot_be_parsed_is_still_a_click() -> None:
    """Hostile text is cut and cleaned, never an error."""
    row = row_of(
        record("L" * 26, 0, user_agent="", query="utm_source=%ff%00&" + "a=1&" * 2000, ip="no address"), PLACES
    )
    assert row["params"] == {"utm_source": "\N{REPLACEMENT CHARACTER}"}  # the first thousand parameters
    assert (row["is_bot"], row["country_code"]) == (True, None)
    assert row_of(record("L" * 26, 0, query="utm_source=%ff&utm_source=b"), PLACES)["params"] == {
        "utm_source": "\ufffd"
    }
