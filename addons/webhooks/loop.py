"""Delivers due webhooks: leases them in batches, sends them lane by lane, and writes results in batches.

One loop runs in each worker. An endpoint has its own queue and its own number of requests at once, so that a slow one
delays no other; the deliveries of a lane (webhook and account) go out one after the other. A try whose result was not
written when the process died is made again, with the same idempotency key: at least once.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from itertools import groupby
from typing import TYPE_CHECKING

import structlog
from yarl import URL

from addons.webhooks.ladder import Ladder
from addons.webhooks.line import LOOK_S, Line, Pacing, Target
from addons.webhooks.sender import Message, Outcome, Sender
from ofapi_store.errors import SecretError, StoreError
from ofapi_store.queries import webhooks_delivery as deliveries
from ofapi_store.queries.webhooks_breaker import Breaker

if TYPE_CHECKING:
    from addons.jobs.job_metrics import JobMetrics
    from addons.pipeline.services import Services
    from ofapi_store.queries.webhooks_delivery import Endpoint, Leased, Result, Room

log = structlog.get_logger(__name__)

FLUSH_S = 0.02
MAX_FLUSH = 500
LANE_TURN = 50
TURN_S = 0.05
LOOK_SHARE_S = 0.02  # between two looks for lanes without any: thousands of slow endpoints look less often
STORE_RETRY_S = 1.0


class DeliveryLoop:
    """Runs until cancelled; then what is under way ends, and what waits in memory is given back.

    Args:
        services: `config.webhooks` and `config.jobs` set timing, retries and how much is held at once.
        name: who holds the leases; unique among senders.
        pacing: how an endpoint that only fails is spared.
    """

    def __init__(self, services: Services, name: str, *, pacing: Pacing | None = None) -> None:
        hooks = services.config.webhooks
        self.services = services
        self.name = name
        self.sent = 0
        self._config = hooks
        self._jobs = services.config.jobs
        self._pacing = pacing or Pacing()
        self._ladder = Ladder(tuple(hooks.retry_schedule_s), hooks.jitter)
        self._breaker = Breaker(hooks.pause_after, tuple(hooks.cooldown_s), hooks.events_per_credit)
        self._metrics: JobMetrics | None = services.parts.get("job_metrics")
        self._lines: dict[str, Line] = {}
        self._results: list[Result] = []
        self._have_results = asyncio.Event()
        self._wake = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._running = 0
        self._stopping = False
        self._beat_at = 0.0

    async def run(self) -> None:
        """Until cancelled. Store errors are logged and tried again."""
        self._sender = Sender(self.services.config)
        flusher = asyncio.create_task(self._flush_forever(), name="webhooks-results")
        try:
            while not flusher.done():
                self._wake.clear()
                try:
                    await self._turn()
                except StoreError as e:
                    log.warning("webhook store unavailable", error=str(e))
                    await asyncio.sleep(STORE_RETRY_S)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), self._jobs.poll_interval_s)
            flusher.result()  # it ends by an error only: what cannot be written must not stay unseen
        finally:
            await self._end(flusher)

    async def run_until_idle(self) -> int:
        """Sends what is due now and what that makes due at once; returns how many tries that were. For tests and tools."""
        self._sender, before = Sender(self.services.config), self.sent
        try:
            while await self._turn() or self._tasks or self._results:
                if self._tasks:
                    await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
                elif not self._results:
                    await asyncio.sleep(FLUSH_S)  # an endpoint that fails is given its gap
                await self._flush()
        finally:
            await self._sender.close()
        return self.sent - before

    # leasing

    async def _turn(self) -> bool:
        """Leases what there is room for, starts what may start. False: nothing is due or held."""
        store, now = self.services.store, self.services.clock()
        await self._beat()
        held = [webhook_id for webhook_id, line in self._lines.items() if line.outstanding]
        rows = await store.aread(deliveries.endpoints, held, now=now)
        rooms: dict[str, Room] = {}
        for row in rows:
            line = await self._line(row)
            if line is not None and row.due and (room := self._room(line, probe=row.probe)) is not None:
                rooms[row.id] = room
        await self._forget(known={row.id for row in rows})
        leased = 0
        if rooms:
            found = await store.awrite(
                deliveries.lease, self.name, rooms, lease_s=self._jobs.lease_s, now=self.services.clock()
            )
            for webhook_id, mine in groupby(found, key=lambda one: one.webhook_id):
                self._lines[webhook_id].fill(list(mine))
            leased = len(found)
        self._start_all()
        return bool(leased or any(line.outstanding for line in self._lines.values()))

    def _room(self, line: Line, *, probe: bool) -> Room | None:
        if probe and line.outstanding:
            return None
        look_s = max(LOOK_S, LOOK_SHARE_S * len(self._lines))
        return line.room(self._config.max_batch, time.monotonic(), look_s=look_s)

    async def _line(self, row: Endpoint) -> Line | None:
        """The line of a webhook, with its settings of now; None (and its queue given back) where it does not send."""
        line = self._lines.get(row.id)
        if line is not None and (not row.sends or line.suspect or line.target.updated_at != row.updated_at):
            await self._give_back(line)
        if not row.sends:
            return None
        if line is None:
            line = self._lines[row.id] = Line(self._target(row), self._pacing, self._config.parallel_per_host)
        elif line.target.updated_at != row.updated_at:
            line.target = self._target(row)
        return line

    def _target(self, row: Endpoint) -> Target:
        try:
            url = URL(row.url)
            secret = self.services.secrets.decrypt(row.secret) if row.secret else None
        except (SecretError, ValueError) as e:
            return Target(URL("http://invalid."), None, row.updated_at, str(e))
        return Target(url, secret, row.updated_at)

    async def _forget(self, known: set[str]) -> None:
        """Lines without work go, those of deleted webhooks with their queues."""
        for webhook_id, line in list(self._lines.items()):
            if webhook_id in known:
                continue
            line.drop_queue()
            if not line.running and not (line.failures and line.held_until > time.monotonic()):
                del self._lines[webhook_id]

    async def _give_back(self, line: Line) -> None:
        dropped = line.drop_queue()
        if dropped:
            await self.services.store.awrite(deliveries.release, self.name, dropped, now=self.services.clock())

    async def _beat(self) -> None:
        """Every third of a lease: holds on to what is held, and takes back what others lost, or this one by an error."""
        if time.monotonic() - self._beat_at < self._jobs.lease_s / 3:
            return
        self._beat_at = time.monotonic()
        store, now = self.services.store, self.services.clock()
        held = frozenset[int]().union(*(line.held for line in self._lines.values()))
        await store.awrite(deliveries.extend, self.name, held, lease_s=self._jobs.lease_s, now=now)
        if await store.awrite(deliveries.sweep, now=now):
            log.info("webhook deliveries of a lost sender taken back")

    # sending

    def _start_all(self) -> None:
        for line in self._lines.values():
            self._start(line)

    def _start(self, line: Line) -> None:
        """Beyond `parallel` requests an endpoint that has none under way still gets one: none waits for another."""
        while (self._running < self._config.parallel or not line.running) and not self._stopping:
            lane = line.take_lane(time.monotonic())
            if lane is None:
                return
            self._running += 1
            task = asyncio.create_task(self._send_lane(line, lane), name="webhook-lane")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _send_lane(self, line: Line, lane: str) -> None:
        try:
            over = time.monotonic() + TURN_S
            for n in range(LANE_TURN):
                if n and line.others_wait and time.monotonic() > over:
                    break
                if self._stopping or (line.suspect and time.monotonic() < line.held_until):
                    break
                delivery = line.next(lane)
                if delivery is None:
                    break
                await self._send(line, delivery)
        finally:
            self._running -= 1
            line.give_back(lane)
            self._start(line)

    async def _send(self, line: Line, delivery: Leased) -> None:
        target, clock = line.target, self.services.clock
        message = Message(
            delivery.event,
            delivery.account_id,
            delivery.key,
            delivery.payload,
            delivery.uuid,
            delivery.redelivered_from,
        )
        if target.problem:
            outcome = Outcome(0, error_type="secret", error_message=target.problem)
        else:
            outcome = await self._sender.send(target.url, target.secret, message, int(clock().timestamp()))
        self.sent += 1
        if self._metrics is not None:
            self._metrics.tries.labels(outcome.error_type or "ok").inc()
        line.heard(ok=outcome.ok, now=time.monotonic(), retry_after_s=outcome.retry_after_s)
        self._results.append(self._ladder.result(delivery, outcome, clock()))
        self._have_results.set()

    # writing down

    async def _flush_forever(self) -> None:
        while True:
            await self._have_results.wait()
            await asyncio.sleep(FLUSH_S)
            try:
                await self._flush()
            except StoreError as e:
                log.warning("webhook results not written yet", waiting=len(self._results), error=str(e))
                await asyncio.sleep(STORE_RETRY_S)
            self._wake.set()

    async def _flush(self) -> None:
        """Writes what has ended. On an error it stays for the next call."""
        self._have_results.clear()
        while batch := self._results[:MAX_FLUSH]:
            try:
                stopped = await self.services.store.awrite(
                    deliveries.settle, self.name, batch, self._breaker, now=self.services.clock()
                )
            except StoreError:
                self._have_results.set()
                raise
            del self._results[: len(batch)]
            for result in batch:
                if (line := self._lines.get(result.delivery.webhook_id)) is not None:
                    line.held.discard(result.delivery.id)
            for webhook_id in stopped:
                log.warning("webhook stopped", webhook=webhook_id)
                if (line := self._lines.get(webhook_id)) is not None:
                    await self._give_back(line)

    async def _end(self, flusher: asyncio.Task[None]) -> None:
        """Lets requests end within the grace, writes their results, gives the rest back."""
        self._stopping = True
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=self._jobs.shutdown_grace_s)
        flusher.cancel()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(flusher, *self._tasks, return_exceptions=True)
        with contextlib.suppress(StoreError):
            await self._flush()
            await self.services.store.awrite(deliveries.release_all, self.name)
        await self._sender.close()
