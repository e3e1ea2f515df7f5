"""Postbacks through the official client, strict: settings, bad input, two teams, and a visitor's way to a real receiver."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest
from onlyfansapi import NotFoundError, OnlyFansAPI, UnprocessableEntityError

from tests.e2e.client.conftest import strict
from tests.e2e.links.conftest import World
from tests.e2e.links.test_smart_links import code_of, make
from tests.e2e.waiting import until


class Calls(BaseHTTPRequestHandler):
    """Notes the query of each GET and answers 204."""

    found: list[dict[str, list[str]]]

    def do_GET(self) -> None:
        self.found.append(parse_qs(urlsplit(self.path).query, keep_blank_values=True))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def calls() -> Iterator[tuple[str, list[dict[str, list[str]]]]]:
    """A receiver's URL and what it got."""
    found: list[dict[str, list[str]]] = []
    handler = type("Handler", (Calls,), {"found": found})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/pb", found
        server.shutdown()
        thread.join()


@pytest.fixture
def other(world: World) -> Iterator[OnlyFansAPI]:
    with strict(world.stack.base_url, world.stack.seeded.other_api_key) as opened:
        yield opened


def test_the_strict_client_makes_reads_changes_and_deletes(world: World) -> None:
    """Every operation and every field that the types know."""
    api = world.client.smart_link_postbacks
    link = make(world, "Postbacks")
    made = api.create(
        url="https://example.com/pb?c={external_click_id}",
        conversion_types=["new_subscriber"],
        smart_link_scope="campaign_specific",
        smart_link_ids=[link.id],
        http_method="POST",
        body='{"click": "{click_id}"}',
        headers=[{"name": "X-Key", "value": "k"}],
    ).data
    assert (made.http_method, made.smart_link_ids, made.latest_response) == ("POST", [link.id], None)
    shown = api.retrieve(made.id).data
    assert (shown.url, shown.body) == ("https://example.com/pb?c={external_click_id}", '{"click": "{click_id}"}')
    assert (shown.headers[0].name, shown.headers[0].value) == ("X-Key", "k")
    assert (shown.smart_links[0].link_ulid, shown.smart_links[0].account_prefixed_id) == (link.id, world.account)
    assert [row.id for row in api.list().data] == [made.id]
    changed = api.update(
        made.id, url="https://example.com/2", conversion_types=["new_transaction"], smart_link_scope="global"
    ).data
    assert (changed.url, changed.http_method, changed.smart_link_ids) == ("https://example.com/2", "POST", [])
    api.delete(made.id)
    with pytest.raises(NotFoundError):
        api.retrieve(made.id)


def test_another_team_sees_and_changes_nothing(world: World, other: OnlyFansAPI) -> None:
    """404 for what is not its own, 422 for a smart link of another team."""
    good = {"url": "https://example.com/", "conversion_types": ["new_subscriber"]}
    mine = world.client.smart_link_postbacks.create(**good, smart_link_scope="global").data
    link = make(world, "Not theirs")
    api = other.smart_link_postbacks
    assert api.list().data == []
    for call in (api.retrieve, api.delete, lambda i: api.update(i, **good, smart_link_scope="global")):
        with pytest.raises(NotFoundError):
            call(mine.id)
    with pytest.raises(UnprocessableEntityError):
        api.create(**good, smart_link_scope="campaign_specific", smart_link_ids=[link.id])
    world.client.smart_link_postbacks.delete(mine.id)


def test_a_visitor_who_subscribes_calls_the_postback(
    world: World, calls: tuple[str, list[dict[str, list[str]]]]
) -> None:
    """From the click's own id to the receiver: once per conversion, with the click's ids and the exact amount."""
    url, found = calls
    link = make(world, "Called")
    postback = world.client.smart_link_postbacks.create(
        url=f"{url}?e={{external_click_id}}&f={{fbclid}}&g={{gclid}}&t={{conversion_type}}&a={{amount_gross}}&c={{click_id}}",
        conversion_types=["new_subscriber", "new_transaction"],
        smart_link_scope="campaign_specific",
        smart_link_ids=[link.id],
    ).data
    answer = world.go(f"{link.traffic_redirect_url}?external_click_id=a%26b%20c&fbclid=F", version=77)
    world.happen("subscribe", link=code_of(answer.headers["Location"], world), price=1250)
    until(lambda: world.client.smart_links.retrieve(link.id).data.clicks_count == 1)

    def called() -> bool:
        if len(found) < 2:
            world.sync()
        return len(found) >= 2

    until(called, seconds=60)
    by_type = {call["t"][0]: call for call in found}
    click = world.client.smart_links.list_clicks(link.id).data.rows[0].id
    for kind, amount in (("new_subscriber", "0.00"), ("new_transaction", "12.50")):
        assert by_type[kind] == {"e": ["a&b c"], "f": ["F"], "g": [""], "t": [kind], "a": [amount], "c": [click]}
    world.sync()
    assert len(found) == 2
    (shown,) = until(
        lambda: [row for row in world.client.smart_link_postbacks.list().data if row.id == postback.id],
        lambda rows: rows[0].latest_response,  # it is stored after the receiver has answered
    )
    assert shown.latest_response is not None
    assert (shown.latest_response.status_code, shown.latest_response.succeeded) == (204, True)
    assert shown.latest_response.postback_url.startswith(f"{url}?e=a%26b%20c&f=F&g=&t=new_")
    world.client.smart_link_postbacks.delete(postback.id)
