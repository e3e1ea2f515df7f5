"""The fault runs notice what they are there for: each promise can be seen broken."""

from __future__ import annotations

import itertools
import json
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest

from scripts.faultruns.__main__ import main, text
from scripts.faultruns.checks import After, Check
from scripts.faultruns.faults import FAULTS, schedule
from scripts.faultruns.receiver import Receiver
from scripts.faultruns.traffic import Answer, Clients

LINK, EXPORT = "01LINK", "data_export_1"
CLUSTER: Any = SimpleNamespace(
    port=1, gateway_up=True, gateway_starts=1, stack=SimpleNamespace(api_key="k", account="a")
)


def answer(body: Any, status: int = 200, **headers: str) -> Answer:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Answer(status, {"content-type": "application/json", **headers}, raw)


class Canned(Clients):
    """Answers from a table instead of a gateway."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        super().__init__(CLUSTER, session)
        self.link, self.fans = LINK, ["7"]
        self.shown: dict[str, Answer] = {}

    async def ask(self, who: str, method: str, path: str, **_: Any) -> Answer | None:
        return next(found for start, found in self.shown.items() if path.startswith(start))


def event(mark: str) -> dict[str, Any]:
    return {"event": "messages.sent", "payload": {"text": f"<p>{mark}</p>"}}


@pytest.fixture
async def clients() -> Any:
    """A run in which everything held."""
    async with aiohttp.ClientSession() as session:
        made = Canned(session)
        made.notes.tags, made.notes.clicks = {"tag 1"}, {5}
        made.notes.messages, made.notes.exports = {"fault-000001-"}, {EXPORT}
        made.notes.files, made.notes.used = {"/a.jpg": {"one"}}, 10
        done = {"status": "completed", "total_rows": 1, "credit_cost": 1, "download_url": "http://h/file?x=1"}
        made.shown = {
            "/_ofapi/health": answer({"status": "ok"}),
            f"/api/smart-links/{LINK}/tags": answer({"data": {"tags": ["tag 1", "tag 2"]}}),
            f"/api/smart-links/{LINK}/clicks": answer({"data": {"rows": [{"aff_s1": "5"}, {"aff_s1": None}]}}),
            "/api/a/chats/7/messages": answer(
                {"data": [{"text": "<p>fault-000001-</p>"}], "_pagination": {"next_page": None}}
            ),
            f"/api/data-exports/{EXPORT}": answer({"data": done}),
            "/file?x=1": answer(b"id\r\n1\r\n"),
            "/api/whoami": answer({}, **{"x-ofapi-credits-balance": "989"}),
        }
        yield made


@pytest.fixture
def receiver() -> Receiver:
    found = Receiver()
    found.taken["evt_1"] = event("fault-000001-")
    found.times["evt_1"] += 2
    return found


async def broken(clients: Canned, receiver: Receiver) -> dict[str, list[str]]:
    return {c.name: c.wrong for c in await After(clients, receiver, 1000).checks() if not c.held}


async def test_a_good_run_breaks_no_promise(clients: Canned, receiver: Receiver) -> None:
    """A delivery that came twice under one idempotency key is no fault."""
    assert await broken(clients, receiver) == {}


async def test_lost_and_doubled_things_are_named(clients: Canned, receiver: Receiver) -> None:
    """Whatever was acknowledged and is not there, or is there twice, is told by name."""
    clients.notes.tags.add("tag 9")
    clients.notes.clicks.add(6)
    clients.notes.messages.add("fault-000002-")
    clients.notes.files["/a.jpg"].add("two")
    rows = [{"aff_s1": "5"}, {"aff_s1": "5"}]
    clients.shown[f"/api/smart-links/{LINK}/clicks"] = answer({"data": {"rows": rows}})
    receiver.taken["evt_2"] = event("fault-000001-")
    assert await broken(clients, receiver) == {
        "tags are stored": ["'tag 9' is lost"],
        "clicks are stored once": ["click 6 is lost", "click 5 is stored 2 times"],
        "messages are sent once": ["fault-000002- was acknowledged and not sent"],
        "each message gives one event": ["fault-000002- was never delivered", "fault-000001- has 2 idempotency keys"],
        "files are the same each time": ["/a.jpg came in 2 different contents"],
    }


async def test_half_exports_wrong_sums_and_bad_health_are_named(clients: Canned, receiver: Receiver) -> None:
    """A file with other rows than it says, credits that nobody used, a gateway that stays degraded."""
    clients.shown["/file?x=1"] = answer(b"id\r\n")
    clients.shown["/api/whoami"] = answer({}, **{"x-ofapi-credits-balance": "900"})
    clients.shown["/_ofapi/health"] = answer({"status": "degraded"})
    assert list(await broken(clients, receiver)) == [
        "healthy in the end",
        "exports end, and their files are whole",
        "credits add up",
    ]


@pytest.mark.parametrize(
    ("got", "wrong"),
    [
        (answer({"data": 1}), False),
        (answer({"error": "SERVICE_UNAVAILABLE", "message": "later"}, 503), False),
        (answer({"error": "ONLYFANS_COM_ERROR", "message": "its own"}, 500), False),
        (answer(b'{"data": ['), True),
        (answer({"error": "internal_error", "message": "sorry"}, 500), True),
        (answer({"error": "x"}, 503), True),
        (answer(b"<html>", 502), True),
        (answer({"error": "unauthorized", "message": "no"}, 401), True),
    ],
)
async def test_each_answer_is_judged(clients: Canned, got: Answer, wrong: bool) -> None:
    """Whole JSON, and errors with code and sentence that this fault may cause, pass; everything else is told."""
    clients._judge("read", "GET /x", got)
    assert bool(clients.notes.wrong) is wrong


async def test_a_seed_gives_the_same_faults_again_and_a_round_has_each_once() -> None:
    """What a run found can be found again."""

    async def first(seed: int) -> list[tuple[str, float]]:
        return [one async for _, one in _counted(schedule(seed), len(FAULTS))]

    once = await first(3)
    assert once == await first(3) != await first(4)
    assert {name for name, _ in once} == set(FAULTS)


async def _counted(found: Any, count: int) -> Any:
    numbers = itertools.count(1)
    async for one in found:
        yield (number := next(numbers)), one
        if number == count:
            return


def test_the_report_says_what_broke() -> None:
    """A line for each promise, and the first reasons below."""
    checks = [{"name": "tags are stored", "looked_at": 3, "held": False, "wrong": [f"tag {n}" for n in range(12)]}]
    shown = text(
        {"faults": {"upstream 429": 2}, "answers": {"read 200": 4}, "unanswered": {}, "checks": checks, "held": False}
    )
    assert "BROKEN tags are stored (3)" in shown
    assert "tag 9" in shown
    assert "and 2 more" in shown
    assert Check("x", 1, []).held


def test_a_short_run_with_a_killed_gateway_holds(capsys: pytest.CaptureFixture[str]) -> None:
    """The whole thing for real: processes, traffic, a kill -9, and everything that was acknowledged is there."""
    code = main(["--seconds", "1", "--settle", "60", "--only", "gateway killed", "--json"])
    report = json.loads(capsys.readouterr().out)
    assert (code, report["held"]) == (0, True), report
    assert report["faults"] == {"gateway killed": 1}
    assert report["checks"][0]["looked_at"] > 20
