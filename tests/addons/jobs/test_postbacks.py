"""Postbacks on their way: enqueued with the conversion, sent by a worker to a real receiver, retried, refused, logged."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from addons.jobs.postbacks import JOBS, opened
from addons.jobs.registry import Registry
from addons.jobs.worker import Worker
from addons.pipeline.services import Services
from ofapi_store import outbox, testing
from ofapi_store.engine import Store
from ofapi_store.queries import conversions, postbacks
from ofapi_store.queries.postbacks import RESPONSES
from tests.addons.links.making import START, convert, make_click, make_smart
from tests.addons.webhooks.conftest import LOOPBACK
from tests.addons.webhooks.receiver import Receiver

ALL = list(conversions.TYPES)


@dataclass
class Rig:
    """A team with one smart link, a click of it, and a clock that stands still."""

    store: Store
    services: Services
    team: str
    account: str
    smart: str
    click: str
    now: datetime = START
    fans: int = 0
    ids: list[int] = field(default_factory=list)

    def postback(self, url: str, *, headers: list[dict[str, str]] | None = None, links: Any = (), **values: Any) -> int:
        settings = {"url": url, "http_method": "GET", "body": None, "conversion_types": ALL, "scope": "global"}
        settings |= {"headers": self.services.secrets.encrypt_json(headers) if headers else None, **values}
        with self.store.write() as conn:
            return postbacks.create(conn, self.team, settings, list(links), now=self.now).id

    def convert(self, smart: str | None = None, **payments: tuple[int, int]) -> list[conversions.ConversionRow]:
        """A new fan's conversions, followed as the revenue job does it."""
        self.fans += 1
        with self.store.write() as conn:
            made = convert(conn, self.account, smart or self.smart, self.click, fan=self.fans, **payments)
            self.services.parts["on_conversions"](conn, self.account, made)
        return made

    async def work(self) -> int:
        return await Worker(self.services, Registry(JOBS)).run_until_idle()

    def tries(self) -> list[Any]:
        with self.store.read() as conn:
            return list(conn.execute(select(RESPONSES).order_by(RESPONSES.c.id)))

    def jobs(self) -> list[outbox.Job]:
        with self.store.read() as conn:
            return outbox.list_jobs(conn, kind=postbacks.JOB)


@pytest.fixture
async def rig_of(services_of: Callable[..., Services]) -> AsyncIterator[Callable[..., Any]]:
    """Makes rigs over a store; sections of the config can be given."""
    async with AsyncExitStack() as ends:

        async def make(store: Store, **sections: Any) -> Rig:
            base = {"network": LOOPBACK, "webhooks": {"jitter": 0}, "jobs": {"concurrency": 16}}
            services = services_of(store, **{**base, **sections})
            with store.write() as conn:
                team = testing.make_team(conn).id
                account = testing.make_account(conn, team).id
                smart = make_smart(conn, team, account)
                click = make_click(conn, smart, 1, {"external_click_id": "e/1 é", "fbclid": 'f"b'})
            rig = Rig(store, services, team, account, smart, click)
            services.clock = lambda: rig.now
            await ends.enter_async_context(opened(services))
            return rig

        yield make


@pytest.fixture
async def rig(store: Store, rig_of: Callable[..., Any]) -> Rig:
    """On both databases."""
    made: Rig = await rig_of(store)
    return made


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver().listening() as running:
        yield running


async def test_a_conversion_calls_every_postback_that_is_for_it(rig: Rig, receiver: Receiver) -> None:
    """By type and by scope, other teams' never; a conversion known before is not sent again."""
    with rig.store.write() as conn:
        second = make_smart(conn, rig.team, rig.account, 2)
        foreign = testing.make_team(conn).id
    rig.postback(receiver.url("/ok-all"))
    rig.postback(receiver.url("/ok-money"), conversion_types=["new_transaction"])
    rig.postback(receiver.url("/ok-second"), scope="campaign_specific", links=[second])
    settings = {"url": receiver.url("/ok-foreign"), "http_method": "GET", "body": None, "headers": None}
    with rig.store.write() as conn:
        settings |= {"conversion_types": ALL, "scope": "global"}
        postbacks.create(conn, foreign, settings, [], now=rig.now)
    rig.convert(t1=(1000, 800))
    assert await rig.work() == len(rig.jobs()) == 3
    assert sorted(got.path for got in receiver.got) == ["/ok-all", "/ok-all", "/ok-money"]
    with rig.store.write() as conn:
        again = convert(conn, rig.account, rig.smart, rig.click, fan=rig.fans, t1=(1000, 800))
        assert again == []
    rig.convert(second, t9=(0, 0))  # a payment that had gone back before it was seen: nobody is told
    await rig.work()
    assert len(receiver.at("/ok-second")) == 1
    assert not receiver.at("/ok-foreign")


