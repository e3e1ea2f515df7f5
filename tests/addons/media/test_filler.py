"""The background queue: each file once, retried while its URL works, nothing lost, never over the limits."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import web

from addons.media import filler
from addons.media.fetch import BadStatus
from addons.media.identity import MediaKey
from ofapi_store.queries import media as fills
from tests.addons.media.rig import Cdn, Rig, data_of, until

DATA = data_of(50_000)
PATH = "/files/a/x.jpg"


def states(rig: Rig) -> dict[str, int]:
    with rig.services.store.read() as conn:
        return dict(fills.counts(conn))


def errors(rig: Rig) -> list[str | None]:
    with rig.services.store.read() as conn:
        return [row.last_error for row in conn.execute(fills.FILLS.select())]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filler, "FIRST_WAIT_S", 0.05)
    monkeypatch.setattr(filler, "IDLE_S", 0.2)


async def test_a_file_that_was_seen_is_saved_once(rig: Rig, cdn: Cdn) -> None:
    """However often and under whatever signature it is seen."""
    cdn.files[PATH] = DATA
    for i in range(20):
        rig.media.filler.seen([rig.key(PATH, host=i % 3 + 1, query=f"Signature={i}")], rig.account_id)
    assert await rig.saved(PATH) == DATA
    await until(lambda: states(rig) == {})
    assert len(cdn.gets(PATH)) == 1


async def test_a_purged_file_is_fetched_at_its_next_sight(rig: Rig, cdn: Cdn) -> None:
    """That it was queued a moment ago does not count once it was fetched."""
    cdn.files[PATH] = DATA
    for _ in range(2):
        rig.media.filler.seen([rig.key(PATH)], rig.account_id)
        await rig.saved(PATH)
        await until(lambda: states(rig) == {})
        rig.media.files.remove(rig.key(PATH).text)
    assert len(cdn.gets(PATH)) == 2


async def test_any_number_of_files_is_queued(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """One answer may name more files than a database takes parameters: they are written in portions."""
    portions: list[int] = []

    async def enqueue(keys: list[MediaKey], account_id: str | None) -> None:
        portions.append(len(keys))

    monkeypatch.setattr(rig.media.filler, "_enqueue", enqueue)
    rig.media.filler.seen([rig.key(f"/files/{i}.jpg") for i in range(2500)], rig.account_id)
    await until(lambda: portions == [1000, 1000, 500])


async def test_processes_share_the_work(make_rig: Callable[..., Rig], cdn: Cdn) -> None:
    """Two processes that see the same files fetch each of them once."""
    paths = [f"/files/{i}.jpg" for i in range(20)]
    cdn.files.update({path: data_of(1000, seed=i) for i, path in enumerate(paths)})
    async with make_rig() as one, make_rig() as two:
        for rig in (one, two):
            rig.media.filler.seen([rig.key(path) for path in paths], rig.account_id)
        for path in paths:
            await one.saved(path)
        await until(lambda: states(one) == {})
    assert sorted(p.partition("?")[0] for _, p, _ in cdn.log) == sorted(paths)


async def test_urls_are_stored_encrypted(make_rig: Callable[..., Rig], cdn: Cdn) -> None:
    """A signature is a secret: the queue's rows do not show it."""
    rig = make_rig(enabled=False)
    async with rig:
        rig.media.filler.seen([rig.key(PATH, query="Signature=sesame")], rig.account_id)
        await until(lambda: states(rig) == {"pending": 1})
        with rig.services.store.read() as conn:
            row = conn.execute(fills.FILLS.select()).one()
    assert "sesame" not in str(row)
    assert rig.services.secrets.decrypt(row.url).endswith("Signature=sesame")


async def test_a_failed_fetch_is_tried_again(rig: Rig, cdn: Cdn) -> None:
    """Outages pass; the copy comes."""
    cdn.files[PATH] = DATA
    tries = 0

    async def act(request: web.Request, data: bytes) -> web.StreamResponse | None:
        nonlocal tries
        tries += 1
        return web.Response(status=503) if tries < 3 else None

    cdn.act = act
    rig.media.filler.seen([rig.key(PATH)], rig.account_id)
    assert await rig.saved(PATH) == DATA
    assert tries == 3


def signed_until(end: float) -> str:
    policy = {"Statement": [{"Condition": {"DateLessThan": {"AWS:EpochTime": int(end)}}}]}
    text = base64.b64encode(json.dumps(policy).encode()).decode()
    return "Signature=s&Policy=" + text.replace("+", "-").replace("=", "_").replace("/", "~")


