"""Webhooks over HTTP: settings, bad input by field, who may see what, log and redelivery, on both databases."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from addons.webhooks.catalogue import EVENTS
from addons.webhooks.loop import DeliveryLoop
from ofapi_store import testing
from ofapi_store.engine import Store
from ofapi_store.queries import events
from ofapi_store.queries.events import WEBHOOKS
from ofapi_store.secrets import SecretBox
from tests.addons.pipeline.harness import Bench, Got, make_bench
from tests.addons.webhooks.receiver import Receiver

RULES = (Path(__file__).parents[3] / "rules" / "webhooks.yaml").read_text(encoding="utf-8")
GOOD: dict[str, Any] = {
    "endpoint_url": "https://example.com/hook",
    "events": ["tips.received", "messages.received"],
    "account_scope": "global",
    "signing_secret": "very s3cret",
}


@pytest.fixture
async def bench(store: Store, secret_box: SecretBox, tmp_path: Path) -> AsyncIterator[Bench]:
    made = make_bench(store, secret_box, tmp_path, rules=RULES)
    yield made
    await made.gateway.close()


async def send(bench: Bench, method: str, path: str, body: Any = None, token: str | None = "") -> Got:
    headers = {"Content-Type": "application/json"} if body is not None else {}
    data = json.dumps(body).encode() if body is not None else None
    return await bench.call(method, f"/api/{path}", body=data, headers=headers, token=token)


async def made(bench: Bench, **values: Any) -> dict[str, Any]:
    got = await send(bench, "POST", "webhooks", {**GOOD, **values})
    assert got.status == 200, got.body
    data: dict[str, Any] = got.json["data"]
    return data


async def test_a_webhook_is_made_read_changed_and_deleted(bench: Bench) -> None:
    """The contract's fields, scope and state beside them; the secret is encrypted and shown nowhere."""
    hook = await made(bench)
    assert hook["id"].startswith("wh_")
    assert (hook["url"], hook["enabled"], hook["has_signing_secret"]) == (GOOD["endpoint_url"], True, True)
    assert (hook["account_scope"], hook["account_ids"], hook["state"]) == ("global", [], "active")
    with bench.store.read() as conn:
        stored = conn.execute(select(WEBHOOKS.c.secret)).scalar()
    assert bench.box.decrypt(stored) == "very s3cret"
    assert "s3cret" not in stored
    listed = (await send(bench, "GET", "webhooks")).json["data"]
    assert listed == [(await send(bench, "GET", f"webhooks/{hook['id']}")).json["data"]] == [hook]
    change = {"endpoint_url": "https://example.com/2", "events": ["posts.liked"], "account_scope": "exclusive"}
    change |= {"account_ids": [bench.account.id], "enabled": False}
    changed = (await send(bench, "PUT", f"webhooks/{hook['id']}", change)).json["data"]
    assert (changed["url"], changed["events"], changed["enabled"]) == ("https://example.com/2", ["posts.liked"], False)
    assert (changed["account_scope"], changed["account_ids"]) == ("exclusive", [bench.account.id])
    assert changed["has_signing_secret"]
    assert (await send(bench, "DELETE", f"webhooks/{hook['id']}")).status == 200
    assert (await send(bench, "GET", f"webhooks/{hook['id']}")).status == 404
    assert (await send(bench, "GET", "webhooks")).json["data"] == []


async def test_both_spellings_answer_the_same(bench: Bench) -> None:
    """`/webhooks` and `/{account}/webhooks`; raw and envelope."""
    hook = await made(bench)
    for path in ("webhooks", "{a}/webhooks"):
        assert (await send(bench, "GET", path)).json["data"] == [hook]
        assert (await bench.raw(path)).json == [hook]
    assert (await bench.raw(f"{{a}}/webhooks/{hook['id']}")).json == hook


