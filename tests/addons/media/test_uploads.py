"""Uploads through the endpoint: read as a stream, held to limits, paid for, durable."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import aiohttp
import pytest
from sqlalchemy import select

from addons.media.streaming import TICKET
from addons.media.uploads import UploadTicket
from addons.pipeline.errors import ApiError
from ofapi_store.queries import uploads
from tests.addons.media.rig import Cdn, Rig
from tests.addons.media.uploading import DATA, Upstream, send, spooled


async def test_an_upload_takes_upstreams_steps(rig: Rig, upstream: Upstream, http: aiohttp.ClientSession) -> None:
    """Slot, PUT of the very bytes, registration without cookies with the creator's own arguments (contract 10.1)."""
    before = rig.balance()
    async with send(rig, http, {"file": DATA}) as answer:
        assert answer.status == 200
        body = await answer.json()
        assert answer.headers["X-OFAPI-Credits-Used"] == "3"
    assert body["prefixed_id"].startswith("ofapi_media_")
    assert body["file_name"] == "a b.jpg"
    assert body["processId"] == "p1"
    seen = upstream.received  # type: ignore[attr-defined]
    assert seen["put"] == DATA
    assert seen["length"] == str(len(DATA))
    assert seen["host"] == "convert.onlyfans.com"
    assert seen["cookie"] is None
    assert seen["form"]["file[ETag]"] == f'"{hashlib.md5(DATA).hexdigest()}"'
    assert seen["form"]["additional[user]"] == "7"
    assert seen["form"]["isDelay"] == "true"
    assert before - rig.balance() == 3
    assert spooled(rig) == []


async def test_a_vault_upload_asks_whether_the_vault_has_it(
    rig: Rig, upstream: Upstream, http: aiohttp.ClientSession
) -> None:
    """The probe by MD5 and size: what is there needs no upload; new bytes become vault media, in the envelope."""
    async with send(rig, http, {"file": DATA}, target="vault") as answer:
        body = await answer.json()
    assert body["data"] == {"id": 5, "type": "photo"}
    assert body["_meta"]["_credits"]["used"] == 3
    assert upstream.asked[0] == ("GET", f"/api2/v2/vault/media/hash?h={hashlib.md5(DATA).hexdigest()}&size={len(DATA)}")
    upstream.vault_has, upstream.asked = {"id": 9}, []
    async with send(rig, http, {"file": DATA}, target="vault", prefix="") as answer:
        assert await answer.json() == {"id": 9}
    assert len(upstream.asked) == 1


async def test_an_asynchronous_upload_is_a_job(rig: Rig, upstream: Upstream, http: aiohttp.ClientSession) -> None:
    """202 with a polling URL once bytes and row are durable; the job does the rest (contract 10.2)."""
    from addons.jobs.registry import Job
    from addons.media.upload_work import run_job

    async with send(rig, http, {"file": DATA, "async": "true"}) as answer:
        assert answer.status == 202
        body = await answer.json()
    upload_id = body["prefixed_id"]
    assert body["polling_url"] == f"http://gw.test/api/{rig.account_id}/media/uploads/{upload_id}/status"
    assert upstream.asked == []
    assert len(spooled(rig)) == 1
    await run_job(Job(1, uploads.JOB, upload_id, {"upload": upload_id}), rig.services)
    with rig.services.store.read() as conn:
        row = uploads.for_account(conn, rig.account_id, upload_id)
    assert row is not None
    assert (row.state, row.credits_used) == ("completed", 3)
    assert spooled(rig) == []


async def test_a_file_url_is_fetched(rig: Rig, upstream: Upstream, cdn: Cdn, http: aiohttp.ClientSession) -> None:
    """From an allowed address; redirects are not followed."""
    cdn.files["/a%20picture.jpg"] = cdn.files["/a picture.jpg"] = DATA
    async with send(rig, http, {"file_url": f"{cdn.base}/a%20picture.jpg"}) as answer:
        assert answer.status == 200
        assert (await answer.json())["file_name"] == "a picture.jpg"
    assert upstream.received["put"] == DATA  # type: ignore[attr-defined]
    async with send(rig, http, {"file_url": f"{cdn.base}/gone.jpg"}) as answer:
        assert answer.status == 422
    async with send(rig, http, {"file_url": f"{cdn.base}/a%20picture.jpg", "async": "1"}) as answer:
        upload_id = (await answer.json())["prefixed_id"]
    with rig.services.store.read() as conn:
        row = uploads.by_id(conn, upload_id)
    assert row is not None
    assert row.file_name == "a picture.jpg"


async def test_a_failed_upload_gives_the_credits_back(
    rig: Rig, upstream: Upstream, cdn: Cdn, http: aiohttp.ClientSession
) -> None:
    """The error is said as everywhere, the row shows it, nothing is charged."""
    upstream.dead = True
    before = rig.balance()
    async with send(rig, http, {"file": DATA}) as answer:
        assert answer.status == 401
        assert (await answer.json())["error"] == "SESSION_EXPIRED:NEEDS_REAUTHENTICATION"
    upstream.dead = False
    cdn.act = None  # nobody takes the bytes
    async with send(rig, http, {"file": DATA}) as answer:
        assert answer.status == 502
        assert "the storage answered 404" in (await answer.json())["message"]
    assert rig.balance() == before
    assert spooled(rig) == []


