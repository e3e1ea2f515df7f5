"""The loop at work: order, fairness, what a stop, a change or an error of the store leaves behind."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from addons.webhooks import loop as module
from addons.webhooks.line import Pacing
from addons.webhooks.loop import DeliveryLoop
from ofapi_store.engine import Store
from ofapi_store.errors import StoreUnavailable
from ofapi_store.queries import webhooks
from tests.addons.webhooks.conftest import Rig
from tests.addons.webhooks.receiver import Receiver


async def until(condition: Callable[[], bool], timeout_s: float = 60.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.005)


@asynccontextmanager
async def running(*loops: DeliveryLoop) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(loop.run()) for loop in loops]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_order_per_account_is_kept(rig: Rig, receiver: Receiver) -> None:
    """Accounts go side by side, the events of one in the order in which they happened."""
    rig.hook(receiver.url())
    for _ in range(15):
        for account in ("acct_a", "acct_b", "acct_c"):
            rig.emit(account=account)
    await rig.deliver()
    by_account: dict[str, list[int]] = {}
    for got in receiver.got:
        by_account.setdefault(got.body["account_id"], []).append(got.body["payload"]["n"])
    assert {account: len(seen) for account, seen in by_account.items()} == {"acct_a": 15, "acct_b": 15, "acct_c": 15}
    assert all(seen == sorted(seen) for seen in by_account.values())


async def test_the_backlog_of_one_account_delays_no_other(rig: Rig, receiver: Receiver) -> None:
    """While 600 of an account wait at a slow endpoint, what comes for others, or for the team, goes out at once."""
    receiver.slow_s = 0.01
    rig.hook(receiver.url("/slow"))
    rig.emit(600)
    async with running(rig.loop()):
        await until(lambda: len(receiver.got) >= 40)
        rig.emit(2, account="acct_b")
        rig.emit(account=None)
        before = len(receiver.got)
        await until(lambda: len(receiver.got) >= 600)
    accounts = [got.body.get("account_id") for got in receiver.got]
    assert {accounts.index("acct_b") < before + 200, accounts.index(None) < before + 200} == {True}
    mine = [got.body["payload"]["n"] for got in receiver.got if got.body.get("account_id") == "acct_a"]
    assert mine == sorted(mine)


async def test_an_account_whose_deliveries_only_fail_keeps_no_other_back(
    sqlite_store: Store, rig_of: Callable[..., Rig], receiver: Receiver
) -> None:
    """Its tries that are due are many, and the endpoint is asked one at a time: the other's new one has its turn."""
    rig = rig_of(sqlite_store, webhooks={"retry_schedule_s": [0] * 50, "pause_after": 1000})
    receiver.refused = "acct_a"
    rig.hook(receiver.url())
    rig.emit(60)
    async with running(rig.loop(pacing=Pacing(after=3, first_s=0.05, max_s=0.05))):
        await until(lambda: len(receiver.got) >= 12)
        rig.emit(account="acct_b")
        before = len(receiver.got)
        await until(lambda: any(got.body["account_id"] == "acct_b" for got in receiver.got))
    accounts = [got.body["account_id"] for got in receiver.got]
    assert accounts.index("acct_b") < before + 8


async def test_many_accounts_take_turns_at_a_slow_endpoint(
    sqlite_store: Store, rig_of: Callable[..., Rig], receiver: Receiver
) -> None:
    """Each of thirty accounts with a backlog has had its second delivery before any has had its tenth."""
    receiver.slow_s = 0.06
    rig = rig_of(sqlite_store, webhooks={"parallel_per_host": 4})
    rig.hook(receiver.url("/slow"))
    for n in range(30):
        rig.emit(20, account=f"acct_{n}")
    async with running(rig.loop()):
        await until(lambda: len(receiver.got) >= 120)
    accounts = [got.body["account_id"] for got in receiver.got]
    tenth = next((n for n in range(len(accounts)) if accounts[: n + 1].count(accounts[n]) == 10), len(accounts))
    assert all(accounts[:tenth].count(f"acct_{n}") >= 2 for n in range(30))


async def test_a_slow_endpoint_delays_no_other(
    sqlite_store: Store, rig_of: Callable[..., Rig], receiver: Receiver
) -> None:
    """Even with one request at once in the whole worker, the fast endpoint is served while the slow ones hang."""
    rig = rig_of(sqlite_store, webhooks={"parallel": 1, "jitter": 0, "total_timeout_s": 120})
    for n in range(5):
        rig.hook(receiver.url(f"/held-{n}"))
    rig.hook(receiver.url())
    rig.emit(10)
    async with running(rig.loop()):
        await until(lambda: len(receiver.at("/ok")) == 10 and len(receiver.got) >= 15)
        assert len(receiver.got) == 15


