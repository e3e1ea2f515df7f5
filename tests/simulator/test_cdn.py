from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from scripts.simulator import Simulator

Get = Callable[..., Any]


def fetch(sim: Simulator, url: str, method: str = "GET", **headers: str) -> httpx.Response:
    """The file, from the CDN's loopback port under its own host name."""
    parts = urlsplit(url)
    return httpx.request(method, f"{sim.cdn_url}{parts.path}?{parts.query}", headers={"Host": parts.netloc, **headers})


@pytest.fixture
def full(get: Get) -> dict[str, Any]:
    """`files.full` of a small photo."""
    rows = [row["files"]["full"] for row in get("/vault/media", limit=100, type="photo")["list"]]
    return min(rows, key=lambda row: row["size"])


def test_signed_url_gives_the_file(sim: Simulator, full: dict[str, Any]) -> None:
    """A signed URL gives the bytes announced, equal on each fetch, with type, ETag and Last-Modified."""
    one, two = fetch(sim, full["url"]), fetch(sim, full["url"])
    assert (one.status_code, len(one.content), one.headers["Content-Type"]) == (200, full["size"], "image/jpeg")
    assert one.content == two.content and one.content.startswith(b"\xff\xd8")
    assert one.headers["ETag"] == two.headers["ETag"] and "Last-Modified" in one.headers
    assert sim.requests[-1]["host"] == urlsplit(full["url"]).netloc


def test_unsigned_forged_and_expired_are_403(sim: Simulator, full: dict[str, Any]) -> None:
    """Without signature, with another file's signature, or too late: 403."""
    path = urlsplit(full["url"]).path
    assert fetch(sim, full["url"].split("?")[0]).status_code == 403
    assert fetch(sim, full["url"].replace("Signature=", "Signature=AAAA")).status_code == 403
    other = next(one for one in sim.world.files.specs if one != path)
    assert fetch(sim, full["url"].replace(path, other)).status_code == 403
    with Simulator.start(cdn_ttl_s=-1, fans=5, chats=2, messages=5, transactions=5, media=3) as late:
        url = late.world.signer.url(next(iter(late.world.files.specs)), 1)
        assert fetch(late, url).status_code == 403


def test_range_head_and_conditions(sim: Simulator, full: dict[str, Any]) -> None:
    """Single and suffix ranges, 416, HEAD, If-None-Match, If-Modified-Since, If-Range."""
    url, whole = full["url"], fetch(sim, full["url"])
    part = fetch(sim, url, Range="bytes=100-199")
    assert (part.status_code, part.content) == (206, whole.content[100:200])
    assert part.headers["Content-Range"] == f"bytes 100-199/{full['size']}"
    assert fetch(sim, url, Range="bytes=-5").content == whole.content[-5:]
    assert fetch(sim, url, Range=f"bytes={full['size']}-").status_code == 416
    head = fetch(sim, url, method="HEAD")
    assert (head.status_code, head.content, int(head.headers["Content-Length"])) == (200, b"", full["size"])
    tag = whole.headers["ETag"]
    assert fetch(sim, url, **{"If-None-Match": tag}).status_code == 304
    assert fetch(sim, url, **{"If-Modified-Since": whole.headers["Last-Modified"]}).status_code == 304
    assert fetch(sim, url, Range="bytes=0-9", **{"If-Range": '"old"'}).status_code == 200


def test_sizes_span_2_kb_to_50_mb(sim: Simulator) -> None:
    """The smallest file has 2 KB, the largest 50 MB, whose parts are made without the rest."""
    sizes = {spec.size for spec in sim.world.files.specs.values()}
    assert (min(sizes), max(sizes)) == (2048, 50 * 1024 * 1024)
    path = next(path for path, spec in sim.world.files.specs.items() if spec.size == max(sizes))
    started = time.monotonic()
    tail = fetch(sim, sim.world.signer.url(path, 1), Range="bytes=-1000")
    assert (tail.status_code, len(tail.content)) == (206, 1000)
    assert time.monotonic() - started < 2


@pytest.mark.parametrize("kind", ["truncate", "lying_length"])
def test_broken_transfers(sim: Simulator, full: dict[str, Any], kind: str) -> None:
    """A truncated body, or one shorter than announced, ends in a transport error."""
    sim.faults.add(kind, host="cdn")
    with pytest.raises(httpx.RemoteProtocolError):
        fetch(sim, full["url"])
    assert fetch(sim, full["url"]).status_code == 200


def test_slow_and_redirect(sim: Simulator, full: dict[str, Any]) -> None:
    """`slow` bounds the rate; `redirect` sends elsewhere."""
    sim.faults.add("slow", host="cdn", bytes_per_s=full["size"] * 4)
    started = time.monotonic()
    assert len(fetch(sim, full["url"]).content) == full["size"]
    assert time.monotonic() - started > 0.15
    sim.faults.add("redirect", host="cdn", location="http://169.254.169.254/")
    assert fetch(sim, full["url"]).headers["Location"] == "http://169.254.169.254/"


def test_upload_steps(sim: Simulator, api: httpx.Client, get: Get) -> None:
    """Probe, slot, PUT, convert; the object is good for one message, and the probe then knows the bytes."""
    data = b"\x89PNG" + bytes(5000)
    probe = {"h": hashlib.md5(data).hexdigest(), "size": len(data)}
    assert api.get("/vault/media/hash", params=probe).status_code == 404
    slot = api.post(
        "/upload/signed/create", json={"key": "upload/abc/new%20one.png", "parts": 1, "contentType": "image/png"}
    ).json()
    tag = httpx.put(slot["putUrl"], content=data).headers["ETag"]
    form = {
        "file[Key]": "upload/abc/new%20one.png",
        "file[ETag]": tag,
        "file[name]": "new.png",
        "additional[user]": str(sim.creators[0].id),
    }
    parts = {name: (None, value) for name, value in form.items()}
    done = httpx.post(sim.cdn_url + "/file/upload", files=parts, headers={"Host": "convert.onlyfans.com"}).json()
    assert {"processId", "host", "sourceUrl", "extra", "additional", "thumbs"} <= done.keys()
    fan = next(iter(sim.world.creators[0].chats))
    sent = api.post(f"/chats/{fan}/messages", json={"text": "x", "mediaFiles": [done], "price": 10})
    assert fetch(sim, sent.json()["media"][0]["files"]["full"]["url"]).status_code == 200
    assert api.post(f"/chats/{fan}/messages", json={"text": "x", "mediaFiles": [done]}).status_code == 400
    assert api.get("/vault/media/hash", params=probe).status_code == 200


def test_direct_uploads(api: httpx.Client, get: Get) -> None:
    """Multipart straight to the API: an upload object, or a vault media that is in the vault at once."""
    file = {"file": ("a.jpg", b"x" * 3000, "image/jpeg")}
    assert "processId" in api.post("/media/upload", files=file).json()
    media = api.post("/media/vault", files=file).json()
    assert get("/vault/media", limit=1)["list"][0]["id"] == media["id"]