async def test_an_expired_url_waits_for_the_next_sight(rig: Rig, cdn: Cdn, monkeypatch: pytest.MonkeyPatch) -> None:
    """403 ends the tries; a new URL of the same file begins them again."""
    monkeypatch.setattr(filler, "GONE_WAIT", timedelta(0))

    async def act(request: web.Request, data: bytes) -> web.StreamResponse | None:
        return web.Response(status=403) if "old" in request.query_string else None

    cdn.act = act
    cdn.files[PATH] = DATA
    rig.media.filler.seen([rig.key(PATH, query="Signature=old")], rig.account_id)
    await until(lambda: states(rig) == {"waiting": 1})
    await asyncio.sleep(0.3)
    assert len(cdn.log) == 1
    rig.media.filler.seen([rig.key(PATH, query="Signature=new")], rig.account_id)
    assert await rig.saved(PATH) == DATA


async def test_refusals_in_a_row_wait_longer(rig: Rig, cdn: Cdn) -> None:
    """The first new URL is tried soon; one that is refused again and again, at the end of an hour at most."""
    fill = fills.Fill("i", "k", "u", None, None, 1)
    refused, now = BadStatus(404), datetime.now(UTC)
    waits = [filler._pause(replace(fill, attempts=n), refused, now) for n in (1, 2, 3, 60)]
    assert waits == [(timedelta(seconds=s), True) for s in (2, 8, 32, 3600)]
    ended = replace(fill, url_ends_at=now)
    assert filler._pause(ended, refused, now) == (timedelta(0), False)
    assert filler._pause(fill, BadStatus(503), now) == (filler.WORN_OUT_WAIT, False)


async def test_a_url_that_ended_is_tried_again_at_the_next_sight(rig: Rig, cdn: Cdn) -> None:
    """Its refusal says nothing about the file."""
    cdn.files[PATH] = DATA

    async def act(request: web.Request, data: bytes) -> web.StreamResponse | None:
        return web.Response(status=403) if len(cdn.log) == 1 else None

    cdn.act = act
    rig.media.filler.seen([rig.key(PATH, query=signed_until(time.time() - 5))], rig.account_id)
    await until(lambda: states(rig) == {"waiting": 1})
    rig.media.filler.seen([rig.key(PATH, query=signed_until(time.time() + 500))], rig.account_id)
    assert await rig.saved(PATH) == DATA


async def test_pages_of_html_are_no_files(rig: Rig, cdn: Cdn) -> None:
    """What a portal or a proxy says instead of the file is not kept, and the file is asked for again."""
    cdn.files[PATH] = DATA

    async def act(request: web.Request, data: bytes) -> web.StreamResponse | None:
        return web.Response(text="<p>Log in", content_type="text/html") if len(cdn.log) == 1 else None

    cdn.act = act
    rig.media.filler.seen([rig.key(PATH)], rig.account_id)
    assert await rig.saved(PATH) == DATA
    assert len(cdn.log) == 2


@pytest.mark.parametrize("kind", ["application/dash+xml", "application/vnd.apple.mpegurl; charset=utf-8"])
async def test_playlists_are_left_at_the_cdn(rig: Rig, cdn: Cdn, kind: str) -> None:
    """Players look for the pieces of a film beside its playlist."""

    async def act(request: web.Request, data: bytes) -> web.StreamResponse | None:
        return web.Response(body=b"<MPD/>", headers={"Content-Type": kind})

    cdn.act = act
    for _ in range(2):
        rig.media.filler.seen([rig.key(PATH)], rig.account_id)
        await until(lambda: states(rig) == {"waiting": 1})
    assert len(cdn.log) == 1
    assert not rig.cached(PATH)


async def test_no_try_after_the_signature_ended(rig: Rig, cdn: Cdn) -> None:
    """An outage that lasts longer than the URL ends in waiting."""

    async def act(request: web.Request, data: bytes) -> web.StreamResponse | None:
        return web.Response(status=503)

    cdn.act = act
    rig.media.filler.seen([rig.key(PATH, query=signed_until(time.time()))], rig.account_id)
    await until(lambda: states(rig) == {"waiting": 1})
    assert len(cdn.log) == 1


@pytest.mark.parametrize("limit", [{"max_file_bytes": 1000}, {"max_cache_bytes": 1000}])
async def test_large_files_are_left_alone(make_rig: Callable[..., Rig], cdn: Cdn, limit: dict[str, int]) -> None:
    """Above `media.max_file_bytes`, or all of `media.max_cache_bytes`, nothing is fetched again at the next sight."""
    cdn.files[PATH] = DATA
    async with make_rig(**limit) as rig:
        rig.media.filler.seen([rig.key(PATH)], rig.account_id)
        await until(lambda: states(rig) == {"waiting": 1})
        rig.media.filler.seen([rig.key(PATH)], rig.account_id)
        await asyncio.sleep(0.3)
        assert not rig.cached(PATH)
        assert len(cdn.log) == 1


