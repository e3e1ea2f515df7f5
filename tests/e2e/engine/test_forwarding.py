"""Requests through the engine: bodies and framing as upstream sent them."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.engine.harness import FakeGateway, client, engine, reply, upstream


async def test_forwards_json(tmp_path: Path) -> None:
    """A request goes up with the gateway's headers and comes back with upstream's bytes."""
    async with upstream(lambda s: reply(b'{"a": 1.10, "a": 2}')) as up, engine(FakeGateway(up.url), tmp_path) as run:
        async with client(run.port) as c:
            got = await c.ask("GET", "/x?y=%2F", "Authorization: Bearer secret")
            again = await c.ask("GET", "/x")
        assert (got.status, got.body, again.status) == (200, b'{"a": 1.10, "a": 2}', 200)
        assert up.seen[0].line == "GET /x?y=%2F HTTP/1.1"
        assert up.seen[0].header("authorization") is None
        assert up.connections == 1
        assert len(run.gateway.after_calls) == 2