async def test_get_and_post_carry_the_clicks_values(rig: Rig, receiver: Receiver) -> None:
    """Method, encoded URL, JSON body, custom headers; the try is logged with the URL as it was sent."""
    url = receiver.url("/ok?cid={external_click_id}&t={conversion_type}&a={amount_gross}&n={gclid}")
    get = rig.postback(url, conversion_types=["new_transaction"])
    body = '{"id": "{fbclid}", "net": {amount_net}, "key": {conversion_id}}'
    headers = [{"name": "X-Key", "value": "secret {click_id}"}]
    post = rig.postback(
        receiver.url("/ok-post"), conversion_types=["new_transaction"], http_method="POST", body=body, headers=headers
    )
    conversion = next(c for c in rig.convert(t1=(1250, 1000)) if c.type == "new_transaction")
    await rig.work()
    by_path = {got.path: got for got in receiver.got}
    assert by_path["/ok"].raw == b""
    assert by_path["/ok-post"].body == {"id": 'f"b', "net": 10, "key": conversion.id}
    assert by_path["/ok-post"].headers["X-Key"] == f"secret {rig.click}"
    assert by_path["/ok-post"].headers["Content-Type"] == "application/json"
    tries = {one.postback_id: one for one in rig.tries()}
    assert tries[get].postback_url == receiver.url("/ok?cid=e%2F1%20%C3%A9&t=new_transaction&a=12.50&n=")
    assert (tries[get].status_code, tries[get].succeeded, tries[get].error_type) == (204, True, None)
    assert (tries[post].conversion_id, tries[post].conversion_type) == (conversion.id, "new_transaction")
    with rig.store.read() as conn:
        assert set(postbacks.latest_responses(conn, [get, post])) == {get, post}


async def test_the_ladder_is_climbed_to_its_end(rig: Rig, receiver: Receiver) -> None:
    """Waits of `webhooks.retry_schedule_s`, every try the same request, then failed for good."""
    rig.postback(receiver.url("/fail?c={conversion_id}"), conversion_types=["new_subscriber"])
    rig.convert()
    waits = rig.services.config.webhooks.retry_schedule_s
    for tried, wait in enumerate(waits[1:], 1):
        assert await rig.work() == 1
        assert len(receiver.got) == tried
        rig.now += timedelta(seconds=wait - 0.5)
        assert await rig.work() == 0
        rig.now += timedelta(seconds=0.5)
    assert await rig.work() == 1
    rig.now += timedelta(days=30)
    assert await rig.work() == 0
    (job,) = rig.jobs()
    assert (job.state, job.attempts, len(receiver.got)) == ("failed", len(waits), len(waits))
    assert len({got.raw for got in receiver.got}) == len({one.postback_url for one in rig.tries()}) == 1
    assert {(one.status_code, one.succeeded, one.error_type) for one in rig.tries()} == {(500, False, "status")}


async def test_a_receiver_that_recovers_is_called_once_more(rig: Rig, receiver: Receiver) -> None:
    """The first 2xx ends it."""
    receiver.broken = True
    rig.postback(receiver.url("/ok"), conversion_types=["new_subscriber"])
    rig.convert()
    await rig.work()
    receiver.broken = False
    rig.now += timedelta(seconds=5)
    assert await rig.work() == 1
    rig.now += timedelta(days=30)
    assert await rig.work() == 0
    assert [one.succeeded for one in rig.tries()] == [False, True]
    assert [job.state for job in rig.jobs()] == ["done"]


@pytest.mark.parametrize(("path", "state"), [("/moved", "pending"), ("/busy", "pending"), ("/gone", "failed")])
async def test_answers_that_are_no_success(rig: Rig, receiver: Receiver, path: str, state: str) -> None:
    """No redirect is followed; Retry-After lengthens the wait; 410 ends it."""
    rig.postback(receiver.url(path), conversion_types=["new_subscriber"])
    rig.convert()
    await rig.work()
    (job,) = rig.jobs()
    assert job.state == state
    assert [got.path for got in receiver.got] == [path]
    if path == "/busy":
        assert job.next_at == rig.now + timedelta(seconds=120)


async def test_private_addresses_are_never_called(
    sqlite_store: Store, rig_of: Callable[..., Any], receiver: Receiver
) -> None:
    """The address is judged when it is connected to, by name and by number (design 7)."""
    rig = await rig_of(sqlite_store, network={})
    rig.postback(receiver.url("/ok"), conversion_types=["new_subscriber"])
    rig.postback(f"http://localhost:{receiver.port}/ok", conversion_types=["new_subscriber"])
    rig.convert()
    await rig.work()
    assert receiver.got == []
    assert [one.error_type for one in rig.tries()] == ["address", "address"]


