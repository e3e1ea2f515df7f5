from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from scripts.simulator import Simulator

Get = Callable[..., Any]


@pytest.fixture
def fan(sim: Simulator) -> int:
    """A fan who has a chat."""
    return next(iter(sim.world.creators[0].chats))


def test_sent_message_is_the_newest(api: httpx.Client, get: Get, fan: int) -> None:
    """A sent message is first in its chat and last message in the list of chats; like, pin and delete show."""
    sent = api.post(f"/chats/{fan}/messages", json={"text": "hello there"}).json()
    assert get(f"/chats/{fan}/messages", limit=1)["list"][0]["id"] == sent["id"]
    assert get("/chats", limit=1)["list"][0]["lastMessage"]["text"] == "<p>hello there</p>"
    api.post(f"/messages/{sent['id']}/like")
    api.post(f"/messages/{sent['id']}/pin/user/{fan}")
    again = get(f"/chats/{fan}/messages", filter="pinned")["list"][0]
    assert (again["id"], again["isLiked"], again["isPinned"]) == (sent["id"], True, True)
    assert sent["id"] in get(f"/chats/{fan}/messages/search", query="hello there")
    assert api.delete(f"/messages/{sent['id']}").json() == {"success": True}
    assert get(f"/chats/{fan}/messages", limit=1)["list"][0]["id"] != sent["id"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"text": "x", "price": 5},
        {"text": "x", "mediaFiles": [1]},
        {"text": "x", "mediaFiles": [{"processId": "no"}]},
    ],
)
def test_bad_message_is_400(api: httpx.Client, fan: int, body: dict[str, Any]) -> None:
    """Nothing to send, a price without media, and media that do not exist are refused."""
    assert api.post(f"/chats/{fan}/messages", json=body).status_code == 400


def test_chat_state(api: httpx.Client, get: Get, sim: Simulator, fan: int) -> None:
    """Reading, marking unread, muting, hiding and deleting a chat show in the list."""

    def state() -> dict[str, Any]:
        return next(row for row in get("/chats", limit=100)["list"] if row["withUser"]["id"] == fan)

    sim.happen("message", fan=fan, text="are you there")
    assert state()["unreadMessagesCount"] > 0
    api.post(f"/chats/{fan}/mark-as-read")
    assert state()["unreadMessagesCount"] == 0
    api.delete(f"/chats/{fan}/mark-as-read")
    api.post(f"/chats/{fan}/mute")
    assert (state()["unreadMessagesCount"], state()["isMutedNotifications"]) == (1, True)
    api.post(f"/chats/{fan}/hide")
    assert fan not in {row["withUser"]["id"] for row in get("/chats", limit=100)["list"]}


def test_notes_block_and_restrict(api: httpx.Client, get: Get, fan: int) -> None:
    """Notice and name show on the user, an empty text clears; a blocked fan can not be written to."""
    api.put(f"/subscriptions/{fan}", json={"notice": "kind", "displayName": "Joe"})
    assert (get(f"/users/{fan}")["notice"], get(f"/users/{fan}")["displayName"]) == ("kind", "Joe")
    api.put(f"/subscriptions/{fan}", json={"notice": ""})
    assert get(f"/users/{fan}")["notice"] == ""
    assert api.post(f"/users/{fan}/block").json()["isBlocked"] is True
    assert api.post(f"/chats/{fan}/messages", json={"text": "x"}).status_code == 403
    assert [row["id"] for row in get("/users/blocked", limit=10)["list"]] == [fan]
    api.delete(f"/users/{fan}/block")
    api.post(f"/users/{fan}/restrict")
    assert (get(f"/users/{fan}")["isBlocked"], get(f"/users/{fan}")["isRestricted"]) == (False, True)


def test_links(api: httpx.Client, get: Get) -> None:
    """A new campaign and a new trial are first in their lists, and gone after DELETE."""
    (campaign,) = api.post("/campaigns", json={"campaignName": "mine"}).json()
    trial = api.post("/trials", json={"trialLinkName": "t", "subscribeDays": 7, "subscribeCounts": 10}).json()
    assert get("/campaigns", pagination=1, limit=1)["list"][0] == campaign
    assert get("/trials", limit=1)["list"][0]["id"] == trial["id"]
    api.delete(f"/campaigns/{campaign['id']}")
    api.delete(f"/trials/{trial['id']}")
    assert campaign["id"] not in {row["id"] for row in get("/campaigns", pagination=1, limit=100)["list"]}
    assert trial["id"] not in {row["id"] for row in get("/trials", limit=100)["list"]}


def test_posts_comments_labels(api: httpx.Client, get: Get) -> None:
    """A post, its comment, pin and archive show; a scheduled post is in the queue until it is published."""
    post = api.post("/posts", json={"text": "news"}).json()["id"]
    comment = api.post(f"/posts/{post}/comments", json={"text": "first"}).json()["id"]
    api.post(f"/posts/{post}/comments/{comment}/like")
    api.post(f"/posts/{post}/pin")
    assert get(f"/posts/{post}/comments")["list"][0]["likesCount"] == 1
    assert post in {row["id"] for row in get("/posts", pinned=1, limit=50)["list"]}
    api.post(f"/posts/{post}/archive")
    assert get("/posts", limit=1)["list"][0]["id"] != post
    later = api.post("/posts", json={"text": "later", "scheduledDate": "2026-12-24 10:00:00"}).json()["id"]
    assert later in {row["id"] for row in get("/schedules")["list"]}
    assert get("/schedules/counters")["list"]["2026-12-24"] == {"post": 1}
    api.put(f"/schedules/{later}/publish")
    assert get("/posts", limit=1)["list"][0]["id"] == later
    assert api.delete(f"/posts/{later}").json()["success"] is True
    label = api.post("/labels", json={"name": "L"}).json()["id"]
    assert str(label) in {row["id"] for row in get("/labels", limit=50)["list"]}


