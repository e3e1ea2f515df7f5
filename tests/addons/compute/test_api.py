"""What a computed handler gets: the request as checked, the clock of the services, and a ledger that is up to date."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from addons.compute.api import Answer, Call
from ofapi_store.engine import Store
from ofapi_store.queries import credits
from ofapi_store.secrets import SecretBox
from tests.addons.pipeline.harness import Bench, make_bench


@pytest.fixture
async def bench(sqlite_store: Store, secret_box: SecretBox, tmp_path: Path) -> AsyncIterator[Bench]:
    made = make_bench(sqlite_store, secret_box, tmp_path)
    yield made
    await made.gateway.close()


async def handled(bench: Bench, target: str = "/api/{a}/notes") -> Call:
    """The call that a handler gets from the gateway."""
    calls: list[Call] = []

    async def handler(call: Call) -> Answer:
        calls.append(call)
        return Answer({})

    bench.gateway.parts.handlers = {**bench.gateway.parts.handlers, "notes.add": handler}
    got = await bench.call("POST", target, body=b'{"name":"n","extra":[1]}')
    assert got.status == 200
    (call,) = calls
    return call


async def test_a_call_says_who_asks_what(bench: Bench) -> None:
    """Path parameters, checked body, team, key, account; the root that the client used, and the dialect's prefix."""
    call = await handled(bench)
    assert (dict(call.params), call.body) == ({"account": bench.account.id}, {"name": "n", "extra": [1]})
    assert call.account is not None
    assert (call.team.id, call.account.id, call.client_ip) == (bench.team.id, bench.account.id, "127.0.0.1")
    assert (call.base_url, call.prefix) == ("http://gw.test:8080", "/api")
    assert (await handled(bench, "/{a}/notes")).prefix == ""
    assert (call.upstream, call.queries, dict(call.args)) == (None, [], {})


async def test_now_is_the_clock_of_the_services(bench: Bench) -> None:
    """One clock for all: tests and replays set it."""
    call = await handled(bench)
    bench.services.clock = lambda: datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC)
    assert call.now() == datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC)


async def test_booked_waits_for_what_was_answered_so_far(bench: Bench) -> None:
    """A report on credits holds the request before it."""
    await bench.raw("{a}/costly", settle=False)
    call = await handled(bench)
    await call.booked()
    with bench.store.read() as conn:
        assert credits.balance(conn, bench.team.id) <= 1000 - 7


async def test_booked_without_a_meter_is_nothing_to_wait_for(bench: Bench) -> None:
    """Programs that answer without credits have none."""
    call = await handled(bench)
    del bench.services.parts["meter"]
    await call.booked()
