"""Credits: reserved before upstream is asked, durable before the answer is out, given back where nothing was had."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from addons.config import Config
from addons.pipeline.credits import Debit, Meter, Prices
from addons.pipeline.errors import InsufficientCredits
from addons.pipeline.exchange import Response, UpstreamFailure
from addons.pipeline.runner import StepFailed
from ofapi_store.engine import Store
from ofapi_store.errors import StoreUnavailable
from ofapi_store.queries import credits as queries
from ofapi_store.secrets import SecretBox
from tests.addons.pipeline.harness import Bench, json_answer, make_bench


def stored(bench: Bench) -> int:
    with bench.store.read() as conn:
        return queries.balance(conn, bench.team.id)


def test_prices_come_from_the_rule_then_the_longest_name_then_the_default() -> None:
    """Contract 3 is data in config."""
    config = Config.build({"credits": {"default": 1, "operations": {"stored-*": 0, "stored-trial": 5, "search": 2}}})
    prices = Prices(config.credits)
    assert [prices.of(r, None) for r in ("stored-x", "stored-trial", "search", "other")] == [0, 5, 2, 1]
    assert prices.of("stored-x", 9) == 9
    assert [prices.of(r, None) for r in ("whoami", "webhooks-list", "webhooks-redeliver")] == [0, 0, 1]
    changed = Prices(Config.build({"credits": {"operations": {"whoami": 4, "webhooks-list": 3}}}).credits)
    assert [changed.of(r, None) for r in ("whoami", "webhooks-list", "webhooks-get", "other")] == [4, 3, 0, 1]


async def test_the_debit_is_stored_before_the_client_has_the_answer(both: Bench) -> None:
    """Invariant 9: `finish` returns after the commit."""
    both.upstream = lambda _: json_answer({})
    got = await both.api("{a}/costly")
    assert got.json["_meta"]["_credits"] == {"used": 7, "balance": 993, "note": "Always"}
    assert stored(both) == 993


@pytest.mark.parametrize(
    ("status", "used"),
    [(200, 1), (304, 1), (403, 1), (404, 1), (422, 1), (429, 0), (500, 0), (503, 0)],
)
async def test_upstreams_answers_cost_its_failures_do_not(bench: Bench, status: int, used: int) -> None:
    """Contract 3: upstream's errors may be charged, a 304 is; its 5xx and 429 are not."""
    bench.upstream = lambda _: json_answer({}, status)
    got = await bench.raw("{a}/x/y")
    await bench.gateway.parts.meter.flush()
    assert got.headers.get("X-OFAPI-Credits-Used") == str(used)
    assert stored(bench) == 1000 - used


async def test_refused_requests_cost_nothing(bench: Bench) -> None:
    """422, 404, 403 and unreachable upstreams."""
    bench.upstream = lambda _: UpstreamFailure("connect", "")
    for path in ("{a}/fans/active?limit=x", "acct_no/x/y", "nothing", "{a}/x/y"):
        await bench.raw(path)
    await bench.gateway.parts.meter.flush()
    assert stored(bench) == 1000


