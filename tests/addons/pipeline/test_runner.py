"""addons/pipeline/runner: one query per table, no partial edit, rows only of the asking account."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import pytest

from addons.config import Config
from addons.enrich.base import Strict
from addons.pipeline.check import Known
from addons.pipeline.exchange import AccountContext, Entry, Exchange, Headers, Request
from addons.pipeline.loader import load_rules
from addons.pipeline.paths import canonical_path
from addons.pipeline.registry import built_in
from addons.pipeline.runner import Runner, StepFailed
from addons.pipeline.services import Services
from addons.pipeline.steps import CompileContext, RowQuery, StepContext
from ofapi_store.engine import Store
from ofapi_store.queries import ingest
from ofapi_store.queries.accounts import AccountRow
from ofapi_store.secrets import SecretBox
from ofapi_store.testing import statements

NOW = datetime(2025, 6, 1, tzinfo=UTC)
REPLY = "2025-05-01T10:00:00+00:00"
LOOKUP = "{addon: lookup, table: fans, each: '$.list[*]', by: {fan_id: id}, set: {lastReplyAt: last_reply_at}}"


class Breaks:
    """An addon of a third party that edits, then fails."""

    name: ClassVar[str] = "breaks"
    Params: ClassVar[type[Strict]] = Strict

    @classmethod
    def compile(cls, params: Any, ctx: CompileContext) -> Breaks:
        return cls()

    def needs(self, doc: Any, x: StepContext) -> Iterable[RowQuery]:
        return ()

    def apply(self, doc: Any, x: StepContext) -> None:
        doc.root.set("half", b"1")
        x.count("half")
        raise KeyError("private detail")


@pytest.fixture
def services(store: Store, secret_box: SecretBox, account: AccountRow) -> Services:
    rows = [
        {"message_id": 1, "fan_id": 7, "from_user_id": 7, "created_at": REPLY},
        {"message_id": 2, "fan_id": 8, "from_user_id": 1, "created_at": REPLY},
    ]
    with store.write() as conn:
        ingest.observe(conn, "fans", account.id, [{"fan_id": 7}, {"fan_id": 8}], observed_at=NOW)
        ingest.observe(conn, "messages", account.id, rows, observed_at=NOW)
    return Services(Config(), store, secret_box, clock=lambda: NOW)


def exchange(folder: Path, steps: str, account: AccountRow | None, *, dialect: Any = "raw", more: str = "") -> Exchange:
    (folder / "rules").mkdir()
    (folder / "rules" / "r.yaml").write_text(
        "- id: test-rule\n  match: GET /{account}/x\n  source: hybrid\n  why: A test.\n  upstream: GET /api2/v2/x\n"
        f"  steps: [{steps}]\n{more}"
    )
    plan = load_rules(folder / "rules", addons={**built_in(), "breaks": Breaks}, known=Known())
    path = canonical_path("/acct/x")
    context = account and AccountContext(account.id, account.team_id, "", "authenticated", "1", "creator", None)
    request = Request("GET", "/acct/x", Headers())
    return Exchange(
        "id", Entry("reverse", "http", "h", 80, "127.0.0.1"), request, 0.0, dialect, path=path, plan=plan,
        match=plan.match("GET", path), account=context,
    )  # fmt: skip


async def run(services: Services, x: Exchange, value: Any) -> Any:
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return await Runner(services).response(x, body)


async def test_rows_are_set_with_one_query(services: Services, account: AccountRow, tmp_path: Path) -> None:
    """However many rows and steps, each table is asked once; found rows get values, others null."""
    embedded = LOOKUP.replace("$.list[*]", "$.list[*].user")
    x = exchange(tmp_path, f"{LOOKUP}, {embedded}", account)
    body = {"list": [{"id": i, "user": {"id": i + 1}} for i in range(5, 25)]}
    with statements(services.store) as asked:
        out = json.loads(await run(services, x, body))
    assert len([sql for sql in asked if "fans" in sql]) == 1
    found = {row["id"]: row["lastReplyAt"] for row in out["list"]}
    assert found[7] == REPLY
    assert found[8] is None
    assert found[20] is None
    assert out["list"][1]["user"] == {"id": 7, "lastReplyAt": REPLY}
    assert x.notes.counts["lastReplyAt"] == 40
    edit = next(e for e in x.edits if e.pointer == "/list/2/lastReplyAt")
    assert (edit.old, edit.new, edit.rule, edit.step) == (None, f'"{REPLY}"'.encode(), "test-rule", "lookup")
    assert edit.origin is not None
    assert edit.origin.table == "fans"


async def test_rows_of_others_are_never_seen(services: Services, account: AccountRow, tmp_path: Path) -> None:
    """Without the account, its rows do not exist."""
    x = exchange(tmp_path, LOOKUP, None)
    assert json.loads(await run(services, x, {"list": [{"id": 7}]}))["list"][0]["lastReplyAt"] is None


async def test_only_named_fields_differ(services: Services, account: AccountRow, tmp_path: Path) -> None:
    """Number text, spacing, duplicate keys and odd bytes of the rest of the body survive."""
    body = b'{ "list" : [ {"id":7,"m":1.10,"n":' + b"9" * 80 + b',"m":2,"s":"\xff"} ] }'
    out = await run(services, exchange(tmp_path, LOOKUP, account), body)
    assert out == body.replace(b'"s":"\xff"', b'"s":"\xff","lastReplyAt":"' + REPLY.encode() + b'"')


async def test_value_of_upstream_is_replaced_and_recorded(
    services: Services, account: AccountRow, tmp_path: Path
) -> None:
    """Where upstream sends the field already, the rule's step wins and the edit keeps the old value."""
    x = exchange(tmp_path, LOOKUP, account)
    out = json.loads(await run(services, x, {"list": [{"lastReplyAt": "old", "id": 7}]}))
    assert out["list"][0] == {"lastReplyAt": REPLY, "id": 7}
    assert x.edits[0].old == b'"old"'


