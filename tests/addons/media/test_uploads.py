"""Uploads through the endpoint: read as a stream, held to limits, paid for, durable."""

from __future__ import annotations

import asyncio
import hashlib
import time
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from sqlalchemy import select

from addons.jobs.upstream_client import Reply, SessionExpired
from addons.media.streaming import TICKET
from addons.media.uploads import Form, UploadTicket, file_name_of, set_field
from addons.pipeline.errors import ValidationFailed
from addons.pipeline.exchange import Headers
from ofapi_store.queries import uploads
from tests.addons.media.rig import Cdn, Rig

DATA = b"\xff\xd8" + bytes(999_998)


class Upstream:
    """The account's client: slots, `users/me`, the vault; `asked` has what was asked."""

    def __init__(self, cdn: Cdn, account_id: str) -> None:
        self.cdn = cdn
        self.asked: list[tuple[str, str]] = []
        self.vault_has: dict[str, Any] | None = None
        self.dead = False
        self.account = type("Account", (), {"id": account_id})()

    async def of(self, account_id: str) -> Upstream:
        assert account_id == self.account.id
        return self

    async def ask(self, method: str, target: str, *, body: Any = None) -> Reply:
        import orjson

        from addons.jobs.upstream_client import Refused

        self.asked.append((method, target))
        if self.dead:
            raise SessionExpired("upstream refuses the login")
        answers: dict[str, Any] = {
            "/api2/v2/upload/signed/create": {"putUrl": f"{self.cdn.base}/put?sig=1", "getUrl": f"{self.cdn.base}/get"},
            "/api2/v2/users/me": {
                "upload": {"geoUploadArgs": {"preset": "p", "isDelay": True, "additional": {"user": "7"}}}
            },
            "/api2/v2/vault/media": {"id": 5, "type": "photo"},
        }
        if target.startswith("/api2/v2/vault/media/hash"):
            if self.vault_has is None:
                raise Refused(404, "new")
            return Reply(200, Headers(), orjson.dumps(self.vault_has))
        return Reply(200, Headers(), orjson.dumps(answers[target]))


@pytest.fixture
def upstream(rig: Rig, cdn: Cdn) -> Upstream:
    made = Upstream(cdn, rig.account_id)
    rig.services.parts["upstream"] = made
    received: dict[str, Any] = {}

    async def act(request: web.Request, data: bytes) -> web.StreamResponse | None:
        if request.method == "PUT":
            body = await request.read()
            received.update(put=body, length=request.headers.get("Content-Length"))
            return web.Response(headers={"ETag": f'"{hashlib.md5(body).hexdigest()}"'})
        if request.path == "/file/upload":
            received.update(
                host=request.headers["Host"], cookie=request.headers.get("Cookie"), form=dict(await request.post())
            )
            return web.json_response({"processId": "p1", "host": "convert1.onlyfans.com"})
        return None

    cdn.act = act
    made.received = received  # type: ignore[attr-defined]
    return made


def send(
    rig: Rig, http: aiohttp.ClientSession, fields: dict[str, Any], *, target: str = "media", prefix: str = "/api"
) -> Any:
    ticket = UploadTicket(rig.team_id, rig.account_id, target, "http://gw.test", prefix, time.time() + 60)
    form = aiohttp.FormData(quote_fields=False, default_to_multipart=True)
    for name, value in fields.items():
        if name == "file":
            form.add_field("file", value, filename="dir/a b.jpg", content_type="image/jpeg")
        else:
            form.add_field(name, value)
    headers = {TICKET: rig.media.uploads.seal(ticket)}
    return http.post(f"{rig.media.server.base}/upload", data=form, headers=headers)


def spooled(rig: Rig) -> list[str]:
    return [p.name for p in (rig.media.files.root / "spool").iterdir()]


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


@pytest.mark.parametrize(
    ("fields", "status", "named"),
    [
        ({}, 422, {"file", "file_url"}),
        ({"file": DATA, "file_url": "https://a.test/x.jpg"}, 422, {"file", "file_url"}),
        ({"file": b""}, 422, {"file"}),
        ({"file": DATA, "type": "poster"}, 422, {"type"}),
        ({"file": DATA, "async": "perhaps"}, 422, {"async"}),
        ({"file_url": "ftp://a.test/x"}, 422, {"file_url"}),
        ({"file_url": "http://169.254.169.254/latest/meta-data/"}, 422, {"file_url"}),
        ({"file_url": "http://[::ffff:10.0.0.1]/x"}, 422, {"file_url"}),
        ({"file_url": "http://u:p@a.test/x"}, 422, {"file_url"}),
        ({"file_url": "http://a.test/" + "x" * 9000}, 422, {"file_url"}),
        ({"file_url": f"http://{'a' * 70}.test/x"}, 422, {"file_url"}),
        ({"file_url": "http://2130706433/x"}, 422, {"file_url"}),
    ],
)
async def test_wrong_input_is_named_and_free(
    rig: Rig, upstream: Upstream, http: aiohttp.ClientSession, fields: dict[str, Any], status: int, named: set[str]
) -> None:
    """422 with the fields; no credits, no spool file, nothing sent to upstream."""
    before = rig.balance()
    async with send(rig, http, fields) as answer:
        assert answer.status == status
        assert set((await answer.json())["errors"]) == named
    assert rig.balance() == before
    assert upstream.asked == []
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


