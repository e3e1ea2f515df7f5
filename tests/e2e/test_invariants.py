"""The nine things that always hold (docs/design), each through the real gateway, with upstream's own log as the witness."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import os
import re
import signal
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from scripts.cli.stack import Stack
from scripts.simulator import Simulator
from tests.e2e.waiting import until, until_idle

ODD_BODIES = {
    "duplicate keys": b'{"a":1,"a":2}',
    "80 digits and exact decimals": b'{"n":' + b"9" * 80 + b',"p":1.10,"z":-0.0,"e":1E400}',
    "invalid UTF-8": b'{"a":"\xff\xfe"}',
    "truncated": b'{"list":[{"id":1}',
    "deep": b"[" * 5000 + b"]" * 5000,
    "byte order mark": b'\xef\xbb\xbf{"a":1}',
    "white space": b' \n{"a" : 1 }\n',
    "HTML": b"<html>x</html>",
    "binary": bytes(range(256)),
    "empty": b"",
}
ADDED = re.compile(rb'"lastReplyAt":(?:null|"[^"]*"),?')


def upstream(simulator: Simulator, path: str, method: str = "GET") -> httpx.Response:
    """What upstream itself answers to the first creator."""
    login = simulator.creators[0]
    headers = {"User-Agent": login["user_agent"], "Cookie": login["cookies"], "x-bc": login["xbc"]}
    return httpx.request(method, f"{simulator.api_url}/api2/v2/{path}", headers=headers, timeout=30)


def ours(stack: Stack, path: str, method: str = "GET", **more: Any) -> httpx.Response:
    return httpx.request(method, f"{stack.base_url}{path}", headers=stack.auth, timeout=30, **more)


def api_requests(simulator: Simulator) -> int:
    return sum(1 for row in simulator.requests if row["kind"] == "api")


@pytest.fixture
def faults(simulator: Simulator) -> Iterator[Any]:
    yield simulator.faults
    simulator.faults.clear()


@pytest.fixture
def own(tmp_path: Path) -> Iterator[tuple[Stack, Simulator]]:
    """A simulator and a gateway that a test may break."""
    with (
        Simulator.start(fans=12, chats=4, messages=40, transactions=5) as simulator,
        (tmp_path / "processes.log").open("wb") as output,
        Stack.start(
            tmp_path, upstream=simulator.api_url, cdn=simulator.cdn_url, logins=simulator.creators, output=output,
            worker=False,
        ) as stack,
    ):  # fmt: skip
        yield stack, simulator


@pytest.mark.parametrize("kind", ODD_BODIES)
def test_1_passthrough_is_byte_identical(kind: str, stack: Stack, faults: Any) -> None:
    """Body, status and content type as upstream sent them; the envelope holds the same bytes, or is left off."""
    body = ODD_BODIES[kind]
    for status, content_type in itertools.product((200, 201), ("application/json", "text/plain; charset=latin-1")):
        sent = {"body_b64": base64.b64encode(body).decode(), "content_type": content_type, "status": status}
        faults.add("raw", path="/api2/v2/settings/odd", count=2, **sent)
        raw = ours(stack, f"/{stack.account}/settings/odd")
        assert (raw.status_code, raw.headers["content-type"], raw.content) == (status, content_type, body)
        wrapped = ours(stack, f"/api/{stack.account}/settings/odd")
        assert wrapped.status_code == status
        assert wrapped.content == body or wrapped.content.startswith(b'{"data":' + body + b',"_meta":')


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd", "deflate"])
def test_1_passthrough_is_the_same_in_every_coding(
    coding: str, stack: Stack, simulator: Simulator, faults: Any
) -> None:
    """What upstream compresses arrives as the bytes that it compressed, whatever the client accepts."""
    plain = upstream(simulator, "users/me").content
    for accepted in ("identity", "gzip", "br, zstd"):
        faults.add("encoding", path="/api2/v2/users/me", count=1, name=coding)
        headers = {**stack.auth, "Accept-Encoding": accepted}
        answer = httpx.get(f"{stack.base_url}/{stack.account}/users/me", headers=headers)
        assert answer.content == plain


def test_2_hybrid_differs_only_in_the_fields_its_rule_names(stack: Stack, simulator: Simulator, faults: Any) -> None:
    """Without `lastReplyAt` the bytes are upstream's, also with 80-digit numbers, duplicate keys and invalid UTF-8."""
    query = "limit=10"
    theirs = f"subscriptions/subscribers?type=active&format=infinite&{query}"
    for kind in ("latency", "huge_numbers", "duplicate_keys", "invalid_utf8"):
        more = {"seconds": 0} if kind == "latency" else {}
        faults.add(kind, path="subscribers", count=2, **more)
        plain = upstream(simulator, theirs).content
        edited = ours(stack, f"/{stack.account}/fans/active?{query}").content
        assert edited.count(b'"lastReplyAt":') == 10
        assert _without_added(edited) == _without_added(plain) == plain


