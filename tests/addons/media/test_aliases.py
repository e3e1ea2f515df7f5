"""`ofapi_media_…` in a message body becomes upstream's own object."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from addons.media.aliases import Aliases
from addons.pipeline.errors import ValidationFailed
from ofapi_store.engine import Store
from ofapi_store.queries import uploads
from ofapi_store.queries.accounts import AccountRow
from ofapi_store.types import now_utc

OBJECT = {"processId": "p1", "host": "convert1.onlyfans.com", "extra": "x"}


def upload(store: Store, account: AccountRow, digit: str, result: dict[str, Any] | None) -> str:
    """An upload, completed when it has a result."""
    upload_id = f"ofapi_media_{digit * 32}"
    values = {"id": upload_id, "team_id": account.team_id, "account_id": account.id, "target": "media", "kind": "default",
              "file_name": "a", "content_type": "image/jpeg"}  # fmt: skip
    with store.write() as conn:
        uploads.create(conn, values, price=None, endpoint="media-upload", at=now_utc(), now=now_utc())
        if result is not None:
            uploads.complete(conn, upload_id, result, now_utc())
    return upload_id


async def replaced(store: Store, account: AccountRow, body: bytes) -> bytes:
    return await Aliases(store)(body, SimpleNamespace(account=account))  # type: ignore[arg-type]


async def test_aliases_become_objects(store: Store, account: AccountRow) -> None:
    """In arrays only: the text of a message is left as it is, and so is every other byte."""
    one, two = upload(store, account, "a", OBJECT), upload(store, account, "b", {"id": 5, "type": "photo"})
    body = f'{{"text":"{one}", "mediaFiles":[ "{one}" ,7,"{two}"],"previews":["{one}"],"price":1.10}}'.encode()
    expected = body.replace(f' "{one}" ,7'.encode(), b" " + orjson.dumps(OBJECT) + b" ,7")
    expected = expected.replace(f',"{two}"]'.encode(), b",5]").replace(
        f'["{one}"]'.encode(), b"[" + orjson.dumps(OBJECT) + b"]"
    )
    assert await replaced(store, account, body) == expected


async def test_other_bodies_are_the_same_object(store: Store, account: AccountRow) -> None:
    """Nothing to do costs nothing."""
    for body in (b'{"mediaFiles":[1]}', b'{"text":"ofapi_media_"}', b'["ofapi_media_short"]'):
        assert await replaced(store, account, body) is body


async def test_unknown_and_unfinished_uploads_are_named(store: Store, account: AccountRow) -> None:
    """422 before anything leaves."""
    pending = upload(store, account, "c", None)
    for name in (pending, f"ofapi_media_{'d' * 32}"):
        with pytest.raises(ValidationFailed, match=name) as caught:
            await replaced(store, account, f'{{"mediaFiles":["{name}"]}}'.encode())
        assert list(caught.value.errors or {}) == ["mediaFiles"]