async def test_a_full_disk_pauses_filling_and_health_says_so(
    make_rig: Callable[..., Rig], cdn: Cdn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows stay; filling goes on when there is room."""
    cdn.files[PATH] = DATA
    async with make_rig() as rig:
        rig.media.files.min_free_bytes = 2**60
        await until(lambda: rig.media.filler.paused)
        rig.media.filler.seen([rig.key(PATH)], rig.account_id)
        await until(lambda: states(rig) == {"pending": 1})
        assert "paused" in (await rig.media.health() or "")
        assert cdn.log == []
        rig.media.files.min_free_bytes = 0
        assert await rig.saved(PATH) == DATA
        assert await rig.media.health() is None


async def test_health_says_that_a_file_does_not_fit(rig: Rig, cdn: Cdn, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not below the limit yet, but this file would lead there; its part makes room for others, and a save clears it."""
    cdn.files[PATH], cdn.files["/files/small.jpg"] = DATA, b"small"
    monkeypatch.setattr(filler, "FULL_WAIT_S", 0.1)
    least = rig.media.files.min_free_bytes
    monkeypatch.setattr(rig.media.files, "free_bytes", lambda: least + 10_000)
    rig.media.filler.seen([rig.key(PATH)], rig.account_id)
    await until(lambda: rig.media.transfers.trouble is not None)
    assert "no room" in (await rig.media.health() or "")
    await until(lambda: list(rig.media.files.root.glob("parts/*")) == [])
    assert not rig.cached(PATH)
    rig.media.filler.seen([rig.key("/files/small.jpg")], rig.account_id)
    assert await rig.saved("/files/small.jpg") == b"small"
    monkeypatch.undo()
    assert await rig.saved(PATH) == DATA
    await until(lambda: rig.media.transfers.trouble is None)


async def test_no_more_at_once_than_configured(make_rig: Callable[..., Rig], cdn: Cdn) -> None:
    """`media.parallel` bounds the fetches."""
    now = most = 0

    async def act(request: web.Request, data: bytes) -> web.StreamResponse | None:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await until(lambda: most >= 3)
        await asyncio.sleep(0.02)  # a fourth would come now
        now -= 1
        return None

    cdn.act = act
    paths = [f"/files/{i}.jpg" for i in range(12)]
    cdn.files.update({path: path.encode() for path in paths})
    async with make_rig(parallel=3) as rig:
        rig.media.filler.seen([rig.key(path) for path in paths], rig.account_id)
        for path in paths:
            await rig.saved(path)
    assert most == 3


async def test_bandwidth_is_bounded(make_rig: Callable[..., Rig], cdn: Cdn) -> None:
    """`media.bandwidth_bytes_per_s` slows fills down."""
    cdn.files[PATH] = data_of(300_000)
    async with make_rig(bandwidth_bytes_per_s=150_000) as rig:
        started = time.perf_counter()
        rig.media.filler.seen([rig.key(PATH)], rig.account_id)
        await rig.saved(PATH)
        assert time.perf_counter() - started > 0.8


async def test_a_stopped_fill_is_given_back_and_finished(make_rig: Callable[..., Rig], cdn: Cdn) -> None:
    """Stop in the middle, start again: the rest is fetched."""
    cdn.files[PATH] = DATA
    release = asyncio.Event()

    async def act(request: web.Request, data: bytes) -> web.StreamResponse | None:
        await release.wait()
        return None

    cdn.act = act
    async with make_rig() as rig:
        rig.media.filler.seen([rig.key(PATH)], rig.account_id)
        await until(lambda: len(cdn.log) == 1)
    assert states(rig) == {"pending": 1}
    release.set()
    async with make_rig() as rig:
        assert await rig.saved(PATH) == DATA


async def test_a_dead_workers_rows_are_taken_over(make_rig: Callable[..., Rig], cdn: Cdn) -> None:
    """A lease that ran out belongs to whoever comes."""
    cdn.files[PATH] = DATA
    idle = make_rig(enabled=False)
    async with idle:
        idle.media.filler.seen([idle.key(PATH)], idle.account_id)
        await until(lambda: states(idle) == {"pending": 1})
        past = datetime.now(UTC) - timedelta(minutes=5)
        with idle.services.store.write() as conn:
            assert len(fills.lease(conn, "dead", 5, datetime.now(UTC), 1)) == 1
            conn.execute(fills.FILLS.update().values(lease_until=past))
    async with make_rig() as rig:
        assert await rig.saved(PATH) == DATA


async def test_eviction_under_load_keeps_the_limit(make_rig: Callable[..., Rig], cdn: Cdn) -> None:
    """The cache never grows above `media.max_cache_bytes`, and what it holds is whole."""
    paths = [f"/files/{i}.jpg" for i in range(30)]
    cdn.files.update({path: data_of(10_000, seed=i) for i, path in enumerate(paths)})
    async with make_rig(max_cache_bytes=65_000, parallel=4) as rig:
        rig.media.filler.seen([rig.key(path) for path in paths], rig.account_id)
        await until(lambda: len(cdn.log) == len(paths) and states(rig) == {})
        assert 40_000 <= rig.media.files.index.total_bytes() <= 65_000
        assert rig.media.files.verify(lambda *bad: pytest.fail(str(bad))) == len(rig.media.files.index)
