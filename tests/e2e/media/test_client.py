"""The official client with media: it downloads, reads a swapped vault, uploads, and sends what it uploaded."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator

import pytest
from onlyfansapi import OnlyFansAPI, UnprocessableEntityError

from scripts.cli.stack import Stack
from scripts.simulator import Simulator


@pytest.fixture
def client(stack: Stack) -> Iterator[OnlyFansAPI]:
    with OnlyFansAPI(api_key=stack.api_key, base_url=stack.base_url, max_retries=0) as made:
        yield made


def poll(client: OnlyFansAPI, stack: Stack, upload_id: str) -> dict[str, object]:
    """The status once it is no longer under way."""
    for _ in range(400):
        answer = client.media.uploads.with_raw_response.get_status(upload_id, account=stack.account)
        found: dict[str, object] = json.loads(answer.text())
        if found["status"] not in ("pending", "processing"):
            return found
        time.sleep(0.1)
    raise AssertionError("the upload did not end")


def test_the_client_downloads_and_reads_a_swapped_vault(stack: Stack, client: OnlyFansAPI) -> None:
    """`media.download` follows to our copy; `media.vault.list` shows links that it can be given again."""
    url = ""
    for _ in range(300):
        listed = client.media.vault.with_raw_response.list(stack.account, limit=10, offset=30)
        files = [m["files"]["full"]["url"] for m in json.loads(listed.text())["data"]["list"]]
        url = url or next(f for f in files if "onlyfans.com" in f)
        if all(f.startswith(stack.cdn_url) for f in files):
            break
        time.sleep(0.1)
    assert all(f.startswith(stack.cdn_url) for f in files)
    whole = client.media.with_raw_response.download(url, account=stack.account)
    assert whole.status_code == 200
    assert len(whole.read()) == int(whole.headers["content-length"])
    for link in files[:2]:
        again = client.media.with_raw_response.download(link, account=stack.account)
        assert len(again.read()) == int(again.headers["content-length"])
    for strange in (f"{stack.cdn_url}.evil.test/f/x", f"{stack.cdn_url}/../accounts", f"{stack.base_url}/accounts"):
        with pytest.raises(UnprocessableEntityError, match="cdn_url"):
            client.media.download(strange, account=stack.account)


def test_an_asynchronous_upload_is_sent(stack: Stack, simulator: Simulator, client: OnlyFansAPI) -> None:
    """202, polling until completed with its credits, then once into a message by its prefixed id."""
    answer = client.media.with_raw_response.upload(
        stack.account, file=("new.jpg", os.urandom(400_000), "image/jpeg"), async_=True
    )
    assert answer.status_code == 202
    upload_id = json.loads(answer.text())["prefixed_id"]
    found = poll(client, stack, upload_id)
    assert found["status"] == "completed"
    assert found["credits_used"] == 2
    chat = json.loads(client.chats.with_raw_response.list(stack.account).text())["data"][0]["fan"]["id"]
    sent = client.chats.messages.with_raw_response.send(
        str(chat), account=stack.account, text="new", media_files=[upload_id]
    )
    assert sent.status_code == 200
    assert '"mediaCount":1' in sent.text()
    with pytest.raises(Exception, match="ofapi_media_"):
        client.chats.messages.send(str(chat), account=stack.account, text="x", media_files=["ofapi_media_" + "0" * 32])


def test_status_of_an_unknown_upload(stack: Stack, client: OnlyFansAPI) -> None:
    """404 under both spellings of the path."""
    import urllib.error
    import urllib.request

    for word in ("upload", "uploads"):
        url = f"{stack.base_url}/api/{stack.account}/media/{word}/ofapi_media_1/status"
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(urllib.request.Request(url, headers=stack.auth))
        assert caught.value.code == 404
