"""The bench measures what it says: every request once, failures seen, figures from the right end of the list."""

from __future__ import annotations

import asyncio
import json

import pytest

from scripts.benches import compare, memory
from scripts.benches.__main__ import arguments
from scripts.benches.load import Result, fire, request
from scripts.benches.upstream import FANS, Canned, fans_body, plain_body


async def canned() -> tuple[asyncio.Server, int]:
    server = await asyncio.get_running_loop().create_server(Canned, "127.0.0.1", 0)
    return server, server.sockets[0].getsockname()[1]


async def test_sends_exactly_the_requests_asked_for() -> None:
    """A budget of requests is spent once, over all connections."""
    server, port = await canned()
    result = await fire(port, request("/x"), 7, 0, 100)
    server.close()
    assert (len(result.latencies), result.failed) == (100, 0)
    assert result.rate > 0


async def test_other_statuses_are_failures() -> None:
    """An answer other than 200 counts as failed."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n")

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    result = await fire(server.sockets[0].getsockname()[1], request("/x", "key"), 1, 0, 1)
    server.close()
    assert result.failed == 1


def test_percentiles_and_sums() -> None:
    """p50 and p99 of the latencies; rounds add up."""
    one, two = Result(1.0, [i / 100 for i in range(1, 101)]), Result(1.0, [], cpu_seconds=0.2)
    one.add(two)
    assert one.percentile(0.5) == pytest.approx(0.51)
    assert one.percentile(0.99) == pytest.approx(1.0)
    assert (one.rate, one.cpu_ms) == (50.0, 2.0)


def test_bodies_are_of_the_sizes_that_the_issue_names() -> None:
    """20 fans in 60 KB, and something plain."""
    assert len(json.loads(fans_body())["list"]) == FANS == 20
    assert 55_000 < len(fans_body()) < 65_000
    assert 20_000 < len(plain_body()) < 40_000


def test_reports() -> None:
    """Reports name the figures and the verdict."""
    figures = {"requests_per_s": 10.0, "p50_ms": 1.0, "p99_ms": 2.0, "cpu_ms": 0.5, "failed": 0}
    row = {"connections": 16, "gateway": figures, "bare": figures, "ratio": 1.0, "cpu_ratio": 1.0}
    text = compare.text({"bench": "hybrid", "rows": [row], "target_ratio": 0.8, "reached": True})
    assert "target ratio 0.8: reached" in text
    found = {"requests": 5, "web": True, "rss_bytes": [1e8, 1e8], "flat": True}
    assert memory.text(found) == "memory over 5 requests with mitmweb: 100, 100 MB: flat"
    assert arguments(["memory", "--web"]).requests == 50_000
