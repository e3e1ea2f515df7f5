"""Forms of uploads: what may be sent, and in which pieces and spellings."""

from __future__ import annotations

import asyncio
import time
from base64 import b64encode
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from addons.media.streaming import TICKET
from addons.media.upload_forms import Form, file_name_of, set_field
from addons.media.uploads import UploadTicket
from addons.pipeline.errors import ValidationFailed
from tests.addons.media.rig import Rig
from tests.addons.media.uploading import DATA, Upstream, send, spooled


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
