"""From what happens at upstream to what a receiver gets: each fact once, in the shape that the API shows."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from onlyfansapi import OnlyFansAPI

from scripts.cli.stack import Stack
from scripts.simulator import Simulator
from tests.addons.webhooks.receiver import Got, Receiver
from tests.e2e.client.conftest import strict
from tests.e2e.webhooks.shapes import differences

HAPPENINGS: list[tuple[str, dict[str, Any], list[str]]] = [
    ("message", {"text": "hi"}, ["messages.received"]),
    ("message", {"text": "hello", "mine": True}, ["messages.sent"]),
    ("subscribe", {"price": 1000}, ["subscriptions.new", "transactions.new"]),
    ("tip", {"amount": 1200}, ["tips.received", "transactions.new"]),
    ("like-post", {}, ["posts.liked"]),
]


async def until(condition: Callable[[], bool], what: str, timeout_s: float = 30.0) -> None:
    try:
        async with asyncio.timeout(timeout_s):
            while not condition():
                await asyncio.sleep(0.02)
    except TimeoutError:
        pytest.fail(f"in vain: {what}")


def of(receiver: Receiver, event: str) -> list[Got]:
    return [got for got in receiver.got if got.body["event"] == event]


def subscribe(gateway: Stack, receiver: Receiver, **values: Any) -> tuple[OnlyFansAPI, str]:
    """A webhook for everything, made by the official client."""
    client = strict(gateway.base_url, gateway.api_key)
    names = [str(event.value) for event in client.webhooks.list_events().data or []]
    made = client.webhooks.create(
        endpoint_url=receiver.url(), events=names, account_scope="global", signing_secret=receiver.secret, **values
    )
    assert made.data is not None
    assert made.data.id is not None
    return client, made.data.id


async def test_each_thing_that_happens_is_told_once(world: Simulator, gateway: Stack, receiver: Receiver) -> None:
    """However often it is seen by looks and by traffic; nothing of the history from before comes along."""
    creator = world.world.creators[0]
    client, hook = await asyncio.to_thread(subscribe, gateway, receiver)
    fan = next(iter(creator.chats))
    await asyncio.to_thread(client.chats.list, gateway.account, limit=10)
    due: Counter[str] = Counter()
    for kind, values, expected in HAPPENINGS:
        due.update(expected)
        who = {} if kind == "subscribe" else {"fan": fan}
        await asyncio.to_thread(world.happen, kind, creator=creator.id, **who, **values)
        await until(lambda: all(len(of(receiver, event)) >= n for event, n in due.items()), f"{expected} after {kind}")
    await asyncio.to_thread(client.chats.list, gateway.account, limit=10)
    await asyncio.sleep(1.0)
    assert Counter(got.body["event"] for got in receiver.got) == due
    assert all(got.hex_ok and got.standard_ok for got in receiver.got)
    assert len({got.key for got in receiver.got}) == len(receiver.got)
    await asyncio.to_thread(client.webhooks.delete, hook)


async def test_real_payloads_have_the_shape_of_the_samples(
    world: Simulator, gateway: Stack, receiver: Receiver
) -> None:
    """Every event that upstream can cause here, compared with `/webhooks/{event}/example-payload`."""
    creator = world.world.creators[0]
    client, hook = await asyncio.to_thread(subscribe, gateway, receiver)
    fan = next(iter(creator.chats))
    paid = await asyncio.to_thread(
        world.happen, "message", creator=creator.id, fan=fan, text="see", mine=True, price=500
    )
    causes: list[tuple[str, dict[str, Any]]] = [
        ("message", {"fan": fan, "text": "hi"}),
        ("subscribe", {"price": 1000}),
        ("subscribe", {"fan": fan, "price": 1000, "renew": True}),
        ("tip", {"fan": fan, "amount": 1500}),
        ("purchase", {"fan": fan, "message": paid["message_id"]}),
        ("like-post", {"fan": fan}),
        ("expire", {"fan": fan}),
        ("kill-session", {}),
    ]
    for kind, values in causes[:-1]:
        await asyncio.to_thread(world.happen, kind, creator=creator.id, **values)
    expected = {
        *("messages.received", "messages.sent", "subscriptions.new", "subscriptions.renewed", "tips.received"),
        *("messages.ppv.unlocked", "posts.liked", "transactions.new", "subscriptions.expired"),
    }
    await until(lambda: expected <= {got.body["event"] for got in receiver.got}, f"all of {sorted(expected)}")
    await asyncio.to_thread(world.happen, "kill-session", creator=creator.id)
    await until(lambda: len(of(receiver, "accounts.session_expired")) > 0, "session_expired")
    await asyncio.to_thread(world.happen, "kill-session", creator=creator.id, alive=True)
    await asyncio.to_thread(client.chats.list, gateway.account, limit=1)
    await until(lambda: len(of(receiver, "accounts.reconnected")) > 0, "reconnected")
    for got in receiver.got:
        event = got.body["event"]
        url = f"{gateway.base_url}/webhooks/{event}/example-payload"
        sample = (await asyncio.to_thread(httpx.get, url, headers=gateway.auth)).json()
        assert differences(sample, got.body) == [], event
        assert got.body["payload"].keys() == sample["payload"].keys(), event
        assert got.body["account_id"] == gateway.account
        if "fan" in got.body["payload"]:
            assert isinstance(got.body["payload"]["fan"]["id"], str)
    (tip,) = of(receiver, "tips.received")
    assert (tip.body["payload"]["amountGross"], tip.body["payload"]["amountNet"]) == (15, 12)
    assert tip.body["payload"]["user"]["id"] == fan != tip.body["payload"]["user_id"]
    await asyncio.to_thread(client.webhooks.delete, hook)


def test_the_official_client_runs_the_whole_life_of_a_webhook(gateway: Stack) -> None:
    """Strict: every answer has the declared type."""
    with strict(gateway.base_url, gateway.api_key) as client:
        made = client.webhooks.create(
            endpoint_url="https://example.com/x",
            events=["tips.received"],
            account_scope="inclusive",
            account_ids=[gateway.account],
        )
        assert made.data is not None
        assert made.data.has_signing_secret is False
        hook = made.data.id or ""
        assert [one.id for one in client.webhooks.list().data or []].count(hook) == 1
        got = client.webhooks.retrieve(hook)
        assert got.data is not None
        assert got.data.events == ["tips.received"]
        changed = client.webhooks.update(
            hook, endpoint_url="https://example.com/y", events=["posts.liked"], account_scope="global", enabled=False
        )
        assert changed.data is not None
        assert (changed.data.url, changed.data.enabled) == ("https://example.com/y", False)
        client.webhooks.delete(hook)
        assert hook not in [one.id for one in client.webhooks.list().data or []]
