"""Clients that name the gateway in HTTPS_PROXY: the API's own hosts, and OnlyFans' paths by the same rules."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
import pytest
from onlyfansapi import OnlyFansAPI

from scripts.cli.stack import Stack
from scripts.simulator import Simulator
from tests.e2e.client.test_paging import walk
from tests.e2e.client.things import Things

SUBSCRIBERS = "https://onlyfans.com/api2/v2/subscriptions/subscribers?type=active&format=infinite&limit=3"
Doors = Callable[[Stack], str | None]
DOORS: list[Doors] = [lambda stack: stack.proxy_url, lambda stack: stack.base_url]


@contextmanager
def through(stack: Stack, door: Doors) -> Iterator[httpx.Client]:
    """A client that trusts the gateway's authority, and nothing else."""
    authority = ssl.create_default_context(cafile=stack.facts()["ca_file"])
    with httpx.Client(proxy=door(stack), verify=authority, timeout=30) as client:
        yield client


@pytest.mark.parametrize("door", DOORS, ids=["proxy", "listen"])
def test_the_official_client_with_its_own_base_url(stack: Stack, t: Things, door: Doors) -> None:
    """Only its proxy is set; the links to next pages lead to the host that it knows."""
    with (
        through(stack, door) as http,
        OnlyFansAPI(api_key=stack.api_key, http_client=http, _strict_response_validation=True) as client,
    ):
        page = client.fans.list_active(t.account, limit=2)
        assert page.api_pagination is not None
        assert str(page.api_pagination.next_page).startswith(
            f"https://app.onlyfansapi.com/api/{t.account}/fans/active?"
        )
        answer = http.get(str(page.api_pagination.next_page), headers=stack.auth)
        assert len(answer.json()["data"]["list"]) == 2


@pytest.mark.parametrize("door", DOORS, ids=["proxy", "listen"])
def test_upstreams_own_paths_are_enriched(stack: Stack, simulator: Simulator, door: Doors) -> None:
    """By a key, which is its account's, and by a session of the client's own; the bodies are the raw dialect's."""
    ours = httpx.get(f"{stack.base_url}/{stack.account}/fans/active?limit=3", headers=stack.auth).content
    login = simulator.creators[0]
    session = {"Cookie": login["cookies"], "User-Agent": login["user_agent"]}
    with through(stack, door) as http:
        for headers in (stack.auth, session):
            answer = http.get(SUBSCRIBERS, headers=headers)
            assert (answer.status_code, answer.content.count(b'"lastReplyAt"')) == (200, 3)
            assert answer.content == ours
        assert http.get(SUBSCRIBERS).status_code == 401
        other = http.get(SUBSCRIBERS, headers={**stack.auth, "X-OFAPI-Account": stack.seeded.other_account})
        assert (other.status_code, other.json()["error"]) == (404, "account_not_found")


def test_pages_are_followed_through_the_proxy(stack: Stack, t: Things) -> None:
    """`next_page` of a plain request at the proxy's door names that door, and works."""
    assert stack.proxy_url is not None
    through_proxy = walk(f"{stack.proxy_url}/api/{t.account}/following/all?limit=5", stack.auth, "list")
    assert through_proxy == walk(f"{stack.base_url}/api/{t.account}/following/all?limit=5", stack.auth, "list")
