"""`Idempotency-Key` on sending a message (contract 2.3): a retry sends nothing twice."""

from __future__ import annotations

from datetime import timedelta

import pytest

from addons.pipeline.exchange import UpstreamFailure
from addons.pipeline.services import utcnow
from tests.addons.pipeline.harness import Bench, Got, json_answer

SEND = "/api/{a}/chats/5/messages"


async def send(bench: Bench, key: str = "k-1", target: str = SEND, body: bytes = b'{"text":"hi"}') -> Got:
    return await bench.call(
        "POST", target, body=body, headers={"Idempotency-Key": key, "Content-Type": "application/json"}
    )


async def test_a_replay_is_free_and_sends_nothing(both: Bench) -> None:
    """The stored body, current balance, used 0, and the header that says so."""
    both.upstream = lambda _: json_answer({"id": 77})
    first, again = await send(both), await send(both)
    assert first.headers.get("Idempotent-Replayed") is None
    assert (again.status, again.json["data"]) == (200, {"id": 77})
    assert again.headers.get("Idempotent-Replayed") == "true"
    assert again.json["_meta"]["_credits"]["used"] == 0
    assert again.json["_meta"]["_credits"]["balance"] == 999
    assert len(both.sent) == 1


async def test_a_replay_speaks_the_dialect_that_asks(bench: Bench) -> None:
    """What is kept is upstream's answer, so the raw dialect replays what the envelope sent."""
    bench.upstream = lambda _: json_answer({"id": 77})
    await send(bench)
    raw = await send(bench, target="/{a}/chats/5/messages")
    assert (raw.json, raw.headers.get("Idempotent-Replayed")) == ({"id": 77}, "true")


@pytest.mark.parametrize(("target", "body"), [(SEND, b'{"text":"other"}'), (SEND.replace("5", "6"), b'{"text":"hi"}')])
async def test_another_body_or_chat_under_the_same_key_is_a_422(bench: Bench, target: str, body: bytes) -> None:
    """IDEMPOTENCY_KEY_MISMATCH, and nothing goes up."""
    await send(bench)
    got = await send(bench, target=target, body=body)
    assert (got.status, got.json["error"]) == (422, "IDEMPOTENCY_KEY_MISMATCH")
    assert len(bench.sent) == 1


async def test_a_duplicate_under_way_is_a_409(bench: Bench) -> None:
    """The second one may be tried again; the first goes on."""
    from addons.pipeline.exchange import Entry, Headers, Request

    headers = Headers([("Authorization", f"Bearer {bench.token}"), ("Idempotency-Key", "k-1")])
    request = Request("POST", SEND.replace("{a}", bench.account.id), headers, b'{"text":"hi"}')
    x = bench.gateway.begin(request, Entry("reverse", "http", "gw", 80, "127.0.0.1"))
    await bench.gateway.admit(x)
    await bench.gateway.prepare(x)
    got = await bench.call("POST", SEND, body=b'{"text":"hi"}', headers={"Idempotency-Key": "k-1"})
    assert (got.status, got.json["error"]) == (409, "IDEMPOTENCY_CONFLICT")
    assert got.headers.get("x-should-retry") is None
    done = await bench.gateway.finish(x, json_answer({"id": 1}))
    assert done.status == 200


@pytest.mark.parametrize(
    "answer", [json_answer({}, 500), json_answer({}, 429), json_answer({}, 408), UpstreamFailure("connect", "")]
)
async def test_failures_are_not_kept(bench: Bench, answer: object) -> None:
    """A retry after 5xx, 408, 429 or no connection is a new attempt."""
    bench.upstream = lambda _: answer  # type: ignore[assignment,return-value]
    await send(bench)
    bench.upstream = lambda _: json_answer({"id": 1})
    assert (await send(bench)).headers.get("Idempotent-Replayed") is None
    assert len(bench.sent) == 2


async def test_after_a_timeout_the_message_may_have_been_sent(bench: Bench) -> None:
    """So the key stays taken until its lease runs out."""
    bench.upstream = lambda _: UpstreamFailure("timeout", "")
    await send(bench)
    assert (await send(bench)).status == 409
    bench.services.clock = lambda: utcnow() + timedelta(minutes=6)
    bench.upstream = lambda _: json_answer({"id": 1})
    assert (await send(bench)).status == 200


async def test_answers_are_kept_for_a_day(bench: Bench) -> None:
    """Then the key is free."""
    await send(bench)
    bench.services.clock = lambda: utcnow() + timedelta(hours=23)
    assert (await send(bench)).headers.get("Idempotent-Replayed") == "true"
    bench.services.clock = lambda: utcnow() + timedelta(hours=25)
    assert (await send(bench)).headers.get("Idempotent-Replayed") is None


@pytest.mark.parametrize("key", ["", "x" * 256, "tab\there", "ümlaut"])
async def test_keys_that_are_none_are_a_400(bench: Bench, key: str) -> None:
    """1 to 255 printable ASCII characters."""
    got = await send(bench, key)
    assert (got.status, got.json["error"]) == (400, "IDEMPOTENCY_KEY_INVALID")
    assert bench.sent == []


async def test_refused_requests_do_not_hold_their_key(bench: Bench) -> None:
    """A 402 or 422 lets the key go."""
    assert (await send(bench, body=b'{"text":5}')).status == 422
    bench.upstream = lambda _: json_answer({"id": 1})
    assert (await send(bench)).status == 200


async def test_nothing_readable_is_kept(bench: Bench) -> None:
    """The stored answer is encrypted."""
    from ofapi_store.queries.idempotency import KEYS

    bench.upstream = lambda _: json_answer({"text": "private words"})
    await send(bench)
    with bench.store.read() as conn:
        row = conn.execute(KEYS.select()).one()
    assert "private" not in str(row)
    assert "k-1" not in str(row)


async def test_only_sending_takes_the_header(bench: Bench) -> None:
    """Elsewhere it is ignored, even a malformed one."""
    for _ in range(2):
        got = await bench.call("POST", "/{a}/x/y", body=b"{}", headers={"Idempotency-Key": ""})
        assert got.status == 200
    assert len(bench.sent) == 2
