"""What the rules put into the store, from bodies as upstream sends them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from addons.pipeline.check import Known
from addons.pipeline.loader import load_rules
from addons.pipeline.observing import observed_rows
from addons.pipeline.plan import Plan
from ofapi_store.catalog import lookup_columns, observe_columns

RULES = Path(__file__).parents[2] / "rules"
FAN = {"id": 5, "username": "u5", "name": "Five", "subscribedOn": True, "subscribedOnData": {"totalSumm": 12.5}}


@pytest.fixture(scope="module")
def plan() -> Plan:
    return load_rules(RULES, known=Known(None, lookup_columns(), observe_columns()))


def seen(plan: Plan, rule_id: str, body: Any, **params: str) -> dict[str, list[dict[str, Any]]]:
    rule = plan.by_id[rule_id]
    return observed_rows(rule.observe, params, orjson.dumps(body), rule.steps)


@pytest.mark.parametrize("rule_id", ["fans-all", "fans-active", "fans-expired", "fans-latest", "fans-top"])
def test_fan_lists_fill_fans(plan: Plan, rule_id: str) -> None:
    """Each fan of a page becomes a row with what the subscription says."""
    key = "users" if rule_id in ("fans-latest", "fans-top") else "list"
    (row,) = seen(plan, rule_id, {key: [FAN], "hasMore": False})["fans"]
    assert row["fan_id"] == 5
    assert row["is_active"] is True
    assert str(row["total_spent"]) == "12.5"


@pytest.mark.parametrize(
    ("rule_id", "table", "row"),
    [
        ("fans-active", "fans", FAN),
        ("fans-latest", "fans", FAN),
        ("chats-list", "fans", {"withUser": FAN}),
        ("messages-list", "messages", {"id": 9, "fromUser": {"id": 5}, "createdAt": "2026-01-01T00:00:00+00:00"}),
        ("transactions-list", "transactions", {"id": "t", "amount": 1, "createdAt": "2026-01-01T00:00:00+00:00"}),
        ("tracking-links-list", "tracking_links", {"id": 3}),
        ("trial-links-list", "trial_links", {"id": 3}),
    ],
)
def test_bare_lists_are_seen_too(plan: Plan, rule_id: str, table: str, row: dict[str, Any]) -> None:
    """Upstream sends some lists without an object around them."""
    wrapped = seen(plan, rule_id, {"list": [row]}, chat_id="5")
    assert wrapped[table]
    assert seen(plan, rule_id, [row], chat_id="5") == wrapped


def test_a_user_is_stored_as_a_fan_only_with_a_subscription(plan: Plan) -> None:
    """A user page of somebody who never subscribed leaves no row."""
    assert seen(plan, "users-get", FAN, username="u5")["fans"][0]["fan_id"] == 5
    nobody = {**FAN, "subscribedOn": False, "subscribedOnData": None}
    assert seen(plan, "users-get", nobody, username="u5") == {}
    for name in ("subscribedOn", "subscribedOnExpiredNow"):
        assert seen(plan, "users-get", {**nobody, name: True}, username="u5")["fans"][0]["fan_id"] == 5


def test_chats_fill_fans_and_their_last_messages(plan: Plan) -> None:
    """The last message of a chat belongs to the chat's fan, whoever wrote it; a fan comes with what the fan spent."""
    last = {"id": 9, "fromUser": {"id": 1}, "createdAt": "2026-01-01T00:00:00+00:00", "isSentByMe": True, "price": 3}
    body = {"list": [{"withUser": FAN, "lastMessage": last}, {"withUser": {"id": 6}, "lastMessage": None}]}
    found = seen(plan, "chats-list", body)
    assert [row["fan_id"] for row in found["fans"]] == [5, 6, 5]
    assert str(found["fans"][2]["total_spent"]) == "12.5"
    (message,) = found["messages"]
    assert (message["message_id"], message["fan_id"], message["from_user_id"], message["is_sent_by_me"]) == (
        9,
        5,
        1,
        True,
    )