def _without_added(body: bytes) -> bytes:
    return ADDED.sub(b"", body).replace(b",}", b"}")


def test_2_a_field_of_that_name_from_upstream_is_replaced_in_place(stack: Stack, faults: Any) -> None:
    """The rule's step wins; its neighbours, their order and their text stay."""
    body = '{"list":[{"id":1,"lastReplyAt":"yesterday","z":1.10},{"lastReplyAt":{"a":[1]},"id":2},{"name":"no id"},7,null]}'
    faults.add("raw", path="subscribers", body=body)
    answer = ours(stack, f"/{stack.account}/fans/active")
    expected = '{"list":[{"id":1,"lastReplyAt":null,"z":1.10},{"lastReplyAt":null,"id":2},{"name":"no id"},7,null]}'
    assert answer.text == expected


def test_3_computed_never_calls_upstream(stack: Stack, simulator: Simulator, faults: Any) -> None:
    """Answers come from the store while upstream refuses every connection, and its log shows no attempt."""
    until_idle(stack.store_url)
    faults.add("reset", count=0)
    before = api_requests(simulator)
    for path in (
        "/whoami",
        "/accounts",
        "/api/link-tags",
        "/api/webhooks",
        f"/api/{stack.account}/stored/tracking-links",
    ):
        assert ours(stack, path).status_code == 200, path
    assert api_requests(simulator) == before
    hybrid = ours(stack, f"/{stack.account}/fans/active")
    assert (hybrid.status_code, hybrid.json()["error"]) == (502, "upstream_unreachable")


def test_4_no_partial_edits(own: tuple[Stack, Simulator]) -> None:
    """With the store gone a step changes no row at all, the answer is upstream's, and the failure is counted."""
    stack, simulator = own
    plain = upstream(simulator, "subscriptions/subscribers?type=active&format=infinite&limit=10").content
    assert b"lastReplyAt" in ours(stack, f"/{stack.account}/fans/active?limit=10").content
    with sqlite3.connect(stack.store_url.removeprefix("sqlite:///")) as db:
        db.execute("ALTER TABLE fans RENAME TO fans_gone")
    try:
        answer = ours(stack, f"/{stack.account}/fans/active?limit=10")
        assert (answer.status_code, answer.content) == (200, plain)
        assert re.search(r"ofapi_steps_skipped_total\{[^}]*\} [1-9]", ours(stack, "/_ofapi/metrics").text)
    finally:
        with sqlite3.connect(stack.store_url.removeprefix("sqlite:///")) as db:
            db.execute("ALTER TABLE fans_gone RENAME TO fans")


def test_5_no_n_plus_one(simulator: Simulator, tmp_path: Path) -> None:
    """Twenty chats, two lookups each: mitmweb shows one query for all rows of both steps."""
    with (
        (tmp_path / "processes.log").open("wb") as output,
        Stack.start(
            tmp_path, upstream=simulator.api_url, logins=simulator.creators, output=output, worker=False, web=True
        ) as stack,
    ):
        assert ours(stack, f"/{stack.account}/chats?limit=20").content.count(b'"lastReplyAt"') == 40
        assert stack.web_url is not None
        with httpx.Client(base_url=stack.web_url, headers={"Authorization": f"Bearer {stack.web_password}"}) as web:
            flow = until(lambda: web.get("/flows").json()[-1], lambda last: last["comment"])["id"]
            view = web.get(f"/flows/{flow}/response/content/OFAPI.json").json()["text"]
    assert re.findall(r"^  - (.*)$", view, re.MULTILINE) == ["fans by fan_id: 20 keys"]


async def test_6_nothing_blocks_the_event_loop(stack: Stack, faults: Any) -> None:
    """While 20 requests wait for upstream, computed answers keep coming."""
    waiting = faults.add("latency", path="settings/slow", count=0, seconds=60)
    async with httpx.AsyncClient(base_url=stack.base_url, headers=stack.auth, timeout=90) as http:
        slow = [asyncio.ensure_future(http.get(f"/{stack.account}/settings/slow")) for _ in range(20)]
        async with asyncio.timeout(30):
            while waiting.hits < 20:
                await asyncio.sleep(0.01)
            for _ in range(20):
                assert (await http.get("/whoami")).status_code == 200
        assert not any(task.done() for task in slow)
        for task in slow:
            task.cancel()
        await asyncio.gather(*slow, return_exceptions=True)