async def test_the_balance_that_is_shown_follows_uploads(
    rig: Rig, upstream: Upstream, cdn: Cdn, http: aiohttp.ClientSession
) -> None:
    """Uploads are paid in the store; the meter's figure falls at once, and rises again where one fails."""
    meter = rig.services.parts["meter"]
    before = await meter.balance(rig.team_id)
    async with send(rig, http, {"file": DATA}) as answer:
        assert answer.status == 200
    assert meter.last_balance(rig.team_id) == before - 3
    upstream.dead = True
    async with send(rig, http, {"file": DATA}) as answer:
        assert answer.status == 401
    assert meter.last_balance(rig.team_id) == before - 3


async def test_vault_uploads_show_links_to_copies(
    rig: Rig, upstream: Upstream, cdn: Cdn, http: aiohttp.ClientSession
) -> None:
    """The vault's files are swapped and fetched as in any list; an upload object, which goes back upstream, is not."""
    url = rig.key("/files/v.jpg").url
    cdn.files["/files/v.jpg"] = DATA
    upstream.vault_has = {"id": 9, "files": {"full": {"url": url}}}
    async with send(rig, http, {"file": DATA}, target="vault") as answer:
        assert (await answer.json())["data"]["files"]["full"]["url"] == url
    act, cdn.act = cdn.act, None
    await rig.saved("/files/v.jpg")
    cdn.act = act
    async with send(rig, http, {"file": DATA}, target="vault", prefix="") as answer:
        assert (await answer.json())["files"]["full"]["url"].startswith("http://gw.test/cdn/f/")
    with rig.services.store.read() as conn:
        upload_id = conn.execute(select(uploads.UPLOADS.c.id)).scalars().first()
        assert upload_id is not None
        row = uploads.by_id(conn, upload_id)
    assert row is not None
    shown = await rig.media.uploads.shown(row, "https://other.test")
    assert shown["media"]["files"]["full"]["url"].startswith("https://other.test/cdn/f/")
    as_object = replace(row, target="media", result={"thumbs": [{"url": url}]})
    assert (await rig.media.uploads.shown(as_object, ""))["media"]["thumbs"] == [{"url": url}]


async def test_without_credits_nothing_is_taken(rig: Rig, upstream: Upstream, http: aiohttp.ClientSession) -> None:
    """402 before any step."""
    from ofapi_store.queries import credits

    with rig.services.store.write() as conn:
        credits.give(conn, rig.team_id, 2 - credits.balance(conn, rig.team_id))
    async with send(rig, http, {"file": DATA}) as answer:
        assert answer.status == 402
    assert upstream.asked == []
    assert spooled(rig) == []


async def test_an_upload_to_a_full_disk(
    rig: Rig, upstream: Upstream, cdn: Cdn, http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """503, whether the client sends the bytes or names a URL; what came is dropped, a job is tried again later."""
    from addons.jobs.registry import Job
    from addons.media.upload_work import run_job

    cdn.files["/a.jpg"] = DATA
    async with send(rig, http, {"file_url": f"{cdn.base}/a.jpg", "async": "1"}) as answer:
        upload_id = (await answer.json())["prefixed_id"]

    async def full(*_: object) -> tuple[int, str]:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("addons.media.upload_forms.spool_stream", full)
    monkeypatch.setattr("addons.media.upload_fetch.spool_stream", full)
    for fields in ({"file": DATA}, {"file_url": f"{cdn.base}/a.jpg"}):
        async with send(rig, http, fields) as answer:
            assert (answer.status, (await answer.json())["error"]) == (503, "SERVICE_UNAVAILABLE")
    with pytest.raises(ApiError):
        await run_job(Job(1, uploads.JOB, upload_id, {"upload": upload_id}), rig.services)
    assert spooled(rig) == []
    monkeypatch.undo()
    await run_job(Job(1, uploads.JOB, upload_id, {"upload": upload_id}), rig.services)


async def test_an_upload_above_the_limit(make_rig: Callable[..., Rig], http: aiohttp.ClientSession) -> None:
    """413, and the bytes that came are dropped."""
    async with make_rig() as rig:
        rig.media.uploads._limit = 1000
        async with send(rig, http, {"file": DATA}) as answer:
            assert answer.status == 413
        assert spooled(rig) == []


async def test_a_client_that_leaves_leaves_nothing(
    rig: Rig, upstream: Upstream, caplog: pytest.LogCaptureFixture
) -> None:
    """A body that breaks off is dropped, and is no error of ours."""

    async def half() -> AsyncIterator[bytes]:
        yield b'--B\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n' + bytes(100_000)
        await asyncio.sleep(0.05)
        raise ConnectionError

    ticket = UploadTicket(rig.team_id, rig.account_id, "media", "", "", time.time() + 60)
    headers = {TICKET: rig.media.uploads.seal(ticket), "Content-Type": "multipart/form-data; boundary=B"}
    async with aiohttp.ClientSession() as mine:
        with pytest.raises((aiohttp.ClientError, ConnectionError)):
            await mine.post(f"{rig.media.server.base}/upload", data=half(), headers=headers)
    async with asyncio.timeout(30):
        while spooled(rig):
            await asyncio.sleep(0.02)
    await asyncio.sleep(0.05)
    assert [r.message for r in caplog.records if r.name == "aiohttp.server"] == []
    assert upstream.asked == []


async def test_only_tickets_open_the_endpoint(rig: Rig, http: aiohttp.ClientSession) -> None:
    """Neither nothing, nor rubbish, nor an old ticket."""
    old = UploadTicket(rig.team_id, rig.account_id, "media", "", "", time.time() - 1)
    for token in ("", "x", rig.media.uploads.seal(old), rig.ticket("/files/x.jpg")):
        async with http.post(f"{rig.media.server.base}/upload", data=b"x", headers={TICKET: token}) as answer:
            assert answer.status == 404
