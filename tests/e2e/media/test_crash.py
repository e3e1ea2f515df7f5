"""kill -9 in the middle: no broken file is ever served, and what was begun is finished after the restart."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest

from scripts.cli.stack import Stack
from scripts.simulator import Simulator

CDN_URL = re.compile(r'https://cdn\d\.onlyfans\.com/[^"\\]+')


@pytest.fixture
def own(tmp_path: Path) -> Iterator[tuple[Stack, Simulator]]:
    """A simulator and a gateway that a test may kill."""
    with (
        Simulator.start(fans=5, chats=2, messages=20, transactions=5) as simulator,
        (tmp_path / "processes.log").open("wb") as output,
        Stack.start(
            tmp_path, upstream=simulator.api_url, cdn=simulator.cdn_url, logins=simulator.creators, output=output,
            config={"media": {"parallel": 20}},
        ) as stack,
    ):  # fmt: skip
        yield stack, simulator


def kill(stack: Stack) -> None:
    """SIGKILL of the gateway and its worker, as a machine does that runs out of memory."""
    assert stack.gateway is not None
    pid = stack.gateway.process.pid
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    for one in (pid, *map(int, children)):
        with suppress(ProcessLookupError):  # the worker ends by itself when its parent has gone
            os.kill(one, signal.SIGKILL)
    stack.gateway.process.wait(10)


async def test_fills_survive_a_kill(own: tuple[Stack, Simulator]) -> None:
    """Twenty fills under way, kill -9, restart: every copy is whole, and all twenty are there in the end."""
    stack, simulator = own
    simulator.faults.add("slow", host="cdn", count=0, bytes_per_s=20_000)
    async with aiohttp.ClientSession(headers=stack.auth) as http:
        async with http.get(f"{stack.base_url}/{stack.account}/media/vault?limit=20") as answer:
            urls = {urlsplit(u).path: u for u in CDN_URL.findall(await answer.text())}
    async with asyncio.timeout(60):
        while len(parts := begun_parts(stack)) < 20 or sum(size > 0 for size in parts) < 3:
            await asyncio.sleep(0.05)
    kill(stack)
    simulator.faults.clear()
    expire_leases(stack)
    for blob in media_dir(stack).glob("blobs/*/*"):
        assert hashlib.sha256(blob.read_bytes()).hexdigest() == blob.name
    begun = len(list(media_dir(stack).glob("parts/*.part")))
    whole = len(list(media_dir(stack).glob("blobs/*/*")))  # of those, some may have ended just before the kill
    assert begun >= 3
    assert begun + whole >= 20
    stack.restart()
    async with aiohttp.ClientSession(headers=stack.auth) as http, asyncio.timeout(100):
        while True:
            async with http.get(f"{stack.base_url}/{stack.account}/media/vault?limit=20") as answer:
                text = await answer.text()
            if not CDN_URL.search(text):
                break
            await asyncio.sleep(0.5)
        links = re.findall(rf'{re.escape(stack.cdn_url)}/f/[^"\\]+', text)
        assert len(set(links)) == len(urls)
        for link in set(links):
            async with http.get(link) as answer:
                body = await answer.read()
                assert answer.status == 200
                assert f'"{hashlib.sha256(body).hexdigest()}"' == answer.headers["ETag"]
    resumed = [r for r in simulator.requests if r["kind"] == "cdn" and "range" in r["headers"]]
    assert resumed, "parts that were begun are continued, not fetched anew"


def begun_parts(stack: Stack) -> list[int]:
    """Sizes of the files that are being fetched."""
    found = []
    for part in media_dir(stack).glob("parts/*.part"):
        with suppress(FileNotFoundError):  # it is whole by now
            found.append(part.stat().st_size)
    return found


def media_dir(stack: Stack) -> Path:
    from addons.config import load_config

    return load_config(stack.config_path).media.dir


async def test_an_upload_survives_a_kill(own: tuple[Stack, Simulator]) -> None:
    """An asynchronous upload that was accepted is completed after the restart, with its credits."""
    stack, simulator = own
    simulator.faults.add("latency", host="storage", count=1, seconds=30)
    form = aiohttp.FormData()
    form.add_field("file", os.urandom(1_500_000), filename="a.jpg", content_type="image/jpeg")
    form.add_field("async", "true")
    async with aiohttp.ClientSession(headers=stack.auth) as http:
        async with http.post(f"{stack.base_url}/api/{stack.account}/media/upload", data=form) as answer:
            assert answer.status == 202
            accepted = await answer.json()
        path = urlsplit(accepted["polling_url"]).path
        await state(http, stack, path, "processing")
        kill(stack)
        simulator.faults.clear()
        expire_leases(stack)
        stack.restart()
        done = await state(http, stack, path, "completed", wait_s=60)
    assert done["prefixed_id"] == accepted["prefixed_id"]
    assert done["credits_used"] == 5
    assert done["media"]["file_name"] == "a.jpg"
    assert done["media"]["processId"]
    async with asyncio.timeout(30):  # the bytes are dropped after the end is stored
        while list(media_dir(stack).glob("spool/*")):
            await asyncio.sleep(0.05)


def expire_leases(stack: Stack) -> None:
    """As if the lease's time had passed: the test does not wait for it."""
    from sqlalchemy import text

    from ofapi_store.engine import Store

    store = Store.open(stack.store_url)
    with store.write() as conn:
        conn.execute(text("UPDATE jobs SET lease_until = 1 WHERE state = 'running'"))
        conn.execute(text("UPDATE media_fills SET lease_until = 1 WHERE state = 'running'"))
    store.close()


async def state(
    http: aiohttp.ClientSession, stack: Stack, path: str, wanted: str, wait_s: float = 30
) -> dict[str, object]:
    """Poll an upload until it has that status."""
    ends = time.monotonic() + wait_s
    found: dict[str, object] = {}
    while time.monotonic() < ends:
        async with http.get(stack.base_url + path) as answer:
            assert answer.status == 200
            found = await answer.json()
        if found["status"] == wanted:
            return found
        await asyncio.sleep(0.1)
    raise AssertionError(json.dumps(found))
