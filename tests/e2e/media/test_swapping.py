"""Media through the whole gateway; the CDN's request log is the witness."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import quote, urlsplit

import aiohttp
import pytest

from scripts.cli.stack import Stack
from scripts.simulator import Simulator

CDN_URL = re.compile(r'https://cdn\d\.onlyfans\.com/[^"\\]+')


@pytest.fixture
async def http(stack: Stack) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(headers=stack.auth) as session:
        yield session


def cdn_requests(simulator: Simulator, path: str, method: str = "GET") -> list[dict[str, Any]]:
    return [
        r
        for r in simulator.requests
        if r["kind"] == "cdn" and r["method"] == method and urlsplit(r["path"]).path == path
    ]


async def vault(stack: Stack, http: aiohttp.ClientSession, offset: int, prefix: str = "") -> str:
    async with http.get(f"{stack.base_url}{prefix}/{stack.account}/media/vault?limit=10&offset={offset}") as answer:
        assert answer.status == 200
        return await answer.text()


async def until_swapped(read: Callable[[], Any]) -> str:
    """Ask until no CDN URL is left in the answer."""
    async with asyncio.timeout(30):
        while CDN_URL.search(text := await read()):
            await asyncio.sleep(0.1)
    return text


@pytest.mark.parametrize("prefix", ["", "/api"])
async def test_the_second_sight_is_swapped(
    stack: Stack, simulator: Simulator, http: aiohttp.ClientSession, prefix: str
) -> None:
    """First upstream's URLs, then links to whole copies, although every signature is new; each file was fetched once."""
    offset = 10 if prefix else 0
    first = await vault(stack, http, offset, prefix)
    urls = CDN_URL.findall(first)
    text = await until_swapped(lambda: vault(stack, http, offset, prefix))
    links = re.findall(rf'{re.escape(stack.cdn_url)}/f/[^"\\]+', text)
    assert urls
    assert len(links) == len(urls) + first.count(f"{stack.cdn_url}/f/")
    for path in {urlsplit(url).path for url in urls}:
        assert len(cdn_requests(simulator, path)) == 1
    async with aiohttp.ClientSession() as anyone, anyone.get(links[0]) as answer:
        assert answer.status == 200
        body = await answer.read()
        assert len(body) == int(answer.headers["Content-Length"])


async def test_the_rest_of_the_body_is_upstreams(
    stack: Stack, simulator: Simulator, http: aiohttp.ClientSession
) -> None:
    """With the links taken out, a swapped passthrough body is what upstream sent, byte for byte."""
    text = await until_swapped(lambda: vault(stack, http, 0))
    parsed = json.loads(text)
    assert text == json.dumps(parsed, separators=(",", ":"), ensure_ascii=False)


async def test_a_cached_download_is_a_free_redirect(
    stack: Stack, simulator: Simulator, http: aiohttp.ClientSession
) -> None:
    """302 for raw and encoded URLs, GET and HEAD, 0 credits, no request to the CDN."""
    first = await vault(stack, http, 20)
    url = CDN_URL.findall(first)[0]
    await until_swapped(lambda: vault(stack, http, 20))
    before = len(cdn_requests(simulator, urlsplit(url).path))
    for form in (url, quote(url, safe=""), quote(url, safe=":"), url.replace("https://", "https:/", 1)):
        for method in ("GET", "HEAD"):
            target = f"{stack.base_url}/api/{stack.account}/media/download/{form}"
            async with http.request(method, target, allow_redirects=False) as answer:
                assert answer.status == 302
                assert answer.headers["Location"].startswith(stack.cdn_url)
                assert answer.headers["X-OFAPI-Credits-Used"] == "0"
    assert len(cdn_requests(simulator, urlsplit(url).path)) == before


