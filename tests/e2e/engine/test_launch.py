"""From a config file to a serving gateway, and the ways in which that fails with a sentence."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from addons.config import load_config
from addons.engine.launch import Listening, StartFailed, run
from addons.engine.options import FreePorts
from scripts.cli.stack import Stack
from tests.e2e.engine.harness import Upstream, client, reply, upstream

RULE = """
- id: fans-active
  match: GET /{account}/fans/active
  source: hybrid
  why: Each fan with the time of the fan's last reply.
  upstream: GET /api2/v2/subscriptions/subscribers?type=active
  observe:
    - {into: fans, each: '$.list[*]', columns: {fan_id: id, username: username, name: name}}
  steps:
    - {addon: lookup, table: fans, each: '$.list[*]', by: {fan_id: id}, set: {lastReplyAt: last_reply_at}}
"""
FANS = b'{"list":[{"id":1,"username":"u1","v":1.10,"v":2},{"id":2,"username":"u2"}],"hasMore":false}'


@asynccontextmanager
async def prepared(folder: Path, **config: Any) -> AsyncIterator[tuple[Stack, Upstream]]:
    """A config with store, teams, keys and one rule, in front of a small upstream."""
    rules = folder / "rules"
    rules.mkdir()
    (rules / "fans.yaml").write_text(RULE)
    async with upstream(lambda s: reply(FANS, "200 OK", "application/json", "Set-Cookie: s=1", "Server: x")) as up:
        stack = Stack.prepare(folder / "data", rules_dir=rules, worker=False, config=config)
        stack.point_to(up.url, None)
        yield stack, up


@asynccontextmanager
async def serving(stack: Stack, *, web: bool = False) -> AsyncIterator[Listening]:
    """The gateway of that config."""
    stop, answering = asyncio.Event(), asyncio.get_running_loop().create_future()
    task = asyncio.create_task(run(load_config(stack.config_path), web=web, ready=answering.set_result, stop=stop))
    await asyncio.wait({task, answering}, return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        task.result()
    try:
        yield answering.result()
    finally:
        stop.set()
        await task


async def test_serves_both_dialects_and_the_proxy(tmp_path: Path) -> None:
    """One config: raw and envelope dialect, health, the regular proxy; no key goes up, no cookie comes down."""
    async with prepared(tmp_path) as (stack, up), serving(stack) as where:
        auth = f"Authorization: {stack.auth['Authorization']}"
        async with client(where.listen[1]) as c:
            raw = await c.ask("GET", f"/{stack.account}/fans/active?limit=2", auth, "Cookie: own=1")
            wrapped = await c.ask("GET", f"/api/{stack.account}/fans/active?limit=2", auth)
            other = await c.ask("GET", f"/{stack.account}/users/list", auth)
            health = await c.ask("GET", "/_ofapi/health")
            refused = await c.ask("GET", f"/{stack.account}/fans/active", "Authorization: Bearer nope")
        assert where.proxy
        async with client(where.proxy[1]) as c:
            proxied = await c.ask("GET", f"http://app.onlyfansapi.com/api/{stack.account}/fans/active", auth)
    assert raw.body == FANS.replace(b'"v":2}', b'"v":2,"lastReplyAt":null}').replace(
        b'"u2"}', b'"u2","lastReplyAt":null}'
    )
    assert json.loads(wrapped.body)["data"]["list"][1]["lastReplyAt"] is None
    assert json.loads(proxied.body)["data"] == json.loads(wrapped.body)["data"]
    assert other.body == FANS
    assert (json.loads(health.body)["status"], refused.status) == ("ok", 401)
    for seen in up.seen:
        text = str(seen.headers)
        assert stack.auth["Authorization"].split()[1] not in text
        assert "own=1" not in text
    for got in (raw, wrapped, other):
        assert got.header("set-cookie") is None
        assert got.header("server") is None


async def test_many_at_once_and_two_teams(tmp_path: Path) -> None:
    """200 concurrent requests of two teams: each gets its own account's answer, and nobody another's."""
    async with prepared(tmp_path) as (stack, _), serving(stack) as where:
        accounts = [(stack.account, stack.auth), (stack.seeded.other_account, stack.other_auth)]

        async def one(i: int) -> tuple[int, int]:
            account, auth = accounts[i % 2]
            foreign = accounts[1 - i % 2][0]
            async with client(where.listen[1]) as c:
                own = await c.ask("GET", f"/{account}/fans/active", f"Authorization: {auth['Authorization']}")
                other = await c.ask("GET", f"/{foreign}/fans/active", f"Authorization: {auth['Authorization']}")
                return own.status, other.status

        assert set(await asyncio.gather(*(one(i) for i in range(200)))) == {(200, 404)}


async def test_rules_follow_their_files_under_traffic(tmp_path: Path) -> None:
    """A changed rule is in use for the next requests; a broken one changes nothing; no request fails meanwhile."""
    async with prepared(tmp_path) as (stack, _), serving(stack) as where:
        auth = f"Authorization: {stack.auth['Authorization']}"
        file = stack.rules_dir / "fans.yaml"
        async with client(where.listen[1]) as c:

            async def until(want: bytes) -> None:
                async with asyncio.timeout(30):
                    while True:
                        got = await c.ask("GET", f"/{stack.account}/fans/active", auth)
                        assert got.status == 200
                        if want in got.body:
                            return
                        await asyncio.sleep(0.02)

            await until(b'"lastReplyAt"')
            file.write_text(RULE.replace("lastReplyAt:", "repliedAt:"))
            await until(b'"repliedAt"')
            file.write_text(RULE + "\n- id: broken")
            async with asyncio.timeout(30):
                while json.loads((await c.ask("GET", "/_ofapi/health")).body)["status"] == "ok":
                    await asyncio.sleep(0.05)
            await until(b'"repliedAt"')


async def test_mitmweb_over_the_real_gateway(tmp_path: Path) -> None:
    """`--web` shows the one-line comment and the edits with their origin."""
    async with prepared(tmp_path) as (stack, _), serving(stack, web=True) as where:
        assert where.web
        assert where.web_password
        async with client(where.listen[1]) as c:
            auth = f"Authorization: {stack.auth['Authorization']}"
            assert (await c.ask("GET", f"/{stack.account}/fans/active", auth)).status == 200
        url = f"http://127.0.0.1:{where.web[1]}/flows"
        headers = {"Authorization": f"Bearer {where.web_password}"}
        flows: list[dict[str, Any]] = []
        async with aiohttp.ClientSession() as session, asyncio.timeout(30):
            while not flows or not flows[0]["comment"]:  # it is written once the answer is out
                async with session.get(url, headers=headers) as answer:
                    text = await answer.text()
                flows = json.loads(text)
    assert flows[0]["comment"].startswith("hybrid fans-active · 2 lastReplyAt · upstream ")
    assert flows[0]["comment"].endswith("· 1 credit")
    assert stack.auth["Authorization"].split()[1] not in text


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"upstream": {"ca_file": "nowhere.pem"}}, "ca_file"),
        ({"web": {"password": {"env": "OFAPI_TEST_PLAIN"}}}, "argon2"),
        ({"listen": {"port": 1}, "proxy": {"host": "203.0.113.1", "port": 9}}, "Choose another port"),
    ],
)
async def test_what_keeps_it_from_starting_is_a_sentence(
    change: dict[str, Any], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that is missing, a password that is none, an address that is not ours."""
    monkeypatch.setenv("OFAPI_TEST_PLAIN", "plain")
    async with prepared(tmp_path, **change) as (stack, _):
        with pytest.raises(StartFailed, match=sentence):
            async with serving(stack, web=True):
                pass