async def test_a_dead_endpoint_hangs_alone_and_gets_everything_once_it_works(
    rig_of: Callable[..., Rig], store: Store, receiver: Receiver
) -> None:
    """While it takes requests and never answers, others get all of theirs; afterwards nothing is missing."""
    rig = rig_of(store, webhooks={"total_timeout_s": 0.2})
    dead = rig.hook(receiver.url("/held"))
    rig.hook(receiver.url())
    for n in range(60):
        rig.emit(account=f"acct_{n % 3}")
    loop = rig.loop(pacing=Pacing(after=3, first_s=0.05, max_s=0.2))
    async with running(loop):
        await until(lambda: len(receiver.at("/ok")) == 60 and loop._lines[dead].suspect)
        receiver.release.set()
        await until(lambda: ("delivered", 1) in rig.states(dead))
        rig.pass_time(minutes=10)
        await until(lambda: {state for state, _ in rig.states()} == {"delivered"})
    assert {got.body["payload"]["n"] for got in receiver.at("/held")} == set(range(60))


async def test_what_a_failing_endpoint_does_not_take_is_given_back(
    sqlite_store: Store, rig_of: Callable[..., Rig], receiver: Receiver
) -> None:
    """A thousand dead endpoints do not fill the memory: but for the next try, their deliveries wait in the store."""
    rig = rig_of(sqlite_store)
    rig.hook(receiver.url("/fail"))
    for n in range(40):
        rig.emit(account=f"acct_{n % 20}")
    async with running(rig.loop(pacing=Pacing(after=3, first_s=60, max_s=60))):
        await until(lambda: [state for state, _ in rig.states()] == ["pending"] * 40 and len(receiver.got) >= 3)


async def test_an_endpoint_gets_no_more_requests_at_once_than_configured(
    sqlite_store: Store, rig_of: Callable[..., Rig], receiver: Receiver
) -> None:
    """`parallel_per_host`."""
    rig = rig_of(sqlite_store, webhooks={"parallel_per_host": 3, "total_timeout_s": 120})
    rig.hook(receiver.url("/held"))
    for n in range(12):
        rig.emit(account=f"acct_{n}")
    async with running(rig.loop()):
        await until(lambda: receiver.running == 3)
        receiver.release.set()
        await until(lambda: rig.states() == [("delivered", 1)] * 12)
    assert receiver.most == 3


async def test_an_endpoint_that_only_fails_is_spared(
    sqlite_store: Store, rig_of: Callable[..., Rig], receiver: Receiver
) -> None:
    """After some failures in a row it is asked once per gap; one success brings back full speed."""
    rig = rig_of(sqlite_store)
    receiver.broken = True
    rig.hook(receiver.url())
    for n in range(40):
        rig.emit(account=f"acct_{n}")
    gap_s, began = 0.2, time.monotonic()
    async with running(rig.loop(pacing=Pacing(after=3, first_s=gap_s, max_s=gap_s))):
        await until(lambda: len(receiver.got) >= 10)  # eight at once, then one after the other
        assert len(receiver.got) <= 9 + (time.monotonic() - began) / gap_s
        receiver.broken = False
        await until(lambda: ("delivered", 1) in rig.states())  # so all failures have been judged
        rig.pass_time(seconds=5)
        await until(lambda: all(state == "delivered" for state, _ in rig.states()))


async def test_settings_changed_meanwhile_hold_for_what_waits(
    rig_of: Callable[..., Rig], store: Store, receiver: Receiver
) -> None:
    """Deliveries in memory are given back and go to the new address, in order; those of a deleted webhook go nowhere."""
    rig = rig_of(store, webhooks={"total_timeout_s": 120})
    hook, other = rig.hook(receiver.url("/held")), rig.hook(receiver.url("/held-other"))
    rig.emit(5)
    loop = rig.loop()
    async with running(loop):
        await until(lambda: len(receiver.got) == 2)
        rig.pass_time(seconds=1)
        with rig.store.write() as conn:
            webhooks.change(
                conn, rig.team_id, hook, url=receiver.url("/ok-new"), events=["x"], account_scope="global", now=rig.now
            )
            webhooks.remove(conn, rig.team_id, other)
        await until(lambda: loop._lines[hook].target.url.path == "/ok-new" and not loop._lines[other].queued)
        receiver.release.set()
        await until(lambda: rig.states() == [("delivered", 1)] * 5)
    assert [got.body["payload"]["n"] for got in receiver.at("/held")] == [0]
    assert [got.body["payload"]["n"] for got in receiver.at("/ok-new")] == [1, 2, 3, 4]
    assert len(receiver.at("/held-other")) == 1


