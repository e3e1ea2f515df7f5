"""Delivery: what receivers get, what answers mean, retries, pauses, billing."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import select

from addons.jobs.job_metrics import JobMetrics
from ofapi_store.engine import Store
from ofapi_store.queries import credits, webhooks, webhooks_log
from ofapi_store.queries.events import WEBHOOKS
from ofapi_store.queries.webhooks_log import ATTEMPTS
from tests.addons.webhooks.conftest import Rig
from tests.addons.webhooks.receiver import Receiver


@pytest.mark.parametrize("secret", ["s3cret", "whsec_" + base64.b64encode(b"k" * 24).decode()])
async def test_a_receiver_gets_the_contracts_body_and_both_signatures(
    rig: Rig, receiver: Receiver, secret: str
) -> None:
    """Contract 7.3, and Standard Webhooks beside it, whatever the form of the secret."""
    receiver.secret = secret
    rig.hook(receiver.url(), secret=secret)
    rig.emit()
    assert await rig.deliver() == 1
    (got,) = receiver.got
    assert got.body == {"event": "tips.received", "account_id": "acct_a", "payload": {"n": 0}}
    assert got.hex_ok
    assert got.standard_ok
    assert got.headers["Content-Type"] == "application/json"
    assert got.headers["User-Agent"] == "OnlyFansAPI.com/Webhook-Client"
    assert got.key == got.headers["webhook-id"]
    assert got.headers["webhook-timestamp"] == str(int(rig.now.timestamp()))
    assert rig.states() == [("delivered", 1)]


async def test_without_a_secret_nothing_is_signed_and_team_events_name_no_account(rig: Rig, receiver: Receiver) -> None:
    """No `Signature`, no `webhook-signature`, no `account_id`."""
    rig.hook(receiver.url(), secret=None)
    rig.emit(account=None)
    await rig.deliver()
    (got,) = receiver.got
    assert set(got.body) == {"event", "payload"}
    assert not {"Signature", "webhook-signature"} & set(got.headers)


async def test_ephemeral_events_carry_no_idempotency_key(rig: Rig, receiver: Receiver) -> None:
    """Contract 7.3: users.typing and its like."""
    rig.hook(receiver.url(), events=["users.typing"])
    rig.emit(event="users.typing")
    await rig.deliver()
    assert receiver.got[0].key is None
    assert receiver.got[0].standard_ok


async def test_the_whole_ladder_is_climbed_and_ends(rig: Rig, receiver: Receiver) -> None:
    """0, 5 s, 5 min, 30 min, 2 h, 5 h, 10 h: not a moment earlier, the same key each time, then it has failed."""
    rig.hook(receiver.url("/fail"))
    rig.emit()
    assert await rig.deliver() == 1
    for wait_s in (5, 300, 1800, 7200, 18_000, 36_000):
        rig.pass_time(seconds=wait_s - 1)
        assert await rig.deliver() == 0
        rig.pass_time(seconds=1)
        assert await rig.deliver() == 1
    assert rig.states() == [("failed", 7)]
    rig.pass_time(days=2)
    assert await rig.deliver() == 0
    assert len({got.key for got in receiver.got}) == 1
    assert len({got.headers["webhook-timestamp"] for got in receiver.got}) == 7
    assert all(got.standard_ok for got in receiver.got)


@pytest.mark.parametrize(
    ("path", "error", "status"),
    [("/fail", "status", 500), ("/moved", "status", 301), ("/busy", "status", 429), ("/cut", "protocol", None)],
)
async def test_what_is_no_2xx_is_tried_again(rig: Rig, receiver: Receiver, path: str, error: str, status: int) -> None:
    """Redirects are not followed; the log says what was answered."""
    hook = rig.hook(receiver.url(path))
    rig.emit()
    await rig.deliver()
    assert rig.states() == [("pending", 1)]
    assert receiver.at("/elsewhere") == []
    with rig.store.read() as conn:
        (row,) = webhooks_log.attempts(conn, hook)
    assert (row.succeeded, row.error_type, row.status_code) == (False, error, status)
    assert row.error_message
    assert row.response is None or "\x00" not in row.response


async def test_an_answer_in_fragments_is_one_answer(rig: Rig, receiver: Receiver) -> None:
    """2xx, its body kept whole."""
    hook = rig.hook(receiver.url("/fragments"))
    rig.emit()
    await rig.deliver()
    with rig.store.read() as conn:
        (row,) = webhooks_log.attempts(conn, hook)
    assert (row.succeeded, row.status_code, row.response) == (True, 201, "ab" * 5)


async def test_who_does_not_answer_in_time_has_failed(
    store: Store, rig_of: Callable[..., Rig], receiver: Receiver
) -> None:
    """`total_timeout_s` holds from the first byte sent to the answer."""
    rig = rig_of(store, webhooks={"total_timeout_s": 0.2})
    hook = rig.hook(receiver.url("/slow"))
    rig.emit()
    await rig.deliver()
    with rig.store.read() as conn:
        (row,) = webhooks_log.attempts(conn, hook)
    assert row.error_type == "timeout"


async def test_nobody_listening_is_a_failed_try(rig: Rig, receiver: Receiver) -> None:
    """A refused connection."""
    hook = rig.hook("http://127.0.0.1:9/")
    rig.emit()
    await rig.deliver()
    with rig.store.read() as conn:
        (row,) = webhooks_log.attempts(conn, hook)
    assert row.error_type == "connect"


async def test_retry_after_lengthens_the_wait(rig: Rig, receiver: Receiver) -> None:
    """429 with Retry-After 120: not after the ladder's 5 s but after 120."""
    rig.hook(receiver.url("/busy"))
    rig.emit()
    await rig.deliver()
    rig.pass_time(seconds=119)
    assert await rig.deliver() == 0
    rig.pass_time(seconds=1)
    assert await rig.deliver() == 1