@pytest.mark.parametrize(
    "body",
    [
        {"list": []},
        {"list": {"id": 7}},
        {"list": None},
        {},
        [],
        {"list": [None, 5, "x", []]},
        {"list": [{"name": "no id"}, {"id": None}, {"id": {}}]},
    ],
)
async def test_odd_bodies_change_nothing(services: Services, account: AccountRow, tmp_path: Path, body: Any) -> None:
    """A page of zero, an object where a list was expected, dead rows and missing ids: no error, no change."""
    x = exchange(tmp_path, LOOKUP, account)
    raw = json.dumps(body).encode()
    assert await run(services, x, raw) == raw
    assert x.notes.skipped == []


@pytest.mark.parametrize("body", [b"", b"<html>", b"5", b"{"])
async def test_what_is_not_json_passes(services: Services, account: AccountRow, tmp_path: Path, body: bytes) -> None:
    """A body that is no JSON goes through as it is, noted."""
    x = exchange(tmp_path, LOOKUP, account)
    assert await run(services, x, body) == body
    assert x.notes.counts["not_json"] == 1


async def test_failed_step_has_not_run(services: Services, account: AccountRow, tmp_path: Path) -> None:
    """A step that raises leaves no edit, is counted and noted without private values, and the next one goes on."""
    x = exchange(tmp_path, f"{{addon: breaks}}, {LOOKUP}", account)
    out = json.loads(await run(services, x, {"list": [{"id": 7}]}))
    assert out == {"list": [{"id": 7, "lastReplyAt": REPLY}]}
    assert x.notes.skipped == [("breaks", "KeyError")]
    assert x.notes.counts == {"steps_failed": 1, "lastReplyAt": 1}


async def test_on_error_fail_fails_the_request(services: Services, account: AccountRow, tmp_path: Path) -> None:
    """`on_error: fail` gives 503 `enrichment_failed` that names rule and step."""
    x = exchange(tmp_path, "{addon: breaks, on_error: fail}", account)
    with pytest.raises(StepFailed, match="test-rule") as caught:
        await run(services, x, {"list": []})
    assert (caught.value.status, caught.value.code) == (503, "enrichment_failed")


class Down:
    """A store that cannot be reached, or only after a while."""

    reads_inline = False

    def __init__(self, after_s: float) -> None:
        self.after_s = after_s

    async def aread(self, *_: Any) -> Any:
        await asyncio.sleep(self.after_s)
        raise ConnectionError("postgresql://user:password@host")


@pytest.mark.parametrize(("after_s", "reason"), [(0, "ConnectionError"), (30, "its rows took too long")])
async def test_store_down_or_slow(
    services: Services, account: AccountRow, tmp_path: Path, after_s: float, reason: str
) -> None:
    """Without the store, or past the deadline, the answer goes out without its rows; steps that need none still run."""
    slow = LOOKUP.replace("}}", f"}}, deadline_ms: {50 if after_s else 30_000}}}")
    x = exchange(tmp_path, f"{slow}, {{addon: const, set: {{seen: true}}}}", account)
    down: Any = Down(after_s)
    out = json.loads(await run(replace(services, store=down), x, {"list": [{"id": 7}]}))
    assert out == {"list": [{"id": 7}], "seen": True}
    assert x.notes.skipped == [("lookup", reason)]


async def test_present_steps_are_for_the_envelope(services: Services, account: AccountRow, tmp_path: Path) -> None:
    """`present.steps` run after `steps`, and only in the envelope dialect."""
    more = "  present: {steps: [{addon: unwrap, path: $.list}, {addon: rename, each: '$[*]', set: {lastReplyAt: replied}}]}\n"
    x = exchange(tmp_path, LOOKUP, account, dialect="envelope", more=more)
    assert json.loads(await run(services, x, {"list": [{"id": 7}]})) == [{"id": 7, "replied": REPLY}]
    x.dialect = "raw"
    assert json.loads(await run(services, x, {"list": [{"id": 7}]})) == {"list": [{"id": 7, "lastReplyAt": REPLY}]}


async def test_request_steps(services: Services, account: AccountRow, tmp_path: Path) -> None:
    """`request` steps edit the client's body."""
    more = "  request: [{addon: rename, set: {name: campaignName}}]\n"
    x = exchange(tmp_path, "", account, more=more)
    assert await Runner(services).request(x, b'{"name": "x"}') == b'{"campaignName": "x"}'