@pytest.mark.parametrize(
    ("change", "field"),
    [
        # where
        ({"endpoint_url": None}, "endpoint_url"),
        ({"endpoint_url": ""}, "endpoint_url"),
        ({"endpoint_url": "example.com"}, "endpoint_url"),
        ({"endpoint_url": "ftp://example.com/"}, "endpoint_url"),
        ({"endpoint_url": "https://"}, "endpoint_url"),
        ({"endpoint_url": "https://[::1"}, "endpoint_url"),
        ({"endpoint_url": "https://h:99999/"}, "endpoint_url"),
        ({"endpoint_url": "https://a b/"}, "endpoint_url"),
        ({"endpoint_url": "https://user:pw@example.com/"}, "endpoint_url"),
        ({"endpoint_url": "https://127.0.0.1/"}, "endpoint_url"),
        ({"endpoint_url": "https://[::ffff:10.0.0.1]/"}, "endpoint_url"),
        ({"endpoint_url": "http://169.254.169.254/latest"}, "endpoint_url"),
        ({"endpoint_url": "https://example.com/" + "x" * 2048}, "endpoint_url"),
        ({"endpoint_url": 7}, "endpoint_url"),
        # what
        ({"events": None}, "events"),
        ({"events": []}, "events"),
        ({"events": "tips.received"}, "events"),
        ({"events": ["tips.recieved"]}, "events"),
        ({"events": ["fansly.messages.received"]}, "events"),
        ({"events": [1]}, "events.0"),
        # of whom
        ({"account_scope": None}, "account_scope"),
        ({"account_scope": "some"}, "account_scope"),
        ({"account_scope": "inclusive"}, "account_ids"),
        ({"account_scope": "exclusive", "account_ids": []}, "account_ids"),
        ({"account_scope": "inclusive", "account_ids": ["acct_unknown"]}, "account_ids"),
        ({"account_ids": "acct_a"}, "account_ids"),
        ({"signing_secret": "x" * 256}, "signing_secret"),
        ({"signing_secret": 5}, "signing_secret"),
    ],
)
async def test_bad_input_names_its_field(bench: Bench, change: dict[str, Any], field: str) -> None:
    """422 in the contract's shape (2.2), nothing is made."""
    body = {k: v for k, v in {**GOOD, **change}.items() if v is not None}
    got = await send(bench, "POST", "webhooks", body)
    assert got.status == 422, got.body
    assert list(got.json["errors"]) == [field]
    assert got.json["message"] == got.json["errors"][field][0]
    assert (await send(bench, "GET", "webhooks")).json["data"] == []


async def test_bodies_that_are_no_object_are_refused(bench: Bench) -> None:
    """Never a 500."""
    for body in ([], "x", 1, None):
        assert (await send(bench, "POST", "webhooks", body)).status in (400, 422)
    got = await bench.call("POST", "/api/webhooks", body=b"{", headers={"Content-Type": "application/json"})
    assert got.status in (400, 422)


async def test_another_teams_webhook_and_accounts_are_unknown(bench: Bench) -> None:
    """404, and 422 for its accounts, as for what does not exist."""
    hook = await made(bench)
    with bench.store.write() as conn:
        other = testing.make_team(conn)
        token = testing.make_key(conn, other.id).token
        account = testing.make_account(conn, other.id)
    assert (await send(bench, "GET", "webhooks", token=token)).json["data"] == []
    for method in ("GET", "DELETE"):
        theirs = await send(bench, method, f"webhooks/{hook['id']}", token=token)
        none = await send(bench, method, "webhooks/wh_none", token=token)
        assert (theirs.status, theirs.body) == (none.status, none.body) == (404, none.body)
    got = await send(bench, "POST", "webhooks", {**GOOD, "account_scope": "inclusive", "account_ids": [account.id]})
    assert got.status == 422


async def test_a_restricted_key_stays_within_its_accounts(bench: Bench) -> None:
    """It makes and sees webhooks of its own accounts only; a global one would tell of others."""
    with bench.store.write() as conn:
        token = testing.make_key(conn, bench.team.id, account_ids=[bench.account.id]).token
        other = testing.make_account(conn, bench.team.id)
    hook = await made(bench)
    assert (await send(bench, "POST", "webhooks", GOOD, token=token)).status == 403
    theirs = {**GOOD, "account_scope": "inclusive", "account_ids": [other.id]}
    assert (await send(bench, "POST", "webhooks", theirs, token=token)).status == 422
    mine = {**GOOD, "account_scope": "inclusive", "account_ids": [bench.account.id]}
    own = (await send(bench, "POST", "webhooks", mine, token=token)).json["data"]
    assert (await send(bench, "GET", "webhooks", token=token)).json["data"] == [own]
    assert (await send(bench, "DELETE", f"webhooks/{hook['id']}", token=token)).status == 404


