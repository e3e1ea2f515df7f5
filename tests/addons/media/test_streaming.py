"""Files without a copy: streamed at once, fetched once, saved whole or not at all, paid for by size."""

from __future__ import annotations

import asyncio
import time

import aiohttp
import pytest
from aiohttp import web

from addons.media.streaming import TICKET
from addons.pipeline.errors import ValidationFailed
from tests.addons.media.rig import Cdn, Rig, answer_with, data_of, halfway, until

DATA = data_of(700_000)
PATH = "/files/a/x.jpg"


async def test_fifty_clients_cost_one_upstream_request(rig: Rig, cdn: Cdn, http: aiohttp.ClientSession) -> None:
    """However many ask for a new file at once, the CDN is asked once and everyone gets the whole file."""
    cdn.files[PATH] = DATA
    bodies = await asyncio.gather(*(rig.read_all(http, PATH) for _ in range(50)))
    assert all(body == DATA for body in bodies)
    assert len(cdn.gets(PATH)) == 1
    assert await rig.saved(PATH) == DATA


async def break_off(rig: Rig, cdn: Cdn, http: aiohttp.ClientSession) -> None:
    """A download that upstream cuts after 300,000 bytes."""

    async def act(request: web.Request, data: bytes) -> web.StreamResponse:
        answer = web.StreamResponse(headers=answer_with(request, data).headers)
        answer.content_length = len(data)
        await answer.prepare(request)
        await answer.write(data[:300_000])
        await asyncio.sleep(0.1)
        assert request.transport is not None
        request.transport.close()
        return answer

    cdn.act = act
    with pytest.raises(aiohttp.ClientPayloadError):
        await rig.read_all(http, PATH)
    cdn.act = None


