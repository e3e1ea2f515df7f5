"""The zip of a vault: from the cache, in order, with a count of what could not be had."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from addons.exports.build import Progress, Stopped
from addons.exports.vault import NothingFetched, write_vault
from addons.media.files import FileStore
from addons.media.identity import MediaIdentity
from addons.media.index import Copy
from addons.media.links import file_id
from addons.media.transfer import Broken

HOST = "cdn2.onlyfans.com"


class Media:
    """A cache with some files and a CDN that breaks off."""

    def __init__(self, folder: Path) -> None:
        self.files = FileStore(folder, max_bytes=10**9, min_free_bytes=0)
        self.identity = MediaIdentity([HOST])
        self.objects = None
        self.transfers = SimpleNamespace(start=lambda *_: None, finished=self._broken)

    async def _broken(self, _: Any) -> Copy:
        raise Broken

    def put(self, name: str, data: bytes) -> None:
        key = self.identity.key(url(name))
        assert key is not None
        part = self.files.part(file_id(key.text))
        part.write_bytes(data)
        copy = Copy(file_id(key.text), hashlib.sha256(data).hexdigest(), len(data), "image/jpeg", "s", 1.7e9, name)
        self.files.adopt(key.text, copy, part)


def url(name: str) -> str:
    return f"https://{HOST}/files/{name}?Signature=x"


def row(number: int, name: str) -> tuple[str, dict[str, Any]]:
    return "acct_a", {"media_id": number, "type": "photo", "url": url(name)}


@pytest.fixture
def media(tmp_path: Path) -> Any:
    made = Media(tmp_path / "media")
    made.put("a.jpg", b"A" * 3_000_000)
    made.put("b.jpg", b"B")
    yield made
    made.files.index.close()


async def tell(_: int) -> None:
    return None


async def test_files_that_cannot_be_had_are_counted(media: Any, tmp_path: Path) -> None:
    """The others are there, whole and named by account, kind and id."""
    final, progress = tmp_path / "out" / "x.zip", Progress()
    rows = [
        row(1, "a.jpg"),
        row(2, "gone.jpg"),
        row(3, "b.jpg"),
        ("acct_a", {"media_id": 4, "url": "https://evil.test/x"}),
    ]
    assert await write_vault(final, media, rows, progress, tell) == 2
    with zipfile.ZipFile(final) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["acct_a_photo_1.jpg", "acct_a_photo_3.jpg"]
        assert archive.read("acct_a_photo_1.jpg") == b"A" * 3_000_000
    assert progress.rows == 4


async def test_none_at_all_is_an_error(media: Any, tmp_path: Path) -> None:
    """No zip without files stands for a vault that has some; an empty vault gives an empty zip."""
    final = tmp_path / "out" / "x.zip"
    with pytest.raises(NothingFetched):
        await write_vault(final, media, [row(2, "gone.jpg")], Progress(), tell)
    assert list(final.parent.iterdir()) == []
    assert await write_vault(final, media, [], Progress(), tell) == 0
    assert zipfile.ZipFile(final).namelist() == []


async def test_stops_when_told(media: Any, tmp_path: Path) -> None:
    """Between files and within one; nothing remains."""
    final, progress = tmp_path / "out" / "x.zip", Progress()
    progress.stop.set()
    with pytest.raises(Stopped):
        await write_vault(final, media, [row(1, "a.jpg")], progress, tell)
    assert list(final.parent.iterdir()) == []
