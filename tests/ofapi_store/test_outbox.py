"""The outbox: each due job goes to one worker, lanes keep their order, and no crash loses a job."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from ofapi_store import outbox
from ofapi_store.engine import Store
from ofapi_store.errors import LeaseLost

NOW = datetime(2025, 1, 1, tzinfo=UTC)


def later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def _lease(store: Store, worker: str = "w", *, limit: int = 10, now: datetime = NOW, lease_s: float = 60) -> list[int]:
    with store.write() as conn:
        return [job.id for job in outbox.lease_due(conn, worker, limit=limit, lease_s=lease_s, now=now)]


def _add(store: Store, kind: str = "k", **values: object) -> outbox.Enqueued:
    with store.write() as conn:
        return outbox.enqueue(conn, kind, {"n": 1}, **{"now": NOW, **values})  # type: ignore[arg-type]


def _get(store: Store, job_id: int) -> outbox.Job:
    with store.read() as conn:
        job = outbox.get(conn, job_id)
    assert job is not None
    return job


def test_job_is_written_with_its_cause(store: Store) -> None:
    """A cause that is rolled back leaves no job."""
    with pytest.raises(ZeroDivisionError), store.write() as conn:
        outbox.enqueue(conn, "k", {})
        raise ZeroDivisionError
    assert _lease(store, now=later(10**9)) == []


def test_life_of_a_job(store: Store) -> None:
    """Pending, running with attempts and lease, done."""
    job_id = _add(store).id
    assert _lease(store) == [job_id]
    assert _lease(store) == []
    running = _get(store, job_id)
    assert (running.state, running.attempts, running.lease_by, running.lease_until) == ("running", 1, "w", later(60))
    with store.write() as conn:
        outbox.complete(conn, job_id, "w", progress={"percent": 100}, now=later(1))
    done = _get(store, job_id)
    assert (done.state, done.finished_at, done.lease_by, done.progress) == ("done", later(1), None, {"percent": 100})


def test_due_jobs_come_longest_due_first_up_to_the_limit(store: Store) -> None:
    """`at` in the future waits; the limit and the kinds asked for hold."""
    late, soon, future = (_add(store, at=later(at)).id for at in (-1, -5, 5))
    other = _add(store, kind="other", at=later(-9)).id
    with store.write() as conn:
        jobs = outbox.lease_due(conn, "w", limit=5, lease_s=60, kinds=["k"], now=NOW)
        assert [job.id for job in jobs] == [soon, late]
        assert outbox.next_due(conn) == later(-9)
        assert outbox.next_due(conn, kinds=["k"]) == later(5)
    assert _lease(store, limit=1, now=later(5)) == [other]
    assert _lease(store, limit=1, now=later(5)) == [future]


def test_key_is_unique_while_live(store: Store) -> None:
    """A second job of the same key is the first one until that is over; another kind has its own keys."""
    first = _add(store, key="a")
    assert first.created
    assert _add(store, key="a") == (first.id, False)
    assert _add(store, kind="other", key="a").created
    _lease(store)
    assert _add(store, key="a") == (first.id, False)
    with store.write() as conn:
        outbox.complete(conn, first.id, "w", now=NOW)
    assert _add(store, key="a").created


def test_rerun_runs_once_more_after_the_run_under_way(store: Store) -> None:
    """A cause that comes while the job runs is not lost: complete makes the job pending anew, once."""
    job_id = _add(store, key="a", rerun=True).id
    assert not _get(store, job_id).rerun
    _lease(store)
    assert _add(store, key="a", rerun=True) == (job_id, False)
    with store.write() as conn:
        outbox.complete(conn, job_id, "w", now=later(1))
    assert (_get(store, job_id).state, _get(store, job_id).attempts) == ("pending", 0)
    assert _lease(store, now=later(1)) == [job_id]
    with store.write() as conn:
        outbox.complete(conn, job_id, "w", now=later(2))
    assert _get(store, job_id).state == "done"


def test_retries_until_no_attempt_is_left(store: Store) -> None:
    """`retry_later` waits its delay, and fails the job for good at the last attempt."""
    job_id = _add(store, max_attempts=2).id
    _lease(store)
    with store.write() as conn:
        assert outbox.retry_later(conn, job_id, "w", delay_s=10, error="no route", now=NOW)
    assert _lease(store, now=later(9)) == []
    assert _lease(store, now=later(10)) == [job_id]
    with store.write() as conn:
        assert not outbox.retry_later(conn, job_id, "w", delay_s=10, error="x" * 9999, now=later(11))
    failed = _get(store, job_id)
    assert (failed.state, failed.attempts, failed.finished_at) == ("failed", 2, later(11))
    assert len(failed.last_error or "") == 2000
    with store.write() as conn:
        assert outbox.retry(conn, job_id, now=later(20))
    assert _lease(store, now=later(20)) == [job_id]


def test_snooze_counts_no_attempt(store: Store) -> None:
    """A job that waits for something else keeps its attempts."""
    job_id = _add(store).id
    _lease(store)
    with store.write() as conn:
        outbox.snooze(conn, job_id, "w", delay_s=5, now=NOW)
    assert (_get(store, job_id).attempts, _get(store, job_id).next_at) == (0, later(5))


def test_lease_that_ran_out_is_taken_over(store: Store) -> None:
    """The sweeper gives the job to another worker; the first one can neither extend nor complete it."""
    job_id = _add(store).id
    _lease(store, "dead", lease_s=60)
    with store.write() as conn:
        assert outbox.sweep(conn, now=later(59)) == (0, 0)
        assert outbox.sweep(conn, now=later(61)) == (1, 0)
    assert _lease(store, "alive", now=later(61)) == [job_id]
    with store.write() as conn:
        assert not outbox.extend(conn, job_id, "dead", lease_s=60, now=later(61))
        assert outbox.extend(conn, job_id, "alive", lease_s=600, progress={"rows": 5}, now=later(61))
    with pytest.raises(LeaseLost), store.write() as conn:
        outbox.complete(conn, job_id, "dead")
    assert _get(store, job_id).progress == {"rows": 5}
    assert _get(store, job_id).lease_until == later(661)


def test_job_that_kills_its_worker_fails_in_the_end(store: Store) -> None:
    """With no attempt left, an expired lease is a failure that says so."""
    job_id = _add(store, max_attempts=1).id
    _lease(store)
    with store.write() as conn:
        assert outbox.sweep(conn, now=later(61)) == (0, 1)
    assert _get(store, job_id).state == "failed"
    assert "worker ended" in (_get(store, job_id).last_error or "")


def test_cancel_reaches_a_running_job(store: Store) -> None:
    """A cancelled job cannot be extended or completed, nor cancelled twice; it can be run again."""
    job_id = _add(store).id
    _lease(store)
    with store.write() as conn:
        assert outbox.cancel(conn, job_id, now=NOW)
        assert not outbox.cancel(conn, job_id, now=NOW)
        assert not outbox.extend(conn, job_id, "w", lease_s=5)
        assert outbox.retry(conn, job_id, now=NOW)
    assert _lease(store) == [job_id]


def test_retry_does_not_break_key_uniqueness(store: Store) -> None:
    """A failed job whose key is live again stays failed."""
    job_id = _add(store, key="a").id
    _lease(store)
    with store.write() as conn:
        outbox.fail(conn, job_id, "w", error="no", now=NOW)
    _add(store, key="a")
    with store.write() as conn:
        assert not outbox.retry(conn, job_id, now=NOW)
    assert _get(store, job_id).state == "failed"


def test_lane_runs_one_at_a_time_in_order(store: Store) -> None:
    """The next job of a lane is due only when the one before is over, also while that one waits for a retry."""
    first, second, third = (_add(store, lane="x").id for _ in range(3))
    other = _add(store, lane="y").id
    assert _lease(store) == [first, other]
    with store.write() as conn:
        outbox.retry_later(conn, first, "w", delay_s=10, error="e", now=NOW)
    assert _lease(store, now=later(5)) == []
    assert _lease(store, now=later(10)) == [first]
    with store.write() as conn:
        outbox.complete(conn, first, "w", now=later(11))
    assert _lease(store, now=later(11)) == [second]
    with store.write() as conn:
        assert outbox.cancel(conn, second, now=later(12))
    assert _lease(store, now=later(12)) == [third]


def test_cancelling_a_waiting_job_wakes_no_other(store: Store) -> None:
    """A lane never has two due jobs, even when an old job is retried and one behind it is cancelled."""
    old = _add(store, lane="x").id
    _lease(store)
    with store.write() as conn:
        outbox.fail(conn, old, "w", error="e", now=NOW)
    head, waiting = _add(store, lane="x").id, _add(store, lane="x").id
    with store.write() as conn:
        assert outbox.retry(conn, old, now=NOW)
        assert outbox.cancel(conn, waiting, now=NOW)
    assert _lease(store) == [head]
    with store.write() as conn:
        outbox.complete(conn, head, "w", now=NOW)
    assert _lease(store) == [old]


def test_lane_goes_on_after_its_head_died(store: Store) -> None:
    """When the head fails by a lost lease, the sweeper makes the next one due."""
    _add(store, lane="x", max_attempts=1)
    second = _add(store, lane="x").id
    _lease(store)
    with store.write() as conn:
        outbox.sweep(conn, now=later(61))
    assert _lease(store, now=later(61)) == [second]


def test_list_counts_and_purge(store: Store) -> None:
    """Lists are newest first and paged by id; old finished jobs can be deleted, live ones never."""
    ids = [_add(store).id for _ in range(5)]
    _lease(store, limit=2)
    with store.write() as conn:
        outbox.complete(conn, ids[0], "w", now=NOW)
        assert [job.id for job in outbox.list_jobs(conn, limit=2)] == ids[:2:-1]
        assert [job.id for job in outbox.list_jobs(conn, before_id=ids[3], state="pending")] == [ids[2]]
        assert outbox.counts(conn) == {("k", "done"): 1, ("k", "running"): 1, ("k", "pending"): 3}
        assert outbox.purge(conn, before=later(-1)) == 0
        assert outbox.purge(conn, before=later(1)) == 1
        assert outbox.get(conn, ids[0]) is None
        assert outbox.live(conn, "k", "none") is None


def test_concurrent_workers_never_share_a_job(store: Store) -> None:
    """Threads that lease and complete at once: every job runs once, and each lane in order."""
    with store.write() as conn:
        for n in range(200):
            outbox.enqueue(conn, "k", {"n": n}, lane=f"lane{n % 7}" if n % 2 else None)
    done: list[tuple[str | None, int]] = []

    def work(name: str) -> None:
        idle = 0
        while idle < 20:
            with store.write() as conn:
                jobs = outbox.lease_due(conn, name, limit=7, lease_s=60)
            idle = 0 if jobs else idle + 1
            for job in jobs:
                done.append((job.lane, job.payload["n"]))
                with store.write() as conn:
                    outbox.complete(conn, job.id, name)

    threads = [threading.Thread(target=work, args=(f"w{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Counter(n for _, n in done) == Counter(range(200))
    for lane in {lane for lane, _ in done if lane}:
        in_lane = [n for found, n in done if found == lane]
        assert in_lane == sorted(in_lane)


def test_two_processes_never_share_a_job(store: Store, store_url: str) -> None:
    """Two worker processes on one store: together they run every job once."""
    code = """
        import sys
        from ofapi_store import outbox
        from ofapi_store.engine import Store

        store, idle = Store.open(sys.argv[1]), 0
        while idle < 20:
            with store.write() as conn:
                jobs = outbox.lease_due(conn, sys.argv[2], limit=3, lease_s=60)
                for job in jobs:
                    outbox.complete(conn, job.id, sys.argv[2])
            print(*(job.id for job in jobs))
            idle = 0 if jobs else idle + 1
        store.close()
    """
    ids = [_add(store, key=str(n)).id for n in range(100)]
    command = [sys.executable, "-c", textwrap.dedent(code), store_url]
    workers = [subprocess.Popen([*command, name], stdout=subprocess.PIPE, text=True) for name in ("a", "b")]
    ran = [int(word) for worker in workers for word in worker.communicate(timeout=60)[0].split()]
    assert Counter(ran) == Counter(ids)


def test_concurrent_enqueue_of_one_key_makes_one_job(store: Store) -> None:
    """Many transactions that want the same work make one live job."""
    found: list[outbox.Enqueued] = []

    def work() -> None:
        for _ in range(10):
            with store.write() as conn:
                found.append(outbox.enqueue(conn, "k", {}, key="same", lane="l"))

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({job.id for job in found}) == 1
    assert sum(job.created for job in found) == 1