@pytest.mark.parametrize(
    "url",
    [
        "https://cdn2.onlyfans.com.evil.test/files/x.jpg",
        "https://xcdn1.onlyfans.com/files/x.jpg",
        "https://public.onlyfans.com/files/x.jpg",
        "https://user@cdn2.onlyfans.com/files/x.jpg",
        "https://cdn2.onlyfans.com:8443/files/x.jpg",
        "http://cdn2.onlyfans.com/files/x.jpg",
        "https://127.0.0.1/files/x.jpg",
        "https://169.254.169.254/latest/meta-data/",
        "file:///etc/passwd",
        "x",
    ],
)
async def test_only_cdn_urls_are_fetched(
    stack: Stack, simulator: Simulator, http: aiohttp.ClientSession, url: str
) -> None:
    """422 that names the field, for download and scrape; nothing leaves."""
    before = len([r for r in simulator.requests if r["kind"] == "cdn"])
    async with http.get(f"{stack.base_url}/api/{stack.account}/media/download/{quote(url, safe='')}") as answer:
        assert answer.status == 422
        assert list((await answer.json())["errors"]) == ["cdn_url"]
    async with http.post(f"{stack.base_url}/api/{stack.account}/media/scrape", json={"url": url}) as answer:
        assert answer.status == 422
        assert list((await answer.json())["errors"]) == ["url"]
    assert len([r for r in simulator.requests if r["kind"] == "cdn"]) == before


@pytest.mark.parametrize("path", ["media/download/", "media/download", "media/download/%20"])
async def test_a_download_of_nothing_asks_nobody(
    stack: Stack, simulator: Simulator, http: aiohttp.ClientSession, path: str
) -> None:
    """Without a URL: 422 that names the field, free, and neither OnlyFans nor its CDN hears of it."""
    for method in ("GET", "HEAD"):
        async with http.request(method, f"{stack.base_url}/api/{stack.account}/{path}") as answer:
            assert answer.status == 422
            assert answer.headers["X-OFAPI-Credits-Used"] == "0"
            if method == "GET":
                assert list((await answer.json())["errors"]) == ["cdn_url"]
    assert not [r for r in simulator.requests if "media/download" in r["path"]]


async def test_fifty_clients_of_a_new_file(stack: Stack, simulator: Simulator, http: aiohttp.ClientSession) -> None:
    """Fifty downloads of an upload's new thumbnail: fifty whole bodies, one request to the CDN, credits for each."""
    url = await new_file(stack, http)
    target = f"{stack.base_url}/{stack.account}/media/download/{quote(url, safe='')}"

    async def download() -> bytes:
        async with http.get(target) as answer:
            assert answer.status == 200
            return await answer.read()

    bodies = await asyncio.gather(*(download() for _ in range(50)))
    assert len(set(bodies)) == 1
    assert bodies[0]
    assert len(cdn_requests(simulator, urlsplit(url).path)) == 1


async def new_file(stack: Stack, http: aiohttp.ClientSession) -> str:
    """A CDN URL that the gateway has not seen: the thumbnail of a new upload."""
    form = aiohttp.FormData()
    form.add_field("file", f"{time.time_ns()}".encode() * 1000, filename="new.jpg", content_type="image/jpeg")
    async with http.post(f"{stack.base_url}/api/{stack.account}/media/upload", data=form) as answer:
        assert answer.status == 200, await answer.text()
        found: str = (await answer.json())["thumbs"][0]["url"]
        return found


async def test_head_and_range_of_a_new_file(stack: Stack, simulator: Simulator, http: aiohttp.ClientSession) -> None:
    """HEAD is free and fills nothing; Range passes through as 206 and the copy that follows is whole."""
    url = await new_file(stack, http)
    target = f"{stack.base_url}/{stack.account}/media/download/{quote(url, safe='')}"
    async with http.head(target) as answer:
        assert answer.status == 200
        size = int(answer.headers["Content-Length"])
        assert answer.headers["X-OFAPI-Credits-Used"] == "0"
    assert cdn_requests(simulator, urlsplit(url).path) == []
    async with http.get(target, headers={"Range": "bytes=1-4"}) as answer:
        assert answer.status == 206
        assert answer.headers["Content-Range"] == f"bytes 1-4/{size}"
        part = await answer.read()
    async with asyncio.timeout(30):
        while True:
            async with http.get(target, allow_redirects=False) as answer:
                await answer.read()
                if answer.status == 302:
                    break
            await asyncio.sleep(0.1)
    async with http.get(target) as answer:
        body = await answer.read()
    assert len(body) == size
    assert body[1:5] == part