def multipart(*parts: tuple[str, bytes]) -> bytes:
    """A body with boundary B; a part is its headers after `form-data; ` and its value."""
    text = b"".join(
        b"--B\r\nContent-Disposition: form-data; " + head.encode() + b"\r\n\r\n" + value + b"\r\n"
        for head, value in parts
    )
    return text + b"--B--\r\n"


async def send_raw(rig: Rig, http: aiohttp.ClientSession, body: Any) -> tuple[int, dict[str, Any]]:
    ticket = UploadTicket(rig.team_id, rig.account_id, "media", "", "", time.time() + 60)
    headers = {TICKET: rig.media.uploads.seal(ticket), "Content-Type": "multipart/form-data; boundary=B"}
    async with http.post(f"{rig.media.server.base}/upload", data=body, headers=headers) as answer:
        return answer.status, await answer.json()


async def test_fields_may_arrive_in_pieces(rig: Rig, upstream: Upstream, http: aiohttp.ClientSession) -> None:
    """What a field says does not depend on where the network cuts it."""

    async def pieces() -> AsyncIterator[bytes]:
        body = multipart(('name="file"; filename="a"', DATA), ('name="async"', b"true"))
        at = body.index(b"true") + 2
        yield body[:at]
        await asyncio.sleep(0.1)
        yield body[at:]

    status, _ = await send_raw(rig, http, pieces())
    assert status == 202


async def test_transfer_encodings_of_parts(rig: Rig, upstream: Upstream, http: aiohttp.ClientSession) -> None:
    """Base64 is taken out; an encoding that there is none of, and a broken one, are 400."""
    head = 'name="file"; filename="a"\r\nContent-Transfer-Encoding: '
    status, _ = await send_raw(rig, http, multipart((head + "base64", b64encode(DATA))))
    assert status == 200
    assert upstream.received["put"] == DATA  # type: ignore[attr-defined]
    for encoding, value in (("zip", b"abcd"), ("base64", b"a")):
        status, body = await send_raw(rig, http, multipart((head + encoding, value)))
        assert (status, body["error"]) == (400, "bad_request")
    assert spooled(rig) == []


@pytest.mark.parametrize(("sent", "kept"), [("..", "file"), ("a/..", "file"), ("", "file"), ("a/b.jpg", "b.jpg")])
async def test_names_of_files_are_segments(
    rig: Rig, upstream: Upstream, http: aiohttp.ClientSession, sent: str, kept: str
) -> None:
    """Never a path, nor one that means a folder."""
    _, body = await send_raw(rig, http, multipart((f'name="file"; filename="{sent}"', b"abc")))
    assert body["file_name"] == kept


async def test_without_credits_nothing_is_taken(rig: Rig, upstream: Upstream, http: aiohttp.ClientSession) -> None:
    """402 before any step."""
    from ofapi_store.queries import credits

    with rig.services.store.write() as conn:
        credits.give(conn, rig.team_id, 2 - credits.balance(conn, rig.team_id))
    async with send(rig, http, {"file": DATA}) as answer:
        assert answer.status == 402
    assert upstream.asked == []
    assert spooled(rig) == []


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


@pytest.mark.parametrize(
    "body", [b"", b"--B\r\n", b"rubbish", b"--B\r\nContent-Disposition: form-data; name=x\r\n\r\n"]
)
async def test_broken_multipart(rig: Rig, http: aiohttp.ClientSession, body: bytes) -> None:
    """4xx in JSON, never a 500."""
    ticket = UploadTicket(rig.team_id, rig.account_id, "media", "", "", time.time() + 60)
    for kind in ("multipart/form-data; boundary=B", "multipart/form-data", "text/plain"):
        headers = {TICKET: rig.media.uploads.seal(ticket), "Content-Type": kind}
        async with http.post(f"{rig.media.server.base}/upload", data=body, headers=headers) as answer:
            assert 400 <= answer.status < 500
            assert (await answer.json())["error"]


def test_fields_of_json_and_multipart_mean_the_same() -> None:
    """`async` as a boolean or a word, unknown fields ignored."""
    form = Form()
    for name, value in (("async", True), ("type", "avatar"), ("file_url", "https://a.test/x"), ("other", 1)):
        set_field(form, name, value)
    assert (form.in_background, form.kind, form.file_url) == (True, "avatar", "https://a.test/x")
    set_field(form, "async", "0")
    assert not form.in_background
    with pytest.raises(ValidationFailed):
        set_field(form, "type", "cover")


@pytest.mark.parametrize(
    ("url", "name"),
    [("https://a.test/b/c.jpg?x=1", "c.jpg"), ("https://a.test/", "file"), ("https://a.test/x%2Fy", "x_y")],
)
def test_file_names_come_from_the_url(url: str, name: str) -> None:
    """The last segment, decoded, without slashes."""
    assert file_name_of(url) == name
