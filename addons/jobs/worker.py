"""The worker: runs due rows of the outbox as asyncio tasks.

A row is leased, run, and settled (done, later, failed). While it runs its lease is extended; a worker that dies lets the
lease run out, and any other takes the row over. Several workers on one store share the work without doubling it.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import random
import secrets
import socket
import time
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import structlog

from addons.jobs import leasing
from addons.jobs.job_metrics import JobMetrics
from addons.jobs.registry import Again, GiveUp, Job, JobKind, Registry, RetryLater, load_registry
from ofapi_store import outbox
from ofapi_store.errors import LeaseLost, StoreError

if TYPE_CHECKING:
    from addons.pipeline.services import Services
    from ofapi_store.outbox import Job as JobRow

log = structlog.get_logger(__name__)

JITTER = 0.2
WATCH_S = 0.5
LOOP_RETRY_S = 1.0
PERIODIC_KEY = leasing.PERIODIC_KEY


def worker_name() -> str:
    """Host, process and a random part: unique among all workers of a store."""
    return f"{socket.gethostname()[:40]}:{os.getpid()}:{secrets.token_hex(3)}"


class Worker:
    """Runs jobs until told to stop.

    Args:
        services: as built for the gateway; `services.config.jobs` sets concurrency, lease and backoff.
        registry: job kinds; default all families.
        name: who holds the leases; default made from host and process.
    """

    def __init__(self, services: Services, registry: Registry | None = None, *, name: str | None = None) -> None:
        self.services = services
        self.registry = registry or load_registry()
        self.name = name or worker_name()
        self.metrics = JobMetrics()
        services.parts["job_registry"] = self.registry
        services.parts["job_metrics"] = self.metrics
        self._config = services.config.jobs
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._rows: dict[int, JobRow] = {}
        self._lost: set[int] = set()
        self._stop = asyncio.Event()
        self._wake = asyncio.Event()
        self._settled = [k for k, kind in self.registry.kinds.items() if kind.on_failed]

    def stop(self) -> None:
        """Lease nothing more; `run` returns when what runs has ended or was released."""
        self._stop.set()
        self._wake.set()

    async def run(self) -> None:
        """Until `stop()`. Store errors are logged and tried again: a worker does not die of a locked database."""
        log.info("worker started", worker=self.name, kinds=len(self.registry.kinds))
        beside = [asyncio.create_task(self._watch(), name="worker-watch")]
        beside += [asyncio.create_task(self._keep(name), name=f"loop-{name}") for name in self.registry.loops]
        try:
            while not self._stop.is_set():
                try:
                    await self._ensure_periodic()
                    await self._serve()
                except StoreError as e:
                    log.warning("job store unavailable", error=str(e))
                    await self._sleep(max(1.0, self._config.poll_interval_s))
        finally:
            for task in beside:
                task.cancel()
            await asyncio.gather(self._drain(), *beside, return_exceptions=True)
            log.info("worker stopped", worker=self.name)

    async def run_until_idle(self) -> int:
        """Runs what is due now and what that makes due at once; returns how many tries that were."""
        count = 0
        while True:
            count += await self._lease()
            if not self._tasks:
                return count
            await asyncio.wait(self._tasks.values(), return_when=asyncio.FIRST_COMPLETED)

    async def _keep(self, name: str) -> None:
        """Runs a loop of a family; one that ends is started again."""
        while True:
            try:
                await self.registry.loops[name](self.services, self.name)
            except Exception as e:
                log.error("worker loop failed", loop=name, exc_info=e)
            await asyncio.sleep(LOOP_RETRY_S)

    # leasing

    async def _ensure_periodic(self) -> None:
        wanted = {k: s for k, seconds in self.registry.periodic.items() if (s := seconds(self.services.config)) > 0}
        await self.services.store.awrite(leasing.ensure, wanted, self.services.clock())

    async def _serve(self) -> None:
        while not self._stop.is_set():
            self._wake.clear()
            await self._lease()
            await self._sleep(self._config.poll_interval_s)

    async def _sleep(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), seconds)

    async def _lease(self) -> int:
        free = self._config.concurrency - len(self._tasks)
        running = Counter(row.kind for row in self._rows.values())
        limits = self._config.per_kind
        room = {k: n for k in self.registry.kinds if (n := limits.get(k, self._config.concurrency) - running[k]) > 0}
        now = self.services.clock()
        if free <= 0 or not await self.services.store.aread(leasing.due, room, now):
            return 0
        lease_s = self._config.lease_s
        rows = await self.services.store.awrite(
            leasing.lease, self.name, room=room, free=free, lease_s=lease_s, now=now
        )
        for row in rows:
            self._rows[row.id] = row
            task = asyncio.create_task(self._run_row(row), name=f"job-{row.kind}-{row.id}")
            self._tasks[row.id] = task
            task.add_done_callback(functools.partial(self._ended, row.id))
        return len(rows)

    def _ended(self, job_id: int, _: asyncio.Task[None]) -> None:
        self._tasks.pop(job_id, None)
        self._rows.pop(job_id, None)
        self._lost.discard(job_id)
        self._wake.set()

    # holding

    async def _watch(self) -> None:
        """Hears of cancelled jobs at once, extends leases in time, takes back what others lost."""
        beat = 0.0
        while True:
            try:
                if held := [i for i in self._tasks if i not in self._lost]:
                    self._cancel_lost(await self.services.store.aread(leasing.lost, self.name, held))
                if time.monotonic() - beat >= self._config.lease_s / 3:
                    beat = time.monotonic()
                    await self._beat()
            except StoreError as e:
                log.warning("job leases not extended", error=str(e))
            await asyncio.sleep(min(WATCH_S, self._config.lease_s / 3))

    async def _beat(self) -> None:
        store, now = self.services.store, self.services.clock()
        if held := list(self._tasks):
            lease_s = self._config.lease_s
            self._cancel_lost(await store.awrite(leasing.extend, self.name, held, lease_s=lease_s, now=now))
        swept = await store.awrite(leasing.sweep, settled=self._settled, now=now)
        if swept.requeued or swept.failed:
            self.metrics.taken_over.inc(swept.requeued + swept.failed)
            log.info("jobs of lost workers taken back", requeued=swept.requeued, failed=swept.failed)
            self._wake.set()

    def _cancel_lost(self, job_ids: list[int]) -> None:
        for job_id in job_ids:
            if job_id in self._tasks and job_id not in self._lost:
                self._lost.add(job_id)
                self._tasks[job_id].cancel()

    async def _drain(self) -> None:
        """Running jobs get their grace, resumable ones none; what is cancelled is free for other workers at once."""
        for job_id, task in self._tasks.items():
            if self.registry.kinds[self._rows[job_id].kind].resumable:
                task.cancel()
        tasks = list(self._tasks.values())
        if tasks:
            await asyncio.wait(tasks, timeout=self._config.shutdown_grace_s)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # running

    def _job(self, row: JobRow) -> Job:
        async def report(progress: Mapping[str, Any]) -> None:
            job.progress = dict(progress)
            lease_s, now = self._config.lease_s, self.services.clock()
            held = await self.services.store.awrite(
                outbox.extend, row.id, self.name, lease_s=lease_s, progress=job.progress, now=now
            )
            if not held:
                self._cancel_lost([row.id])

        job = Job.of_row(row)
        job.report = report
        return job

    async def _run_row(self, row: JobRow) -> None:
        started = time.monotonic()
        self.metrics.running.labels(row.kind).inc()
        try:
            outcome = await self._try(row)
        except LeaseLost:
            outcome = "lost"
        except StoreError as e:  # not settled: the lease runs out and the row is tried again
            log.error("job not settled", job=row.id, kind=row.kind, error=str(e))
            outcome = "lost"
        finally:
            self.metrics.running.labels(row.kind).dec()
        self.metrics.runs.labels(row.kind, outcome).inc()
        self.metrics.seconds.labels(row.kind).observe(time.monotonic() - started)

    async def _try(self, row: JobRow) -> str:
        kind = self.registry.kinds[row.kind]
        store = self.services.store
        try:
            async with asyncio.timeout(kind.timeout_s):
                await kind.handler(self._job(row), self.services)
        except asyncio.CancelledError:
            if row.id in self._lost:
                return "lost"
            await asyncio.shield(self._snooze(row, 0))
            return "released"
        except Again as e:
            payload = row.payload if e.payload is None else e.payload
            return await self._again(row, e.after_s, payload)
        except Exception as e:
            return await self._failed_try(row, kind, e)
        if row.kind in self.registry.periodic and row.key == PERIODIC_KEY:
            return await self._again(row, max(1.0, self.registry.periodic[row.kind](self.services.config)), {})
        await store.awrite(outbox.complete, row.id, self.name, now=self.services.clock())
        return "done"

    async def _failed_try(self, row: JobRow, kind: JobKind, error: Exception) -> str:
        if isinstance(error, GiveUp):
            await self._fail(row, kind, str(error))
            return "failed"
        if isinstance(error, RetryLater) and not error.count:
            await self._snooze(row, error.after_s)
            return "later"
        if isinstance(error, RetryLater):
            return await self._retry(row, kind, error.after_s, str(error))
        log.warning("job failed", job=row.id, kind=row.kind, attempt=row.attempts, exc_info=error)
        text = f"{type(error).__name__}: {error}"
        return await self._retry(row, kind, self._backoff_s(kind, row.attempts), text)

    async def _snooze(self, row: JobRow, delay_s: float) -> None:
        now = self.services.clock()
        await self.services.store.awrite(outbox.snooze, row.id, self.name, delay_s=delay_s, now=now)

    async def _again(self, row: JobRow, after_s: float, payload: Mapping[str, Any]) -> str:
        now = self.services.clock()
        await self.services.store.awrite(leasing.again, row, self.name, after_s=after_s, payload=payload, now=now)
        return "again"

    async def _retry(self, row: JobRow, kind: JobKind, delay_s: float, error: str) -> str:
        now, settle = self.services.clock(), kind.on_failed is not None
        left = await self.services.store.awrite(
            leasing.retry, row, self.name, delay_s=delay_s, error=error, settle=settle, now=now
        )
        return "retry" if left else "failed"

    async def _fail(self, row: JobRow, kind: JobKind, error: str) -> None:
        now, settle = self.services.clock(), kind.on_failed is not None
        await self.services.store.awrite(leasing.fail, row, self.name, error=error, settle=settle, now=now)

    def _backoff_s(self, kind: JobKind, attempt: int) -> float:
        if kind.retry_s is not None:
            return kind.retry_s(attempt)
        wait = min(self._config.backoff_s * 2.0 ** min(attempt - 1, 40), self._config.backoff_max_s)
        return wait * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 (spread, not a secret)