async def test_a_copy_that_goes_at_once_costs_no_answer(
    rig: Rig, cdn: Cdn, http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Evicted between the look and the opening: the client gets the bytes of the CDN."""
    cdn.files[PATH] = DATA
    await rig.read_all(http, PATH)
    await rig.saved(PATH)

    def gone(copy: object) -> object:
        raise FileNotFoundError

    monkeypatch.setattr(rig.media.files, "open", gone)
    assert await rig.read_all(http, PATH) == DATA


async def test_a_client_that_leaves_stops_nothing(rig: Rig, cdn: Cdn, http: aiohttp.ClientSession) -> None:
    """The copy is made although its client hung up."""
    cdn.files[PATH] = DATA
    rest = asyncio.Event()
    cdn.act = halfway(rest)
    async with aiohttp.ClientSession() as mine, rig.stream(mine, PATH) as answer:
        await answer.content.readany()
    rest.set()
    assert await rig.saved(PATH) == DATA


@pytest.mark.parametrize("fault", ["cut", "long"])
async def test_a_broken_answer_leaves_no_copy(rig: Rig, cdn: Cdn, http: aiohttp.ClientSession, fault: str) -> None:
    """Upstream breaks off, or claims more bytes than it sends: the client sees the break, nothing is kept as a copy."""
    cdn.files[PATH] = DATA

    async def act(request: web.Request, data: bytes) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Type": "image/jpeg"})
        answer.content_length = len(data) + (100 if fault == "long" else 0)
        await answer.prepare(request)
        await answer.write(data if fault == "long" else data[:100_000])
        await asyncio.sleep(0.1)
        assert request.transport is not None
        request.transport.close()
        return answer

    cdn.act = act
    with pytest.raises(aiohttp.ClientPayloadError):
        await rig.read_all(http, PATH)
    assert not rig.cached(PATH)
    assert list(rig.media.files.root.glob("blobs/*/*")) == []
    cdn.act = None
    assert await rig.read_all(http, PATH) == DATA
    assert await rig.saved(PATH) == DATA


async def test_a_broken_transfer_is_resumed(rig: Rig, cdn: Cdn, http: aiohttp.ClientSession) -> None:
    """What arrived before a break is kept aside and only the rest is fetched, under the same ETag."""
    cdn.files[PATH] = DATA
    await break_off(rig, cdn, http)
    assert await rig.read_all(http, PATH) == DATA
    assert await rig.saved(PATH) == DATA
    asked = cdn.gets(PATH)[-1]
    assert asked["Range"] == "bytes=300000-"
    assert "If-Range" in asked


async def test_a_file_that_changed_meanwhile_is_fetched_anew(rig: Rig, cdn: Cdn, http: aiohttp.ClientSession) -> None:
    """A part of other bytes is not continued."""
    cdn.files[PATH] = DATA
    await break_off(rig, cdn, http)
    cdn.files[PATH] = other = data_of(700_000, seed=2)
    assert await rig.read_all(http, PATH) == other
    assert await rig.saved(PATH) == other


async def test_a_range_passes_through_and_makes_no_broken_copy(rig: Rig, cdn: Cdn, http: aiohttp.ClientSession) -> None:
    """206 with upstream's bytes; the copy that follows is whole."""
    cdn.files[PATH] = DATA
    async with rig.stream(http, PATH, headers={"Range": "bytes=10-19"}) as answer:
        assert answer.status == 206
        assert answer.headers["Content-Range"] == f"bytes 10-19/{len(DATA)}"
        assert await answer.read() == DATA[10:20]
    assert await rig.saved(PATH) == DATA
    async with rig.stream(http, "/files/a/gone.jpg", headers={"Range": "bytes=0-1"}) as answer:
        assert answer.status == 404


async def test_an_impossible_range_is_416(rig: Rig, cdn: Cdn, http: aiohttp.ClientSession) -> None:
    """Upstream's 416 goes through, at no cost."""
    cdn.files[PATH] = DATA
    before = rig.balance()
    async with rig.stream(http, PATH, headers={"Range": f"bytes={len(DATA)}-"}) as answer:
        assert answer.status == 416
        assert answer.headers["Content-Range"] == f"bytes */{len(DATA)}"
    await asyncio.sleep(0.05)
    assert rig.balance() == before


async def test_head_never_fills(rig: Rig, cdn: Cdn, http: aiohttp.ClientSession) -> None:
    """HEAD is free, tells the size, and fetches no bytes."""
    cdn.files[PATH] = DATA
    before = rig.balance()
    async with rig.stream(http, PATH, method="HEAD") as answer:
        assert answer.status == 200
        assert answer.headers["Content-Length"] == str(len(DATA))
        assert answer.headers["Content-Type"] == "image/jpeg"
    await asyncio.sleep(0.1)
    assert [m for m, _, _ in cdn.log] == ["HEAD"]
    assert not rig.cached(PATH)
    assert rig.balance() == before


@pytest.mark.parametrize(("size", "credits"), [(1, 1), (333_333, 1), (333_334, 2), (1_000_000, 3), (2_500_000, 8)])
async def test_bytes_cost_credits(rig: Rig, cdn: Cdn, http: aiohttp.ClientSession, size: int, credits: int) -> None:
    """3 per decimal MB, at least 1 (contract 3)."""
    cdn.files[PATH] = bytes(size)
    before = rig.balance()
    async with rig.stream(http, PATH) as answer:
        assert answer.headers["X-OFAPI-Credits-Used"] == str(credits)
        assert len(await answer.read()) == size
    await until(lambda: before - rig.balance() == credits)


async def test_what_was_not_sent_is_given_back(rig: Rig, cdn: Cdn, http: aiohttp.ClientSession) -> None:
    """A break gives back the credits of the bytes that did not go out; a refusal costs nothing."""
    cdn.files[PATH] = data_of(6_000_000)
    before = rig.balance()
    await break_off(rig, cdn, http)
    await until(lambda: before - rig.balance() == 1)
    async with rig.stream(http, "/files/gone.jpg") as answer:
        assert answer.status == 404
        assert (await answer.json())["error"] == "ONLYFANS_COM_ERROR"
    await until(lambda: before - rig.balance() == 1)


async def test_without_credits_nothing_is_streamed(rig: Rig, cdn: Cdn, http: aiohttp.ClientSession) -> None:
    """402 before the first byte where the file costs more than the team has."""
    from ofapi_store.queries import credits

    cdn.files[PATH] = DATA
    with rig.services.store.write() as conn:
        credits.give(conn, rig.team_id, 1 - credits.balance(conn, rig.team_id))
    async with rig.stream(http, PATH) as answer:
        assert answer.status == 402
        assert (await answer.json())["error"] == "insufficient_credits"
    await until(lambda: rig.balance() == 1)


@pytest.mark.parametrize(
    ("status", "headers", "shown", "code"),
    [
        (302, {"Location": "http://169.254.169.254/"}, 422, "VALIDATION_ERROR"),
        (403, {}, 403, "ONLYFANS_COM_ERROR"),
        (404, {}, 404, "ONLYFANS_COM_ERROR"),
        (429, {"Retry-After": "7"}, 429, "ONLYFANS_COM_RATE_LIMIT_ERROR"),
        (500, {}, 502, "ONLYFANS_COM_ERROR"),
    ],
)
async def test_what_is_not_a_file_is_an_error(
    rig: Rig, cdn: Cdn, http: aiohttp.ClientSession, status: int, headers: dict[str, str], shown: int, code: str
) -> None:
    """Redirects are not followed; refusals and outages have stable codes, and leave no copy."""

    async def act(request: web.Request, data: bytes) -> web.StreamResponse:
        return web.Response(status=status, headers=headers, text="<Error>")

    cdn.act = act
    async with rig.stream(http, PATH) as answer:
        assert answer.status == shown
        body = await answer.json()
    assert body["error"] == code
    if shown == 422:
        assert list(body["errors"]) == ["cdn_url"]
    assert len(cdn.log) == 1
    assert not rig.cached(PATH)


async def test_an_empty_file_is_free_and_says_so(rig: Rig, cdn: Cdn, http: aiohttp.ClientSession) -> None:
    """Nothing is transferred, nothing is paid, and the copy is served."""
    cdn.files[PATH] = b""
    before = rig.balance()
    async with rig.stream(http, PATH) as answer:
        assert answer.headers["X-OFAPI-Credits-Used"] == "0"
        assert await answer.read() == b""
    assert await rig.saved(PATH) == b""
    await until(lambda: rig.balance() == before)
    async with http.get(rig.link(PATH)) as answer:
        assert (answer.status, answer.headers["Content-Length"]) == (200, "0")
    async with http.get(rig.link(PATH), headers={"Range": "bytes=0-"}) as answer:
        assert (answer.status, answer.headers["Content-Range"]) == (416, "bytes */0")


async def test_a_copy_whose_bytes_are_gone_is_fetched_again(rig: Rig, cdn: Cdn, http: aiohttp.ClientSession) -> None:
    """Somebody emptied the folder: links are dead, downloads work."""
    cdn.files[PATH] = DATA
    assert await rig.read_all(http, PATH) == DATA
    await rig.saved(PATH)
    link = rig.link(PATH)
    for blob in rig.media.files.root.glob("blobs/*/*"):
        blob.unlink()
    assert await rig.read_all(http, PATH) == DATA
    assert await rig.saved(PATH) == DATA
    assert len(cdn.gets(PATH)) == 2
    async with http.get(link) as answer:
        assert answer.status == 404
    for blob in rig.media.files.root.glob("blobs/*/*"):
        blob.unlink()
    async with http.get(rig.link(PATH)) as answer:
        assert answer.status == 404
    assert not rig.cached(PATH)


async def test_a_body_without_length_is_saved(rig: Rig, cdn: Cdn, http: aiohttp.ClientSession) -> None:
    """Chunked answers are whole when their last chunk came."""

    async def act(request: web.Request, data: bytes) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Type": "video/mp4"})
        answer.enable_chunked_encoding()
        await answer.prepare(request)
        await answer.write(DATA)
        return answer

    cdn.act = act
    assert await rig.read_all(http, PATH) == DATA
    assert await rig.saved(PATH) == DATA


async def test_long_urls_are_fetched(rig: Rig, cdn: Cdn, http: aiohttp.ClientSession) -> None:
    """As long as a CDN takes them; longer ones are refused by name."""
    cdn.files[PATH] = DATA
    url = rig.key(PATH).url + "x" * (7900 - len(rig.key(PATH).url))
    assert rig.media.key(url, "cdn_url").url == url
    assert await rig.read_all(http, PATH, url=url) == DATA
    with pytest.raises(ValidationFailed, match="longer than 8192"):
        rig.media.key(url + "x" * 500, "cdn_url")


async def test_only_tickets_open_the_stream(rig: Rig, cdn: Cdn, http: aiohttp.ClientSession) -> None:
    """Without a genuine, fresh ticket there is nothing, and no request leaves."""
    cdn.files[PATH] = DATA
    url = f"{rig.media.server.base}/stream"
    for token in ("", "x" * 80, rig.ticket(PATH, ends=time.time() - 1)):
        async with http.get(url, headers={TICKET: token}) as answer:
            assert answer.status == 404
            assert (await answer.json())["error"] == "not_found"
    assert cdn.log == []


async def test_a_scrape_above_its_limit_is_refused(rig: Rig, cdn: Cdn, http: aiohttp.ClientSession) -> None:
    """`max_bytes` of a ticket: 422 naming the field, before any byte."""
    cdn.files[PATH] = DATA
    async with rig.stream(http, PATH, max_bytes=1000, field="url") as answer:
        assert answer.status == 422
        assert list((await answer.json())["errors"]) == ["url"]


async def test_the_accounts_login_goes_along(rig: Rig, cdn: Cdn, http: aiohttp.ClientSession) -> None:
    """The CDN sees the account's user agent and cookies and the URL's own host, not our client's headers."""
    cdn.files[PATH] = DATA
    await rig.read_all(http, PATH, headers={"X-Client": "secret", "User-Agent": "client/1"})
    sent = cdn.gets(PATH)[0]
    assert sent["Host"] == "cdn2.onlyfans.com"
    assert sent["User-Agent"] not in ("client/1", "")
    assert "Cookie" in sent
    assert "X-Client" not in sent
    assert TICKET not in sent