@pytest.mark.parametrize(
    ("description", "expected"),
    [
        ("Tip from <a href='x'>A</a>", "profile"),
        ("TIP FROM A", "profile"),
        ("Tip in chat from <a href='x'>A</a>", "chat"),
        ("Tip on post from <a href='x'>A</a>", "post_all"),
        ("Tip on stream from <a href='x'>A</a>", "stream"),
        ("Tip in story from A", "story"),
        ("Subscription from <a href='x'>A</a>", None),
    ],
)
def test_the_source_of_a_tip_is_read_for_the_store_alone(plan: Plan, description: str, expected: str | None) -> None:
    """From the description, in the steps of `observe`."""
    body = {"list": [{"id": "t", "description": description}]}
    (row,) = seen(plan, "transactions-list", body)["transactions"]
    assert row["tips_source"] == expected


def test_messages_belong_to_the_chat_of_the_path(plan: Plan) -> None:
    """The fan of a message is the one whose chat was asked for."""
    body = {"list": [{"id": 9, "fromUser": {"id": 5}, "createdAt": "2026-01-01T00:00:00+00:00", "isSentByMe": False}]}
    (row,) = seen(plan, "messages-list", body, chat_id="5")["messages"]
    assert (row["fan_id"], row["from_user_id"], row["is_sent_by_me"]) == ("5", 5, False)


@pytest.mark.parametrize(
    ("description", "expected"),
    [
        # subscriptions
        ("Subscription from <a href='x'>A</a>", "subs"),
        ("Recurring subscription from <a href='x'>A</a>", "subs"),
        # tips name other kinds, too
        ("Tip from <a>Post</a>", "tips"),
        ("Tip in chat from A", "tips"),
        ("tip ON POST from A", "tips"),
        ("<b>Tip</b> on stream from A", "tips"),
        # messages, posts, streams
        ("Payment for message from A", "chat_messages"),
        ("Message from A", "chat_messages"),
        ("Post purchase by A", "post"),
        ("Post purchase from A", "post"),
        ("Post from A", "post"),
        ("Stream from A", "stream"),
        # everything else
        ("Referral bonus", None),
        ("Tipping point", None),
        ("", None),
        (None, None),
    ],
)
def test_transactions_are_stored_with_their_type(plan: Plan, description: str | None, expected: str | None) -> None:
    """The type that the rule reads from the description is stored with the amount (contract 5.7)."""
    row = {"id": "t", "amount": 1, "net": 0.8, "description": description, "user": {"id": 5}}
    (stored,) = seen(plan, "transactions-list", {"list": [row], "hasMore": False})["transactions"]
    assert stored["type"] == expected
    assert stored["fan_id"] == 5


def test_links_and_their_claimers_are_stored(plan: Plan) -> None:
    """Links of all four kinds, and the fans who came through one, with the link of the path."""
    link = {"id": 3, "campaignName": "X", "trialLinkName": "X", "countTransitions": 7, "clicksCounts": 7}
    for rule_id in ("tracking-links-list", "trial-links-list", "shared-tracking-links-list", "shared-trial-links-list"):
        (rows,) = seen(plan, rule_id, {"list": [link], "hasMore": False}).values()
        assert (rows[0]["link_id"], rows[0]["name"], rows[0]["clicks_count"]) == (3, "X", 7), rule_id
        assert rows[0]["payload"] == link
    span = {"subscriberId": 5, "startDate": "2026-01-01T00:00:00+00:00", "expireDate": None}
    fan = {"id": 5, "subscribedOnData": {"subscribeAt": span["startDate"], "expiredAt": None, "subscribes": [span]}}
    for name in ("tracking", "trial"):
        link_id = {f"{name}_link_id": "3"}
        found = seen(plan, f"{name}-links-subscribers", {"list": [fan], "hasMore": False}, **link_id)
        (claim,) = found[f"{name}_link_claims"]
        assert (claim["link_id"], claim["fan_id"], claim["claimed_at"]) == ("3", 5, span["startDate"])


def test_the_creators_own_page_is_kept_whole(plan: Plan) -> None:
    """`users/me` becomes the account's user data, which `/accounts` shows."""
    body = {"id": 1, "username": "me", "email": "a@example.test", "csrf": "x"}
    (row,) = seen(plan, "me-get", body)["accounts"]
    assert row["user_data"] == body
