"""Stored links and tags through the official client: filled by what passes by, paged, and shown in the live lists."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from onlyfansapi import OnlyFansAPI

from scripts.cli.stack import Stack
from scripts.simulator import Simulator
from tests.e2e.client.test_paging import walk
from tests.e2e.client.things import Things
from tests.e2e.waiting import until

LISTS = ["tracking-links", "trial-links", "shared-tracking-links", "shared-trial-links"]


def eventually(found: Callable[[], Any], wanted: Any) -> None:
    """Rows are stored after the answer has gone out."""
    until(found, wanted.__eq__)


@pytest.mark.parametrize("name", LISTS)
def test_the_stored_list_holds_what_the_live_list_showed(
    stack: Stack, simulator: Simulator, t: Things, name: str
) -> None:
    """Every row once over all pages, without a request to upstream."""
    base = f"{stack.base_url}/api/{t.account}"
    live = set(walk(f"{base}/{name}?limit=50", stack.auth, "list"))
    assert live

    def stored() -> set[int]:
        rows = walk(f"{base}/stored/{name}?limit=3", stack.auth, "list")
        assert len(rows) == len(set(rows))
        return set(rows)

    eventually(stored, live)
    asked = len(simulator.requests)
    stored()
    assert len(simulator.requests) == asked


def test_stored_lists_through_the_client(client: OnlyFansAPI, t: Things) -> None:
    """The shapes of all four, filters included."""
    for read in (client.tracking_links.list, client.trial_links.list):
        read(t.account, limit=100)
    client.shared_tracking_links.list(t.account)
    client.shared_trial_links.list(t.account)
    found = {"search": "no link is called this", "tags": ["none"]}
    assert client.stored.list_tracking_links(t.account, filter={**found, "include_smart_links": True}).data.list == []
    assert client.stored.list_trial_links(t.account, limit=5).data is not None
    assert client.stored.list_shared_tracking_links(t.account, limit=5).data is not None
    assert client.stored.list_shared_trial_links(t.account, limit=5).data is not None


def test_a_tag_shows_at_once(client: OnlyFansAPI, stack: Stack, t: Things) -> None:
    """Tags are added to and taken off each kind of link; the live list shows them, upstream knows nothing of it."""
    number = client.tracking_links.list(t.account, limit=1).data.list[0].id
    tags = client.tracking_links.tags
    link = {"account": t.account}
    stored = f"{stack.base_url}/{t.account}/stored/tracking-links?limit=1000"
    eventually(lambda: number in {row["id"] for row in httpx.get(stored, headers=stack.auth).json()["list"]}, True)
    assert tags.add(number, tags=["Summer", "reddit"], **link).data.tags == ["reddit", "Summer"]
    assert tags.add(number, tags=["summer"], **link).data.tags == ["reddit", "Summer"]
    assert client.tracking_links.list(t.account, limit=1).data.list[0].tags == ["reddit", "Summer"]
    assert "Summer" in client.link_tags.list(type="tracking_links").data.tags
    assert tags.remove(number, tags=["SUMMER", "reddit"], **link).data.tags == []
    assert tags.list(number, **link).data.tags == []
    assert client.tracking_links.list(t.account, limit=1).data.list[0].tags == []