async def test_410_disables_the_webhook(rig: Rig, receiver: Receiver) -> None:
    """What waited is cancelled, nothing new is collected, and enabling it again works."""
    hook = rig.hook(receiver.url("/gone"))
    rig.emit(3)
    await rig.deliver()
    row = rig.webhook(hook)
    assert (row.state, row.enabled) == ("disabled", False)
    assert "410" in (row.state_reason or "")
    assert {state for state, _ in rig.states()} <= {"failed", "cancelled"}
    with rig.store.write() as conn:
        changed = webhooks.change(
            conn, rig.team_id, hook, url=receiver.url(), events=["tips.received"], account_scope="global", enabled=True
        )
    assert changed is not None
    assert (changed.state, changed.enabled) == ("active", True)
    rig.emit()
    await rig.deliver()
    assert len(receiver.at("/ok")) == 1


async def test_twenty_final_failures_pause_and_a_probe_ends_it(
    store: Store, rig_of: Callable[..., Rig], receiver: Receiver
) -> None:
    """What comes during the pause waits and is sent after; failed probes lengthen the pause and cost nothing."""
    rig = rig_of(store, webhooks={"retry_schedule_s": [0], "jitter": 0})
    hook = rig.hook(receiver.url())
    receiver.broken = True
    rig.emit(19)
    await rig.deliver()
    assert rig.webhook(hook).state == "active"
    rig.emit(1)
    await rig.deliver()
    row = rig.webhook(hook)
    assert (row.state, row.failures, row.paused_until) == ("paused", 20, rig.now + timedelta(minutes=5))
    rig.emit(3)
    assert await rig.deliver() == 0
    for cooldown_s in (300, 900, 1800, 3600, 7200, 21_600, 21_600):
        rig.pass_time(seconds=cooldown_s - 1)
        assert await rig.deliver() == 0
        rig.pass_time(seconds=1)
        assert await rig.deliver() == 1
    assert rig.webhook(hook).state == "paused"
    receiver.broken = False
    rig.pass_time(seconds=21_600)
    seen = len(receiver.got)
    await rig.deliver()
    row = rig.webhook(hook)
    assert (row.state, row.failures, row.paused_until) == ("active", 0, None)
    assert sorted(got.body["payload"]["n"] for got in receiver.got[seen:]) == [20, 21, 22]
    assert rig.states()[20:] == [("delivered", 8), ("delivered", 1), ("delivered", 1)]


