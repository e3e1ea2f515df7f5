"""mitmweb shows what happened, to whom has the password, and never a secret."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
import pytest

from addons.config.serving import Retention
from addons.pipeline.exchange import Edit, Exchange, Headers, Origin, Response
from tests.e2e.engine.harness import WEB_PASSWORD, FakeGateway, client, reply, until, upstream, web_engine

SECRETS = ["k-secret", "c-secret", "b-secret", "p-secret", "q-secret", "s-secret", "n-secret", "654321"]


async def _get(url: str, path: str) -> Any:
    headers = {"Authorization": f"Bearer {WEB_PASSWORD}"}
    async with aiohttp.ClientSession() as session, session.get(url + path, headers=headers) as answer:
        assert answer.status == 200, await answer.text()
        return (await answer.read()).decode("utf-8", "replace")


async def _commented(url: str, count: int) -> tuple[list[dict[str, Any]], str]:
    """The flows once so many have their comment, which is written when the answer is out; and the text of the list."""
    async with asyncio.timeout(30):
        while True:
            listed = await _get(url, "/flows")
            flows: list[dict[str, Any]] = json.loads(listed)
            if len(flows) == count and all(flow["comment"] for flow in flows):
                return flows, listed
            await asyncio.sleep(0.02)


async def test_shows_the_way_of_a_request_without_its_secrets() -> None:
    """Comment, marker and edits show; keys, cookies, x-bc, passwords and codes do not, while upstream got the real ones."""
    gateway = FakeGateway("")

    async def local(x: Exchange) -> Response | None:
        x.edits.append(
            Edit("/list/0/lastReplyAt", None, b'"2025"', "fans-active", "lookup", Origin("fans", "a/1", 5.0))
        )
        x.request.headers.set("Cookie", "sess=c-secret")
        x.request.headers.set("x-bc", "b-secret")
        if "authenticate" in x.request.target:
            assert b"654321" in (x.request.body or b"")
            return Response(200, Headers([("Content-Type", "application/json")]), b'{"token":"n-secret","ok":1}')
        return None

    gateway.local = local
    answer = reply(b'{"x":1,"api_key":"s-secret"}', "200 OK", "application/json", "Set-Cookie: s=s-secret")
    async with upstream(lambda s: answer) as up, web_engine(gateway) as (run, url):
        gateway.base_url = up.url
        async with client(run.port) as c:
            got = await c.ask(
                "POST", "/x?token=q-secret", "Authorization: Bearer k-secret", body=b'{"password":"p-secret"}'
            )
            assert got.body == b'{"x":1,"api_key":"s-secret"}'
            got = await c.ask("PUT", "/api/authenticate/1", "Authorization: Bearer k-secret", body=b'{"code":"654321"}')
            assert got.body == b'{"token":"n-secret","ok":1}'
        assert (up.seen[0].header("cookie"), up.seen[0].header("x-bc")) == ("sess=c-secret", "b-secret")
        assert up.seen[0].body == b'{"password":"p-secret"}'
        assert up.seen[0].line.startswith("POST /x?token=q-secret ")
        flows, listed = await _commented(url, 2)
        shown = [listed, await _get(url, "/events")]
        paths = [f"/flows/{f['id']}/{m}/content.data" for f in flows for m in ("request", "response")]
        view = await _get(url, f"/flows/{flows[0]['id']}/response/content/ofapi.json")
        shown += [view, await _get(url, "/flows/dump"), *[await _get(url, path) for path in paths]]
    assert [f["comment"].split(" · ")[0] for f in flows] == ["passthrough default"] * 2
    assert all(f["marked"] == "⚪" for f in flows)
    assert "/list/0/lastReplyAt: (absent)" in view.replace("\\u2192", "→")
    for secret in SECRETS:
        assert not any(secret in text for text in shown), secret


@pytest.mark.parametrize(
    ("proxied", "line"),
    [
        (False, "CONNECT elsewhere.example.test:443"),
        (False, "GET /\0"),
        (True, "CONNECT elsewhere.example.test:443"),
        (True, "GET http://elsewhere.example.test/"),
    ],
)
async def test_refused_requests_are_masked_too(proxied: bool, line: str) -> None:
    """What is refused before any rule is looked at shows without the key that came with it."""
    async with web_engine(FakeGateway("http://127.0.0.1:1")) as (run, url):
        port = run.proxy_port if proxied else run.port
        method, target = line.split()
        async with client(port) as c:
            headers = ("Authorization: Bearer k-secret", "Proxy-Authorization: Basic p-secret")
            assert (await c.ask(method, target, *headers)).status >= 400
        await until(lambda: all(flow.response or flow.error for flow in run.master.addons.get("view")))
        shown = [await _get(url, "/flows"), await _get(url, "/flows/dump"), await _get(url, "/events")]
    for secret in SECRETS:
        assert not any(secret in text for text in shown)


async def test_password_is_wanted() -> None:
    """Without the password there is nothing to see."""
    async with web_engine(FakeGateway("http://127.0.0.1:1")) as (_, url), aiohttp.ClientSession() as session:
        for headers in ({}, {"Authorization": "Bearer wrong"}):
            async with session.get(url + "/flows", headers=headers) as answer:
                assert answer.status == 403


async def test_flows_are_bounded_under_load() -> None:
    """However many requests come, mitmweb keeps the newest only."""
    async with upstream(lambda s: reply(b'{"x":1}')) as up:
        async with web_engine(FakeGateway(up.url), Retention(max_flows=25)) as (run, _):
            async with client(run.port) as c:
                for _ in range(200):
                    assert (await c.ask("GET", "/x")).status == 200
            view = run.master.addons.get("view")
            assert len(view._store) <= 25 + 55
            run.master.addons.get("ofapi-retention").sweep()
            assert len(view._store) == 25


@pytest.mark.parametrize("when", ["~q", "~s"])
async def test_an_intercepted_flow_waits_alone_until_it_goes_on_or_is_killed(when: str) -> None:
    """Others are served meanwhile; resumed, it is answered; killed, its client is told by the end of the connection."""
    async with upstream(lambda s: reply()) as up, web_engine(FakeGateway(up.url)) as (run, _):
        run.master.options.update(intercept=f"{when} & ~u held")
        view = run.master.addons.get("view")

        async def held() -> Any:
            await until(lambda: any(flow.intercepted for flow in view))
            return next(flow for flow in view if flow.intercepted)

        async with client(run.port) as c, client(run.port) as other:
            asking = asyncio.create_task(c.ask("GET", "/held"))
            flow = await held()
            assert (await other.ask("GET", "/x")).status == 200
            flow.resume()
            assert (await asking).status == 200
            await c.send(b"GET /held HTTP/1.1\r\nHost: a\r\n\r\n")
            (await held()).kill()
            assert await asyncio.wait_for(c.reader.read(), 5) == b""
        await until(lambda: len(run.gateway.after_calls) == 3)