async def test_scrape_gives_a_link_to_a_cached_file(stack: Stack, http: aiohttp.ClientSession) -> None:
    """Not cached: the bytes. Cached: a link for five minutes, until a date, or public without end (contract 10.6)."""
    url = await new_file(stack, http)
    target = f"{stack.base_url}/api/{stack.account}/media/scrape"
    async with http.post(target, json={"url": url}) as answer:
        assert answer.status == 200
        assert answer.content_type.startswith("image/")
        body = await answer.read()
    async with asyncio.timeout(30):
        while True:
            async with http.post(target, json={"url": url}) as answer:
                if answer.content_type == "application/json":
                    found = await answer.json()
                    break
            await asyncio.sleep(0.1)
    assert list(found) == ["temporary_url", "expiration_date"]
    async with aiohttp.ClientSession() as anyone, anyone.get(found["temporary_url"]) as answer:
        assert await answer.read() == body
    async with http.post(target, json={"url": url, "public": True}) as answer:
        found = await answer.json()
        assert found["expiration_date"] is None
    async with aiohttp.ClientSession() as anyone, anyone.get(found["temporary_url"]) as answer:
        assert await answer.read() == body
    async with http.post(target, json={"url": url, "expiration_date": "2020-01-01"}) as answer:
        assert answer.status == 422
        assert list((await answer.json())["errors"]) == ["expiration_date"]
    wrong: list[tuple[dict[str, Any], list[str]]] = [
        ({}, ["url", "media_id"]),
        ({"url": url, "media_id": 5}, ["url", "media_id"]),
        ({"url": url, "file_type": "thumb"}, ["file_type"]),
        ({"url": url, "public": True, "expiration_date": "2050-01-01"}, ["expiration_date"]),
    ]
    for body, fields in wrong:
        async with http.post(target, json=body) as answer:
            assert answer.status == 422
            assert list((await answer.json())["errors"]) == fields


async def test_scrape_by_media_id(stack: Stack, http: aiohttp.ClientSession) -> None:
    """`media_id` and `file_type` name a file of the vault."""
    first = json.loads(await vault(stack, http, 0))["list"][0]
    target = f"{stack.base_url}/api/{stack.account}/media/scrape"
    async with http.post(target, json={"media_id": first["id"], "file_type": "thumb"}) as answer:
        assert answer.status == 200
        await answer.read()
    async with http.post(target, json={"media_id": first["id"]}) as answer:  # the whole file where none is named
        assert answer.status == 200
        await answer.read()
    async with http.post(target, json={"media_id": 1, "file_type": "full"}) as answer:
        assert answer.status == 404


async def test_another_teams_account_is_unknown(stack: Stack, http: aiohttp.ClientSession) -> None:
    """A key of one team cannot download, scrape or upload through the other team's account."""
    async with aiohttp.ClientSession(headers=stack.other_auth) as other:
        url = quote("https://cdn1.onlyfans.com/files/x.jpg", safe="")
        for method, path in (("GET", f"download/{url}"), ("POST", "scrape"), ("GET", "uploads/ofapi_media_1/status")):
            async with other.request(method, f"{stack.base_url}/api/{stack.account}/media/{path}") as answer:
                assert answer.status == 404
                assert (await answer.json())["error"] == "account_not_found"


