"""`ofapi media`: what is cached, and what to do about it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from addons.config import load_config
from addons.media.files import FileStore
from addons.media.index import Copy
from addons.media.links import file_id
from ofapi_store import testing
from ofapi_store.engine import Store
from scripts.cli.main import run


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A config with a store and three cached files."""
    path = tmp_path / "config.yaml"
    path.write_text(
        yaml.safe_dump({"media": {"dir": "media", "min_free_bytes": 0}, "store": {"url": "sqlite:///s.db"}})
    )
    store = Store.open(load_config(path).store_url)
    testing.create_all(store)
    store.close()
    files = FileStore(tmp_path / "media", max_bytes=10**9, min_free_bytes=0)
    for name in ("a", "b", "c"):
        key, data = f"cdn*.onlyfans.com /files/{name}.jpg", name.encode() * 10
        files.part(file_id(key)).write_bytes(data)
        copy = Copy(
            file_id(key), hashlib.sha256(data).hexdigest(), 10, "image/jpeg", "s", 1_700_000_000.0, f"{name}.jpg"
        )
        files.adopt(key, copy, files.part(file_id(key)))
    files.index.close()
    return path


def call(capsys: pytest.CaptureFixture[str], config: Path, *args: str) -> tuple[int, Any]:
    code = run(["--json", "--config", str(config), "media", *args])
    return code, json.loads(capsys.readouterr().out)


def test_stats(capsys: pytest.CaptureFixture[str], config: Path) -> None:
    """Files, bytes and the queue."""
    code, found = call(capsys, config, "stats")
    assert code == 0
    assert (found["files"], found["bytes"], found["full"]) == (3, 30, False)
    assert found["queue"] == {"pending": 0, "running": 0, "waiting": 0}


def test_list(capsys: pytest.CaptureFixture[str], config: Path) -> None:
    """Least recently used first, filtered and bounded; no signatures, for none are kept."""
    _, found = call(capsys, config, "list", "--limit", "2")
    assert [row["key"] for row in found] == ["cdn*.onlyfans.com /files/a.jpg", "cdn*.onlyfans.com /files/b.jpg"]
    _, found = call(capsys, config, "list", "--match", "c.jpg")
    assert [row["size"] for row in found] == [10]


def test_purge(capsys: pytest.CaptureFixture[str], config: Path) -> None:
    """What is named goes, with its bytes; nothing goes where nothing is named."""
    code, found = call(capsys, config, "purge")
    assert (code, found["error"]) == (2, "nothing_chosen")
    assert call(capsys, config, "purge", "a.jpg")[1] == {"removed": 1, "bytes": 10}
    assert call(capsys, config, "purge", "--unused-days", "1")[1] == {"removed": 0, "bytes": 0}
    assert call(capsys, config, "purge", "--all")[1] == {"removed": 2, "bytes": 20}
    assert list((config.parent / "media").glob("blobs/*/*")) == []


def test_verify(capsys: pytest.CaptureFixture[str], config: Path) -> None:
    """A changed file is dropped, named, and the exit code says so; the second time all is well."""
    blob = next((config.parent / "media").glob("blobs/*/*"))
    blob.write_bytes(b"changed")
    code, found = call(capsys, config, "verify")
    assert code == 1
    assert found["checked"] == 3
    assert [row["reason"] for row in found["dropped"]] == ["the bytes have changed"]
    assert call(capsys, config, "verify")[0] == 0
