from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from fractions import Fraction
from typing import Any

import httpx
import pytest

from scripts.simulator import Simulator
from tests.simulator.conftest import NOW

Get = Callable[..., Any]


def at(days: float) -> str:
    return (NOW - timedelta(days=days)).isoformat()


def test_message_from_fan(sim: Simulator, get: Get) -> None:
    """A fan's message is unread, the newest, and moves the true time of the last reply."""
    fan = next(iter(sim.world.creators[0].chats))
    event = sim.happen("message", fan=fan, text="knock")
    chat = get("/chats", limit=1)["list"][0]
    assert (chat["lastMessage"]["id"], chat["withUser"]["id"]) == (event["message_id"], fan)
    assert sim.truth.last_reply(sim.creators[0].id)[fan] == event["at"]


def test_subscribe_through_a_link(sim: Simulator, get: Get) -> None:
    """A new subscriber through a link is a claimer, a fan, a transaction and a notification."""
    (link,) = [httpx_create(sim)]
    event = sim.happen("subscribe", link=f"campaign:{link}", at=at(1))
    claimers = get(f"/campaigns/{link}/claimers", limit=5)["list"]
    assert [row["id"] for row in claimers] == [event["fan"]]
    assert len(claimers[0]["subscribedOnData"]["subscribes"]) == 1
    assert get(f"/users/{event['fan']}")["subscribedOnData"]["totalSumm"] == 10
    assert event["transaction"] in {row["id"] for row in get("/payouts/transactions", limit=50)["list"]}
    assert get("/users/notifications", limit=1)["list"][0]["user"]["id"] == event["fan"]


def httpx_create(sim: Simulator) -> int:
    account = sim.creators[0]
    headers = {"Cookie": account.cookies, "User-Agent": account.user_agent}
    return int(
        httpx.post(sim.api_url + "/api2/v2/campaigns", json={"campaignName": "c"}, headers=headers).json()[0]["id"]
    )


def test_a_link_is_known_by_what_its_url_ends_with(sim: Simulator) -> None:
    """A code alone may be the id of another link; with the `c` of the URL it is none."""
    ours = sim.world.creators[0].link_list("campaign")
    link = ours[-1]
    fan = sim.happen("subscribe", link=f"c{link.code}")["fan"]
    assert [claim["fan_id"] for claim in sim.truth.links(sim.creators[0]["id"])[link.key]["claims"]].count(fan) == 1


def test_truth_of_a_small_history(sim: Simulator) -> None:
    """Renewals count for the link, stacked links share equally, gaps and refunds count nothing."""
    one, two = httpx_create(sim), httpx_create(sim)
    fan = sim.happen("subscribe", link=f"campaign:{one}", at=at(60), days=30)["fan"]
    sim.happen("subscribe", fan=fan, at=at(30), days=10, renew=True)
    sim.happen("tip", fan=fan, amount=2500, at=at(25))
    sim.happen("subscribe", fan=fan, link=f"campaign:{two}", at=at(22), days=10)
    sim.happen("tip", fan=fan, amount=1000, at=at(21))
    sim.happen("tip", fan=fan, amount=9900, at=at(5))
    back = sim.happen("tip", fan=fan, amount=5000, at=at(24))
    sim.happen("undo", transaction=back["transaction"], chargeback=True)
    links = sim.truth.links(sim.creators[0].id)
    first, second = links[f"campaign:{one}"], links[f"campaign:{two}"]
    assert Fraction(first["revenue_net_cents"]) == 800 + 800 + 2000 + Fraction(800, 2) + Fraction(800, 2)
    assert Fraction(second["revenue_net_cents"]) == Fraction(800, 2) + Fraction(800, 2)
    assert (first["chargebacks_net_cents"], first["spenders"], second["spenders"]) == ("4000", 1, 1)


def test_purchase_expiry_and_deletion(sim: Simulator, get: Get) -> None:
    """A purchase opens the message; an expired fan moves lists; a deleted one is 404 and stays in the ledger."""
    fan = next(number for number in sim.world.creators[0].chats if sim.world.creators[0].fans[number].active_at(NOW))
    message = sim.happen("message", fan=fan, mine=True, price=1500)["message_id"]
    assert get(f"/messages/{message}")["isOpened"] is False
    paid = sim.happen("purchase", fan=fan, message=message)
    assert get(f"/messages/{message}")["isOpened"] is True
    sim.happen("expire", fan=fan)
    expired = get("/subscriptions/subscribers", type="expired", format="infinite", limit=50)["list"]
    assert fan in {row["id"] for row in expired}
    sim.happen("delete-account", fan=fan)
    assert fan not in {
        row["id"] for row in get("/subscriptions/subscribers", type="expired", format="infinite", limit=50)["list"]
    }
    assert get("/payouts/transactions", limit=1)["list"][0]["id"] == paid["transaction"]


def test_killed_sessions(sim: Simulator, api: httpx.Client) -> None:
    """All sessions of a creator die at once, and can be revived."""
    sim.happen("kill-session")
    assert api.get("/users/me").status_code == 401
    sim.happen("kill-session", alive=True)
    assert api.get("/users/me").status_code == 200


def test_reset_gives_the_generated_world(sim: Simulator, api: httpx.Client) -> None:
    """`reset` undoes writes, faults and log."""
    before = sim.world.digest()
    api.patch("/users/me", json={"about": "changed"})
    sim.faults.add("forbidden", count=0)
    assert httpx.post(sim.api_url + "/__sim__/reset").status_code == 200
    assert sim.world.digest() == before
    assert api.get("/users/me").status_code == 200


@pytest.mark.parametrize(
    "path",
    ["truth/links/creator1", "truth/transactions/creator1", "truth/last-reply/creator1", "world", "accounts", "log"],
)
def test_control_answers(sim: Simulator, path: str) -> None:
    """Every control read answers JSON."""
    assert httpx.get(f"{sim.api_url}/__sim__/{path}").status_code == 200


def test_control_errors(sim: Simulator) -> None:
    """Unknown paths, creators and events are 404 with a reason, broken JSON is 400."""
    base = sim.api_url + "/__sim__/"
    for path in ("nothing", "truth/links/nobody"):
        assert httpx.get(base + path).status_code == 404
    assert "known" in httpx.post(base + "events/nonsense", json={}).json()["error"]
    assert httpx.post(base + "events/tip", content=b"{").status_code == 400