async def test_7_two_hundred_requests_of_two_teams_are_never_mixed(stack: Stack, simulator: Simulator) -> None:
    """Each answer is of the asker's account; no key goes up, no cookie comes down, the others' account is unknown."""
    teams = ((stack.account, stack.auth), (stack.seeded.other_account, stack.other_auth))
    names = [str(login["id"]) for login in simulator.creators]
    start = len(simulator.requests)
    limits = httpx.Limits(max_connections=200)
    async with httpx.AsyncClient(base_url=stack.base_url, timeout=60, limits=limits) as http:

        async def one(n: int) -> None:
            (account, auth), path = teams[n % 2], ("users/me", "fans/active?limit=5")[n // 2 % 2]
            answer = await http.get(f"/{account}/{path}", headers={**auth, "Cookie": "client=secret"})
            assert answer.status_code == 200
            assert "set-cookie" not in answer.headers
            if path == "users/me":
                assert str(answer.json()["id"]) == names[n % 2]
            foreign = await http.get(f"/{teams[1 - n % 2][0]}/{path}", headers=auth)
            unknown = await http.get(f"/acct_unknown/{path}", headers=auth)
            assert (foreign.status_code, foreign.content) == (unknown.status_code, unknown.content)
            assert foreign.status_code == 404

        await asyncio.gather(*(one(n) for n in range(200)))
    sent = json.dumps(simulator.requests[start:])
    assert "client=secret" not in sent
    for auth in (stack.auth, stack.other_auth):
        assert auth["Authorization"].removeprefix("Bearer ") not in sent


def test_8_a_bad_rule_file_never_changes_behaviour(own: tuple[Stack, Simulator]) -> None:
    """A file with mistakes is refused whole, the health says where, and the rules before it answer on."""
    stack, _ = own
    bad = stack.rules_dir / "deeper" / "bad.yaml"
    bad.parent.mkdir()
    bad.write_text("- id: shadow\n  match: GET /{account}/fans/active\n  sorce: hybrid\n  why: x\n")
    health = _until(stack, "degraded")
    places = [(e["file"].rpartition("rules/")[2], e["line"]) for e in health["rules"]["last_reload"]["errors"]]
    assert ("deeper/bad.yaml", 3) in places
    assert b"lastReplyAt" in ours(stack, f"/{stack.account}/fans/active?limit=2").content
    bad.unlink()
    _until(stack, "ok")


def _until(stack: Stack, status: str) -> dict[str, Any]:
    return until(lambda: dict(ours(stack, "/_ofapi/health").json()), lambda health: health["status"] == status)


def test_9_acknowledged_means_stored(own: tuple[Stack, Simulator]) -> None:
    """Right after each answered write the gateway is killed with SIGKILL; after a restart all of them are there."""
    stack, _ = own
    links = [row["id"] for row in ours(stack, f"/{stack.account}/tracking-links?limit=3").json()["list"]]
    for n, link in enumerate(links):
        answer = ours(stack, f"/api/{stack.account}/tracking-links/{link}/tags", "POST", json={"tags": [f"kept-{n}"]})
        assert answer.status_code in (200, 201), answer.text
        assert stack.gateway is not None
        os.kill(stack.gateway.process.pid, signal.SIGKILL)
        stack.gateway.process.wait(10)
        stack.restart()
    for n, link in enumerate(links):
        kept = ours(stack, f"/api/{stack.account}/tracking-links/{link}/tags").json()
        assert f"kept-{n}" in json.dumps(kept)


def test_9_credits_of_answered_requests_are_booked(own: tuple[Stack, Simulator]) -> None:
    """Killed right after a burst of answers: what each of them said that it cost stands in the ledger, once."""
    stack, _ = own

    def spent() -> int:
        return int(ours(stack, "/usage/credits").json()["totals"]["credits"])

    expected = spent()
    for _ in range(40):
        answer = ours(stack, f"/{stack.account}/fans/active?limit=2")
        assert answer.status_code == 200
        expected += int(answer.headers["X-OFAPI-Credits-Used"])
    assert stack.gateway is not None
    os.kill(stack.gateway.process.pid, signal.SIGKILL)
    stack.gateway.process.wait(10)
    stack.restart()
    assert spent() == expected