async def test_the_catalogue_has_32_events_each_with_a_sample(bench: Bench) -> None:
    """Contract 7.2; a sample is a whole delivery body. Unknown events are 404."""
    listed = (await send(bench, "GET", "webhooks/events")).json["data"]
    assert [one["value"] for one in listed] == list(EVENTS)
    assert len(listed) == 32
    assert all(one["description"] for one in listed)
    for event in EVENTS:
        sample = (await send(bench, "GET", f"webhooks/{event}/example-payload")).json["data"]
        assert sample["event"] == event
        assert ("account_id" in sample) == (not event.startswith("data_exports."))
        assert isinstance(sample["payload"], dict)
    assert (await send(bench, "GET", "webhooks/nothing.new/example-payload")).status == 404


async def test_the_log_shows_tries_and_sends_again(bench: Bench, receiver: Receiver) -> None:
    """Newest first, by page and filter; a redelivery names the first delivery and costs a credit."""
    bench.services.config = bench.services.config.model_copy(update={"network": _loopback(bench)})
    hook = await made(bench, endpoint_url=receiver.url())
    with bench.store.write() as conn:
        for n in range(3):
            events.emit(conn, bench.team.id, "tips.received", f"tip:{n}", {"n": n}, account_id=bench.account.id)
    await DeliveryLoop(bench.services, "one").run_until_idle()
    path = f"webhooks/{hook['id']}/deliveries"
    got = (await send(bench, "GET", path)).json
    assert [one["payload"]["n"] for one in got["data"]] == [2, 1, 0]
    assert got["_pagination"]["next_page"] is None
    one = got["data"][0]
    assert {
        "id",
        "delivery_uuid",
        "event",
        "attempt",
        "succeeded",
        "status_code",
        "error_type",
        "error_message",
    } <= set(one)
    assert {"idempotency_key", "payload", "url", "redelivered_from", "created_at"} <= set(one)
    assert (one["attempt"], one["succeeded"], one["status_code"], one["url"]) == (1, True, 204, receiver.url())
    paged = (await send(bench, "GET", f"{path}?limit=2")).json
    assert len(paged["data"]) == 2
    assert "offset=2" in paged["_pagination"]["next_page"]
    assert (await send(bench, "GET", f"{path}?succeeded=false")).json["data"] == []
    assert (await send(bench, "GET", f"{path}?event=posts.liked")).json["data"] == []
    refused = await send(bench, "GET", f"{path}?event=tips.recieved")
    assert (refused.status, list(refused.json["errors"])) == (422, ["event"])
    assert (await send(bench, "GET", f"{path}?date_end=2020-01-01")).json["data"] == []
    for name in (one["id"], one["delivery_uuid"]):
        again = await send(bench, "POST", f"{path}/{name}/redeliver")
        assert again.json["data"]["webhook_id"] == hook["id"]
        assert again.json["_meta"]["_credits"]["used"] == 1
    await DeliveryLoop(bench.services, "one").run_until_idle()
    newest = (await send(bench, "GET", path)).json["data"][0]
    assert newest["redelivered_from"] == one["delivery_uuid"]
    assert newest["idempotency_key"] == one["idempotency_key"]
    assert (await send(bench, "POST", f"{path}/nothing/redeliver")).status == 404


@pytest.mark.parametrize("values", [{"state": "paused"}, {"state": "disabled", "enabled": False}, {"enabled": False}])
async def test_nothing_is_redelivered_while_nothing_is_sent(bench: Bench, values: dict[str, Any]) -> None:
    """409, permanent; enabling the webhook ends a pause."""
    hook = await made(bench)
    with bench.store.write() as conn:
        conn.execute(WEBHOOKS.update().values(**values, paused_until=datetime.now(UTC)))
    got = await send(bench, "POST", f"webhooks/{hook['id']}/deliveries/x/redeliver")
    assert (got.status, got.json["error"]) == (409, "conflict")
    assert got.headers.get("x-should-retry") == "false"
    change = {k: v for k, v in GOOD.items() if k != "signing_secret"} | {"enabled": True}
    assert (await send(bench, "PUT", f"webhooks/{hook['id']}", change)).json["data"]["state"] == "active"


def _loopback(bench: Bench) -> Any:
    return bench.services.config.network.model_copy(update={"allow_private": ("127.0.0.0/8",)})


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver().listening() as running:
        yield running