async def test_a_stop_gives_back_what_waits(rig_of: Callable[..., Rig], store: Store, receiver: Receiver) -> None:
    """What is under way gets its grace; nothing stays leased, so that another worker goes on at once."""
    rig = rig_of(store, jobs={"poll_interval_s": 0.02, "shutdown_grace_s": 60}, webhooks={"total_timeout_s": 120})
    rig.hook(receiver.url("/held"))
    rig.emit(5)
    task = asyncio.create_task(rig.loop().run())
    await until(lambda: len(receiver.got) == 1)
    task.cancel()
    await asyncio.sleep(0)  # it has heard of it
    receiver.release.set()
    await asyncio.gather(task, return_exceptions=True)
    assert rig.states() == [("delivered", 1), *[("pending", 0)] * 4]


async def test_a_disabled_webhook_keeps_nothing_waiting(rig: Rig, receiver: Receiver) -> None:
    """410 ends what was in memory and what was under way, too: enabled again, it sends only what is new."""
    hook = rig.hook(receiver.url("/held"))
    for n in range(6):
        rig.emit(account=f"acct_{n}")
    rig.emit(300)
    async with running(rig.loop()):
        await until(lambda: receiver.running == 7)
        receiver.answers = [410] + [500] * 6
        receiver.release.set()
        await until(lambda: not {state for state, _ in rig.states()} & {"pending", "leased"})
    assert rig.webhook(hook).state == "disabled"
    assert ("cancelled", 0) in rig.states()


async def test_two_senders_double_nothing_and_keep_the_order(rig: Rig, receiver: Receiver) -> None:
    """A lane belongs to one sender at a time."""
    rig.hook(receiver.url())
    rig.hook(receiver.url("/ok-two"))
    for n in range(120):
        rig.emit(account=f"acct_{n % 4}")
    async with running(rig.loop("one"), rig.loop("two")):
        await until(lambda: all(state == "delivered" for state, _ in rig.states()))
    for path in ("/ok", "/ok-two"):
        seen = [(got.body["account_id"], got.body["payload"]["n"]) for got in receiver.at(path)]
        assert len(seen) == len(set(seen)) == 120
        for n in range(4):
            mine = [number for account, number in seen if account == f"acct_{n}"]
            assert mine == sorted(mine)


@pytest.mark.parametrize("failing", ["settle", "release", "lease"])
async def test_a_store_that_fails_for_a_moment_costs_and_doubles_nothing(
    sqlite_store: Store, rig_of: Callable[..., Rig], receiver: Receiver, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    """Results are written later; what was leased, or given back, by a write that was not heard of is free again."""
    monkeypatch.setattr(module, "STORE_RETRY_S", 0.02)
    rig = rig_of(sqlite_store)
    receiver.broken = failing == "release"
    rig.hook(receiver.url())
    for n in range(20):
        rig.emit(account=f"acct_{n}")
    real, target, failed = sqlite_store.awrite, getattr(module.deliveries, failing), []

    async def flaky(fn, *args, **kwargs):  # type: ignore[no-untyped-def]
        if fn is not target or len(failed) == 3:
            return await real(fn, *args, **kwargs)
        failed.append(await real(fn, *args, **kwargs) if failing == "lease" else None)
        raise StoreUnavailable("locked")

    monkeypatch.setattr(sqlite_store, "awrite", flaky, raising=False)
    async with running(rig.loop(pacing=Pacing(after=3, first_s=0.02, max_s=0.02))):
        await until(lambda: bool(failed))
        receiver.broken = False
        await until(lambda: any(state == "delivered" for state, _ in rig.states()))
        rig.pass_time(minutes=10)
        await until(lambda: all(state == "delivered" for state, _ in rig.states()))
    assert len({got.key for got in receiver.got}) == 20
    assert failing == "release" or len(receiver.got) == 20


async def test_a_bug_ends_the_loop_instead_of_its_flow(
    sqlite_store: Store, rig_of: Callable[..., Rig], receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker sees it, logs it and starts the loop again; nobody waits for results that will not be written."""
    rig = rig_of(sqlite_store)
    rig.hook(receiver.url())
    rig.emit()
    real = sqlite_store.awrite

    async def broken(fn, *args, **kwargs):  # type: ignore[no-untyped-def]
        if fn is module.deliveries.settle:
            raise RuntimeError("bug")
        return await real(fn, *args, **kwargs)

    monkeypatch.setattr(sqlite_store, "awrite", broken, raising=False)
    async with asyncio.timeout(60):
        with pytest.raises(RuntimeError, match="bug"):
            await rig.loop().run()
    monkeypatch.setattr(sqlite_store, "awrite", real)
    rig.pass_time(seconds=2)
    await rig.deliver()
    assert rig.states() == [("delivered", 1)]