async def test_a_success_resets_the_count_of_failures(
    store: Store, rig_of: Callable[..., Rig], receiver: Receiver
) -> None:
    """In a row means in a row."""
    rig = rig_of(store, webhooks={"retry_schedule_s": [0]})
    hook = rig.hook(receiver.url())
    for broken in (True, False, True):
        receiver.broken = broken
        rig.emit(15 if broken else 1)
        await rig.deliver()
    assert (rig.webhook(hook).state, rig.webhook(hook).failures) == ("active", 15)


async def test_a_hundred_deliveries_cost_a_credit(store: Store, rig_of: Callable[..., Rig], receiver: Receiver) -> None:
    """Retries and redeliveries are not counted; the rest stays for the next credit."""
    rig = rig_of(store, webhooks={"events_per_credit": 10})
    hook = rig.hook(receiver.url())
    rig.emit(24)
    await rig.deliver()
    with rig.store.write() as conn:
        assert credits.balance(conn, rig.team_id) == 998
        found = webhooks_log.find(conn, hook, webhooks_log.attempts(conn, hook)[0].delivery_uuid)
        assert found is not None
        webhooks_log.redeliver(conn, hook, found, now=rig.now)
    await rig.deliver()
    with rig.store.read() as conn:
        assert conn.execute(select(WEBHOOKS.c.billed)).scalar() == 4
        (used,) = credits.usage(conn, rig.team_id, rig.now - timedelta(days=1), rig.now + timedelta(days=1))
    assert (used.credit_type, used.credits, used.requests) == ("webhook", 2, 20)


async def test_a_redelivery_has_the_first_key_and_names_the_first_delivery(rig: Rig, receiver: Receiver) -> None:
    """Contract 7.3."""
    hook = rig.hook(receiver.url())
    rig.emit()
    await rig.deliver()
    with rig.store.write() as conn:
        (first,) = webhooks_log.attempts(conn, hook)
        found = webhooks_log.find(conn, hook, str(first.id))
        assert found is not None
        webhooks_log.redeliver(conn, hook, found, now=rig.now)
    await rig.deliver()
    one, two = receiver.got
    assert one.key == two.key
    assert two.headers["X-OFAPI-Redelivery-Of"] == first.delivery_uuid


async def test_an_unreadable_secret_says_so(rig: Rig, receiver: Receiver) -> None:
    """A secret of another key list: nothing is sent unsigned, and the log names the reason."""
    hook = rig.hook(receiver.url())
    with rig.store.write() as conn:
        conn.execute(WEBHOOKS.update().values(secret="gAAAAnothing"))
    rig.emit()
    await rig.deliver()
    assert receiver.got == []
    with rig.store.read() as conn:
        (row,) = webhooks_log.attempts(conn, hook)
        assert conn.execute(select(ATTEMPTS.c.error_type)).scalar() == "secret"
    assert "secrets.keys" in (row.error_message or "")


async def test_tries_are_counted(rig: Rig, receiver: Receiver) -> None:
    """By what came of them, for the worker's metrics."""
    metrics = rig.services.parts["job_metrics"] = JobMetrics()
    rig.hook(receiver.url("/ok"))
    rig.hook(receiver.url("/fail"))
    rig.emit()
    await rig.deliver()
    counted = {outcome: metrics.tries.labels(outcome)._value.get() for outcome in ("ok", "status", "timeout")}
    assert counted == {"ok": 1, "status": 1, "timeout": 0}
