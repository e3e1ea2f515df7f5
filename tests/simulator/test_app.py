from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from scripts.simulator import Simulator
from tests.simulator.conftest import client_of


@pytest.mark.parametrize(
    "header", [{"Cookie": "auth_id=1; sess=x"}, {"Cookie": ""}, {"User-Agent": "other"}, {"x-bc": "other"}]
)
def test_wrong_login_is_401(sim: Simulator, header: dict[str, str]) -> None:
    """Cookies, user agent, and x-bc when it is sent, must be the creator's."""
    answer = client_of(sim, **header).get("/users/me")
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == 401


def test_sess_of_another_creator_is_401(sim: Simulator) -> None:
    """`auth_id` and `sess` must belong together."""
    one, two = sim.creators
    cookies = f"auth_id={one.auth_id}; sess={two.cookies.split('sess=')[1]}"
    assert (
        client_of(sim, Cookie=cookies, **{"User-Agent": two.user_agent, "x-bc": two.xbc}).get("/users/me").status_code
        == 401
    )


def test_cookies_choose_the_creator(sim: Simulator) -> None:
    """Each login sees its own account."""
    assert [client_of(sim, index).get("/users/me").json()["id"] for index in (0, 1)] == [one.id for one in sim.creators]


def test_unknown_path_and_method(api: httpx.Client) -> None:
    """Errors are upstream's JSON: 404 for a path, 405 for a method."""
    assert api.get("/nothing/here").json() == {"error": {"code": 404, "message": "Not found"}}
    assert api.patch("/chats").status_code == 405
    assert api.get("/chats/abc/messages").status_code == 404
    assert api.post("/campaigns", content=b"{broken").status_code == 400


def test_huge_numbers_that_clients_write_break_nothing(api: httpx.Client) -> None:
    """A number beyond 64 bits is stored and shown."""
    made = api.post("/stories/highlights", content=b'{"title": "x", "coverStoryId": 1%s}' % (b"0" * 30))
    assert made.status_code in (200, 201)
    assert len(str(api.get("/stories/highlights").json()["list"][-1]["coverStoryId"])) == 31


def test_conditional_requests_and_head(api: httpx.Client) -> None:
    """A matching If-None-Match gives 304 until something is written; HEAD has headers and no body."""
    tag = api.get("/vault/lists").headers["ETag"]
    assert api.get("/vault/lists", headers={"If-None-Match": tag}).status_code == 304
    api.post("/vault/lists", json={"name": "new"})
    assert api.get("/vault/lists", headers={"If-None-Match": tag}).status_code == 200
    head = api.head("/users/me")
    assert (head.status_code, head.content) == (200, b"")
    assert int(head.headers["Content-Length"]) > 1000


def test_requests_are_logged(sim: Simulator, api: httpx.Client) -> None:
    """Each request leaves one record with path and query, lower-case headers, status and size; control requests none."""
    body = api.get("/chats", params={"limit": 3}).content
    httpx.get(sim.api_url + "/__sim__/world")
    (record,) = sim.requests
    assert (record["method"], record["path"], record["status"], record["kind"]) == (
        "GET",
        "/api2/v2/chats?limit=3",
        200,
        "api",
    )
    assert record["bytes"] == len(body)
    assert record["headers"]["user-agent"] == sim.creators[0].user_agent


def test_fan_page_has_the_size_of_the_real_one(get: Callable[..., Any], api: httpx.Client) -> None:
    """A page of 20 fans is some tens of kilobytes."""
    size = len(api.get("/subscriptions/subscribers", params={"limit": 20, "format": "infinite"}).content)
    assert 40_000 < size < 110_000


def test_skip_users_strips_embedded_users(get: Callable[..., Any]) -> None:
    """`skip_users=all` leaves `{id, _view}` of the chat partner."""
    assert set(get("/chats", limit=1, skip_users="all")["list"][0]["withUser"]) == {"id", "_view"}
    assert "subscribedOnData" in get("/chats", limit=1)["list"][0]["withUser"]


def test_signed_urls_differ_on_each_answer(get: Callable[..., Any]) -> None:
    """The same file has another signature, policy or key in each answer, and always a CDN host."""
    urls = [get("/vault/media", limit=5)["list"][0]["files"]["full"]["url"] for _ in range(2)]
    assert urls[0] != urls[1]
    assert urls[0].split("?")[0].split("/files/")[1] == urls[1].split("?")[0].split("/files/")[1]
    assert all(re.match(r"https://cdn\d\.onlyfans\.com/files/", url) for url in urls)


def test_answers_carry_upstream_internals(api: httpx.Client) -> None:
    """Answers set a cookie and name upstream's machines, as the real ones do; a gateway must keep both to itself."""
    headers = api.get("/users/me").headers
    assert headers["Set-Cookie"].startswith("csrf=upstream-secret")
    assert "X-Upstream-Node" in headers


def test_compression_is_negotiated() -> None:
    """With `compress` the body is encoded as the client accepts, and plain for one that accepts nothing."""
    with Simulator.start(compress=True, fans=5, chats=2, messages=5, transactions=5, media=3) as packed:
        for accepted, encoding in (("gzip", "gzip"), ("gzip, br", "br"), ("identity", None)):
            answer = client_of(packed, **{"Accept-Encoding": accepted}).get("/users/me")
            assert answer.headers.get("Content-Encoding") == encoding
            assert answer.json()["id"] == packed.creators[0].id


def test_cached_gets_see_writes() -> None:
    """`cache_gets` repeats equal answers and still shows what was written since."""
    with Simulator.start(cache_gets=True, fans=5, chats=2, messages=5, transactions=5, media=3) as cached:
        client = client_of(cached)
        assert client.get("/vault/media").content == client.get("/vault/media").content
        client.patch("/users/me", json={"about": "changed"})
        assert client.get("/users/me").json()["about"] == "changed"