async def test_the_proxy_serves_cdn_hosts(stack: Stack, simulator: Simulator, http: aiohttp.ClientSession) -> None:
    """A client of the regular proxy that asks a CDN host gets the file, and from the second time on our copy."""
    assert stack.proxy_url is not None
    url = await new_file(stack, http)
    async with aiohttp.ClientSession() as client:
        bodies = []
        for _ in range(3):
            async with client.get(url, proxy=stack.proxy_url, ssl=False) as answer:
                assert answer.status == 200, await answer.text()
                bodies.append(await answer.read())
    assert len(set(bodies)) == 1
    assert len(cdn_requests(simulator, urlsplit(url).path)) == 1


async def test_hosts_of_cached_files(stack: Stack, http: aiohttp.ClientSession) -> None:
    """`cdn.fansapi.com` is cached files and nothing else, named in Host or asked for through the proxy."""
    link = re.findall(rf'{re.escape(stack.cdn_url)}/f/[^"\\]+', await until_swapped(lambda: vault(stack, http, 0)))[0]
    path = link.removeprefix(stack.cdn_url)
    async with http.get(link) as answer:
        body = await answer.read()
    host = {"Host": "cdn.fansapi.com"}
    async with aiohttp.ClientSession() as anyone:
        for method, prefix in (("GET", ""), ("GET", "/cdn"), ("HEAD", "")):
            async with anyone.request(method, stack.base_url + prefix + path, headers=host) as answer:
                assert answer.status == 200
                assert await answer.read() == (body if method == "GET" else b"")
        async with anyone.get(f"https://cdn.fansapi.com{path}", proxy=stack.proxy_url, ssl=False) as answer:
            assert await answer.read() == body
        for wrong in ("/", path[:-60], "/stream", "/_ofapi/health"):
            async with anyone.get(stack.base_url + wrong, headers=host) as answer:
                assert answer.status == 404
    async with http.get(f"{stack.base_url}/api/whoami", headers=host) as answer:
        assert answer.status == 404


async def test_names_of_members_stay(stack: Stack, simulator: Simulator, http: aiohttp.ClientSession) -> None:
    """A passthrough body whose only media URLs are names, or inside other URLs, goes through byte for byte."""
    url = CDN_URL.findall(await vault(stack, http, 30))[0]
    await until_swapped(lambda: vault(stack, http, 30))
    body = f'{{"{url}": 1.10, "dup": 1, "dup": 2, "nested": "https://a.test/?u={url}"}}'
    simulator.faults.add("raw", path="/some/thing", body=body, content_type="application/json")
    async with http.get(f"{stack.base_url}/{stack.account}/some/thing") as answer:
        assert await answer.text() == body
    simulator.faults.add("raw", path="/some/thing", body=f'{{"{url}": "{url}#t=3"}}', content_type="application/json")
    async with http.get(f"{stack.base_url}/{stack.account}/some/thing") as answer:
        assert re.fullmatch(rf'{{"{re.escape(url)}": "{re.escape(stack.cdn_url)}/f/[^"]+#t=3"}}', await answer.text())


async def test_the_status_of_a_vault_upload_shows_copies(stack: Stack, http: aiohttp.ClientSession) -> None:
    """Its files are those of the vault: first upstream's URLs, then links; what it cost is the same each time."""
    form = aiohttp.FormData({"async": "true"})
    form.add_field("file", f"{time.time_ns()}".encode() * 1000, filename="new.jpg", content_type="image/jpeg")
    async with http.post(f"{stack.base_url}/api/{stack.account}/media/vault", data=form) as answer:
        assert answer.status == 202
        polling_url = (await answer.json())["polling_url"]

    async def read() -> str:
        async with http.get(polling_url) as answer:
            text = await answer.text()
        return text if '"completed"' in text else "https://cdn1.onlyfans.com/none"

    found = json.loads(await until_swapped(read))
    assert found["credits_used"] == 1
    assert found["media"]["files"]["full"]["url"].startswith(f"{stack.cdn_url}/f/")