async def test_broken_rules_do_not_start(tmp_path: Path) -> None:
    """A gateway without rules does not start, and says where they are wrong."""
    async with prepared(tmp_path) as (stack, _):
        (stack.rules_dir / "bad.yaml").write_text("- id: 5\n")
        with pytest.raises(StartFailed, match=r"bad\.yaml:1"):
            async with serving(stack):
                pass


async def test_mitmdump_loads_the_gateway_and_replays(tmp_path: Path) -> None:
    """`mitmdump -s addons/__init__.py` serves the same; `-n -r` runs today's rules over recorded flows."""
    root = Path(__file__).parents[3]
    mitmdump = str(Path(sys.executable).with_name("mitmdump"))
    recorded, replayed = tmp_path / "live.flows", tmp_path / "replayed.flows"
    async with prepared(tmp_path) as (stack, up), AsyncExitStack() as ends:
        held = ends.enter_context(FreePorts())
        common = ["-q", "-s", str(root / "addons" / "__init__.py"), "--set", f"ofapi_config={stack.config_path}"]
        common += ["--set", f"confdir={tmp_path / 'ca'}"]
        port = held.take("127.0.0.1")
        args = [*common, "--mode", f"reverse:http://placeholder@127.0.0.1:{port}", "-w", str(recorded)]
        process = await asyncio.create_subprocess_exec(mitmdump, *args, cwd=tmp_path, env={**os.environ})
        try:
            got = await _ask_when_up(port, f"/{stack.account}/fans/active", stack.auth["Authorization"])
        finally:
            process.terminate()
            await process.wait()
        assert b'"lastReplyAt":null' in got
        asked = len(up.seen)
        file = stack.rules_dir / "fans.yaml"
        file.write_text(RULE.replace("lastReplyAt:", "repliedAt:"))
        args = [*common, "-n", "-r", str(recorded), "-w", str(replayed)]
        process = await asyncio.create_subprocess_exec(mitmdump, *args, cwd=tmp_path)
        assert await asyncio.wait_for(process.wait(), 60) == 0
        assert len(up.seen) == asked
    assert b"repliedAt" in replayed.read_bytes()
    for secret in (stack.auth["Authorization"].split()[1], "Set-Cookie"):
        assert secret.encode() not in recorded.read_bytes()


async def _ask_when_up(port: int, path: str, key: str) -> bytes:
    async with asyncio.timeout(60):
        while True:
            try:
                async with client(port) as c:
                    return (await c.ask("GET", path, f"Authorization: {key}")).body
            except OSError:
                await asyncio.sleep(0.1)