async def test_a_receiver_that_hangs_leaves_room_for_others(
    sqlite_store: Store, rig_of: Callable[..., Any], receiver: Receiver
) -> None:
    """It holds a quarter of the worker's places, and each try ends in time."""
    rig = await rig_of(sqlite_store, jobs={"concurrency": 8}, webhooks={"jitter": 0, "total_timeout_s": 1.0})
    receiver.slow_s = 60.0
    rig.postback(receiver.url("/slow"), conversion_types=["new_subscriber"])
    for _ in range(6):
        rig.convert()
    rig.postback(receiver.url("/ok"), conversion_types=["new_subscriber"])
    rig.convert()
    await rig.work()
    assert receiver.most <= 3
    assert len(receiver.at("/ok")) == 1
    assert {one.error_type for one in rig.tries()} == {None, "timeout"}


async def test_what_was_deleted_or_narrowed_is_not_sent(rig: Rig, receiver: Receiver) -> None:
    """Jobs that wait look at the postback as it is when their turn comes."""
    gone = rig.postback(receiver.url("/ok-gone"))
    narrowed = rig.postback(receiver.url("/ok-narrowed"))
    rig.convert()
    with rig.store.write() as conn:
        assert postbacks.remove(conn, rig.team, gone)
        postbacks.change(conn, rig.team, narrowed, {"conversion_types": ["message_received"]}, [], now=rig.now)
    await rig.work()
    assert receiver.got == rig.tries() == []
    assert {job.state for job in rig.jobs()} == {"done"}


async def test_no_conversion_without_its_postback(rig: Rig, receiver: Receiver) -> None:
    """A transaction that is rolled back leaves neither."""
    rig.postback(receiver.url("/ok"))
    with pytest.raises(ZeroDivisionError), rig.store.write() as conn:
        made = convert(conn, rig.account, rig.smart, rig.click)
        rig.services.parts["on_conversions"](conn, rig.account, made)
        raise ZeroDivisionError
    assert rig.jobs() == []
    with rig.store.read() as conn:
        assert conn.execute(select(conversions.CONVERSIONS)).first() is None


async def test_headers_that_cannot_be_decrypted_are_reported(rig: Rig, receiver: Receiver) -> None:
    """A lost key is an error in the log of tries, and the postback waits for the key."""
    rig.postback(receiver.url("/ok"), headers=[{"name": "X", "value": "1"}], conversion_types=["new_subscriber"])
    with rig.store.write() as conn:
        conn.execute(postbacks.POSTBACKS.update().values(headers="nonsense"))
    rig.convert()
    await rig.work()
    assert [one.error_type for one in rig.tries()] == ["secret"]
    assert [job.state for job in rig.jobs()] == ["pending"]
    assert receiver.got == []


async def test_a_killed_worker_loses_no_postback(store_url: str, store: Store, rig: Rig, receiver: Receiver) -> None:
    """kill -9 while a receiver has the request: another worker sends it again, with the same conversion id."""
    receiver.slow_s = 60.0
    rig.now = datetime.now(UTC)
    postback = rig.postback(receiver.url("/slow?c={conversion_id}"), conversion_types=["new_subscriber"])
    rig.convert()
    command = (sys.executable, "-m", "tests.addons.jobs.dying_postbacks", store_url)
    child = await asyncio.create_subprocess_exec(*command)
    try:
        while not receiver.got:
            await asyncio.sleep(0.02)
            assert child.returncode is None
    finally:
        child.kill()
        await child.wait()
    assert rig.tries() == []
    assert [job.state for job in rig.jobs()] == ["running"]
    with store.write() as conn:
        settings = {"url": receiver.url("/ok?c={conversion_id}")}
        postbacks.change(conn, rig.team, postback, settings, [], now=rig.now)
        rig.now = datetime.now(UTC) + timedelta(seconds=2)
        assert outbox.sweep(conn, now=rig.now).requeued == 1
    assert await rig.work() == 1
    assert [one.succeeded for one in rig.tries()] == [True]
    assert len(receiver.at("/ok")) == 1


async def test_old_tries_are_forgotten(rig: Rig, receiver: Receiver) -> None:
    """After `webhooks.retention_days`."""
    rig.postback(receiver.url("/ok"), conversion_types=["new_subscriber"])
    rig.convert()
    await rig.work()
    rig.now += timedelta(days=29)
    rig.convert()
    await rig.work()
    rig.now += timedelta(days=2)
    with rig.store.write() as conn:
        outbox.enqueue(conn, "links.postbacks_prune", {}, now=rig.now)
    await rig.work()
    assert [one.created_at for one in rig.tries()] == [rig.now - timedelta(days=2)]