async def test_an_answer_that_we_fail_to_give_costs_nothing(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Upstream answered, a step that must not fail did."""

    async def breaks(*_: object) -> bytes:
        raise StepFailed("r", "s", "x")

    monkeypatch.setattr(bench.gateway.parts.editor, "response", breaks)
    bench.upstream = lambda _: json_answer({})
    got = await bench.raw("{a}/fans/active")
    assert (got.status, got.headers.get("X-OFAPI-Credits-Used")) == (503, "0")
    await bench.gateway.parts.meter.flush()
    assert stored(bench) == 1000


async def test_free_operations_say_so(bench: Bench) -> None:
    """`whoami` costs 0 and shows the balance."""
    got = await bench.raw("whoami")
    assert (got.headers.get("X-OFAPI-Credits-Used"), got.headers.get("X-OFAPI-Credits-Balance")) == ("0", "1000")


async def test_at_zero_is_a_402_and_nothing_goes_up(store: Store, secret_box: SecretBox, tmp_path: Path) -> None:
    """Two hundred at once on ten credits: exactly ten are served."""
    bench = make_bench(store, secret_box, tmp_path, balance=10)
    gate = asyncio.Event()
    bench.upstream = lambda _: json_answer({})
    answers = await asyncio.gather(*(bench.raw("{a}/x/y", settle=False) for _ in range(200)))
    gate.set()
    assert sorted({a.status for a in answers}) == [200, 402]
    assert len([a for a in answers if a.status == 200]) == len(bench.sent) == 10
    refused = next(a for a in answers if a.status == 402)
    assert refused.json["error"] == "insufficient_credits"
    assert stored(bench) == 0
    assert (await bench.raw("whoami")).status == 200
    await bench.gateway.close()


class Ledger:
    """A balance, and how often it was written."""

    def __init__(self, balance: int) -> None:
        self.balance = balance
        self.written: list[Debit] = []

    async def read(self, _: str) -> int:
        return self.balance

    async def write(self, debits: Sequence[Debit]) -> Mapping[str, int]:
        self.written += debits
        self.balance -= sum(d.credits for d in debits)
        return {"t": self.balance}


class Notebook:
    """A journal in memory that books when it is told to."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.bookings = 0
        self.on_booked: Callable[[Mapping[str, int], Mapping[str, int]], None] | None = None
        self.lines: list[Debit] = []
        self.full = False

    def append(self, debit: Debit) -> None:
        if self.full:
            raise OSError(28, "No space left on device")
        self.lines.append(debit)

    async def flush(self) -> None:
        lines, self.lines = self.lines, []
        self.bookings += 1
        balances = await self.ledger.write(lines)
        await asyncio.sleep(0)
        self.bookings += 1
        assert self.on_booked is not None
        self.on_booked({"t": sum(d.credits for d in lines)}, balances)


async def test_journalled_debits_count_at_once_and_are_booked_later() -> None:
    """The balance that clients see is exact before, during and after booking, and reads of the store do not shake it."""
    ledger = Ledger(1000)
    journal = Notebook(ledger)
    now = 0.0
    meter = Meter(ledger.read, ledger.write, journal, clock=lambda: now)
    held = [await meter.reserve(Debit("t", "a", "r", 2)) for _ in range(50)]
    assert all(r.written is None for r in held)
    assert (meter.last_balance("t"), ledger.balance) == (900, 1000)
    meter.refund(held[0])
    assert meter.last_balance("t") == 902
    booking = asyncio.create_task(meter.flush())
    await asyncio.sleep(0)
    now = 10.0
    assert (ledger.balance, await meter.balance("t")) == (902, 902)  # booked, but the meter has not heard of it
    await booking
    assert (meter.last_balance("t"), await meter.balance("t"), len(journal.lines)) == (902, 902, 0)


async def test_what_another_process_spent_is_seen() -> None:
    """Within a second: the store's balance counts."""
    ledger = Ledger(1000)
    now = 0.0
    meter = Meter(ledger.read, ledger.write, Notebook(ledger), clock=lambda: now)
    await meter.reserve(Debit("t", "a", "r", 1))
    ledger.balance -= 400
    now = 1.5
    assert await meter.balance("t") == 599


async def test_a_full_disk_writes_to_the_store() -> None:
    """`settle` then waits for the store's commit."""
    ledger = Ledger(10)
    journal = Notebook(ledger)
    journal.full = True
    meter = Meter(ledger.read, ledger.write, journal)
    reservation = await meter.reserve(Debit("t", "a", "r", 3))
    await meter.settle(reservation)
    assert (ledger.balance, meter.last_balance("t"), len(ledger.written)) == (7, 7, 1)


class Full(Ledger):
    """A store without room."""

    full = True
    tries = 0

    async def write(self, debits: Sequence[Debit]) -> Mapping[str, int]:
        self.tries += 1
        if self.full:
            raise StoreUnavailable("disk full")
        return await super().write(debits)


@pytest.mark.parametrize("journal_recovers", [False, True])
async def test_debits_that_nothing_takes_are_held_until_something_does(
    monkeypatch: pytest.MonkeyPatch, journal_recovers: bool
) -> None:
    """With disk and store full answers go out; the credits count at once, show in the health, and are booked once."""
    monkeypatch.setattr("addons.pipeline.credits._RETRY_S", (0.0, 0.0))
    monkeypatch.setattr("addons.pipeline.credits.HELD_RETRY_S", 0.01)
    ledger = Full(10)
    journal = Notebook(ledger)
    journal.full = True
    meter = Meter(ledger.read, ledger.write, journal)
    await meter.settle(await meter.reserve(Debit("t", "a", "r", 3)))
    assert ledger.tries == 3
    for _ in range(2):
        await meter.settle(await meter.reserve(Debit("t", "a", "r", 2)))
    with pytest.raises(InsufficientCredits):
        await meter.reserve(Debit("t", "a", "r", 4))
    assert "7 credits" in str(await meter.health())
    with pytest.raises(StoreUnavailable):
        await meter.flush()
    journal.full = not journal_recovers
    ledger.full = journal_recovers
    async with asyncio.timeout(10):
        while await meter.health() is not None:
            await asyncio.sleep(0.005)
    ledger.full = False
    await meter.close()
    assert (ledger.balance, meter.last_balance("t")) == (3, 3)
    assert sum(d.requests for d in ledger.written) == 3
    await meter.settle(await meter.reserve(Debit("t", "a", "r", 1)))


async def test_a_balance_that_cannot_be_read_is_counted_on() -> None:
    """From the last one known; a team never seen before is not let through on nothing."""
    ledger = Ledger(10)
    now = 0.0
    down = False

    async def read(team: str) -> int:
        if down:
            raise StoreUnavailable("down")
        return await ledger.read(team)

    meter = Meter(read, ledger.write, Notebook(ledger), clock=lambda: now)
    await meter.reserve(Debit("t", "a", "r", 4))
    now, down = 5.0, True
    await meter.reserve(Debit("t", "a", "r", 4))
    with pytest.raises(InsufficientCredits):
        await meter.reserve(Debit("t", "a", "r", 4))
    with pytest.raises(StoreUnavailable):
        await meter.reserve(Debit("new", "a", "r", 1))


async def test_usage_is_booked_by_account_and_operation(bench: Bench) -> None:
    """What `/usage/credits` reads; a refund takes its request back."""
    await bench.raw("{a}/costly")
    bench.upstream = lambda _: Response(500, json_answer({}).headers, b"{}")
    await bench.raw("{a}/costly")
    await bench.gateway.parts.meter.flush()
    from datetime import UTC, datetime

    with bench.store.read() as conn:
        rows = queries.usage(
            conn, bench.team.id, datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC), group_by="endpoint"
        )
    assert [(r.group, r.credits, r.requests) for r in rows] == [("costly", 7, 1)]