def test_mass_message_reaches_its_receivers(api: httpx.Client, get: Get, fan: int) -> None:
    """A mass message is in the chats of the users named, from the queue, and leaves them when it is unsent."""
    queue = api.post("/messages/queue", json={"text": "all", "userIds": [fan]}).json()
    message = get(f"/chats/{fan}/messages", limit=1)["list"][0]
    assert (message["queueId"], message["isFromQueue"], queue["total"]) == (queue["id"], True, 1)
    assert api.delete(f"/messages/queue/{queue['id']}").json()["success"] is True
    assert get(f"/chats/{fan}/messages", limit=1)["list"][0]["id"] != message["id"]


def test_lists(api: httpx.Client, get: Get, fan: int) -> None:
    """Users go on and off a list; a list can be renamed and deleted, a built-in one not."""
    key = api.post("/lists", json={"name": "mine"}).json()["id"]
    assert api.post(f"/lists/{key}/users", json={"ids": [fan]}).json() == {str(key): [fan]}
    assert [row["id"] for row in get(f"/lists/{key}/users", limit=10)["list"]] == [fan]
    api.post(f"/lists/{key}/users/{fan}/pin")
    assert [row["id"] for row in get(f"/lists/{key}/users/pinned", limit=10)["list"]] == [fan]
    api.patch(f"/lists/{key}", json={"name": "yours"})
    assert get(f"/lists/{key}")["name"] == "yours"
    api.delete(f"/lists/{key}/users/{fan}")
    assert get(f"/lists/{key}")["usersCount"] == 0
    api.delete(f"/lists/{key}")
    assert (api.get(f"/lists/{key}").status_code, api.delete("/lists/fans").status_code) == (404, 403)


def test_vault(api: httpx.Client, get: Get) -> None:
    """Media go on a vault list and out of the vault."""
    media = get("/vault/media", limit=1)["list"][0]["id"]
    key = api.post("/vault/lists", json={"name": "v"}).json()["id"]
    assert api.post(f"/vault/lists/{key}/media", json={"mediaIds": [media]}).json()["hasMedia"] is True
    assert [row["id"] for row in get("/vault/media", list=key, limit=10)["list"]] == [media]
    api.put("/vault/media/hidden", json={"mediaIds": [media]})
    assert api.get(f"/vault/media/{media}").status_code == 404


def test_settings_and_money(api: httpx.Client, get: Get) -> None:
    """Settings, price, buttons, tabs, promotions, bundles and payouts keep what was written."""
    api.patch("/users/me", json={"about": "new", "replyOnSubscribe": False})
    api.patch("/users/me/settings/subscription-price", json={"price": 12})
    api.patch("/users/me/settings/blocked-countries", json={"blockedCountries": ["US"]})
    api.post("/users/notifications/settings/tabs-order", json={"tabs": ["tips", "all"]})
    me, settings = get("/users/me"), get("/users/me/settings")
    assert (me["about"], me["subscribePrice"], settings["blockedCountries"], settings["replyOnSubscribe"]) == (
        "new",
        12,
        ["US"],
        False,
    )
    assert get("/users/notifications/settings/tabs-order") == ["tips", "all"]
    (promotion,) = api.post("/promotions", json={"discount": 10, "offerLimit": 5, "message": "hi"}).json()
    api.post(f"/promotions/{promotion['id']}/finish")
    assert get("/promotions", limit=1)["items"][0]["isFinished"] is True
    bundle = api.post("/subscriptions/bundles", json={"discount": 10, "duration": 12}).json()
    assert bundle in get("/subscriptions/bundles")
    before = get("/payouts/balances")["payoutAvailable"]
    api.post("/payouts/requests", json={"amount": 50})
    assert get("/payouts/requests", limit=1)["list"][0]["amount"] == 50
    assert get("/payouts/balances")["payoutAvailable"] == before - 50
    assert api.post("/payouts/requests", json={"amount": before}).status_code == 400
    assert len(api.post("/users/social/buttons", json={"type": "tiktok", "value": "me", "label": "T"}).json()) == 3


def test_stories_and_highlights(api: httpx.Client, get: Get) -> None:
    """A story is up at once, can join a highlight, and goes by DELETE."""
    media = get("/vault/media", limit=1, type="photo")["list"][0]["id"]
    story = api.post("/stories", json={"mediaFiles": [media]}).json()["id"]
    assert story in {row["id"] for row in get("/users/me/stories")}
    highlight = get("/users/me/stories/highlights", limit=5)["list"][0]["id"]
    api.patch(f"/stories/highlights/{highlight}/{story}")
    assert story in {row["id"] for row in get(f"/stories/highlights/{highlight}")["stories"]}
    api.put(f"/stories/{story}/watched")
    assert get(f"/stories/{story}")["isWatched"] is True
    api.delete(f"/stories/{story}")
    assert api.get(f"/stories/{story}").status_code == 404
