"""Clients of every kind. Each notes what the gateway acknowledged, and judges every answer as it comes."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import json
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import aiohttp

if TYPE_CHECKING:
    from scripts.faultruns.cluster import Cluster

TIMEOUT_S = 25.0
PAUSE_S = 0.02
RECONNECT_S = 0.2
TRIES = 3
POOL_TRIES = 300
LIVE = ("fans/active?limit=20", "chats?limit=10", "transactions?limit=10", "statistics/overview", "tracking-links")
LOCAL = ("whoami", "smart-links", "{account}/stored/tracking-links", "link-tags?type=smart_links", "data-exports")
REFUSALS = frozenset({409, 429, 502, 503, 504})
"""What the gateway may say instead of 2xx while something around it is broken."""
UPSTREAMS_OWN = "ONLYFANS_COM_ERROR"
"""Upstream's error, shown with upstream's status."""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def used(self) -> int:
        """Credits that the answer says it cost."""
        return int(self.headers.get("x-ofapi-credits-used", "0"))


def whole(what: str, answer: Answer | None) -> Answer:
    """The answer, where it must be a good one. Raises RuntimeError."""
    if answer is None or answer.status >= 400:
        raise RuntimeError(f"{what}: {answer and (answer.status, answer.body[:300])}")
    return answer


@dataclass
class Notes:
    """What was acknowledged, and what was wrong."""

    answers: Counter[str] = field(default_factory=Counter)
    unanswered: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    tags: set[str] = field(default_factory=set)
    clicks: set[int] = field(default_factory=set)
    messages: set[str] = field(default_factory=set)
    exports: set[str] = field(default_factory=set)
    files: dict[str, set[str]] = field(default_factory=dict)
    used: int = 0

    @property
    def total(self) -> int:
        return sum(self.answers.values())


class Clients:
    """All of them on one team and account. `link` is the ULID of a smart link, `fans` are ids with a chat."""

    def __init__(self, cluster: Cluster, session: aiohttp.ClientSession) -> None:
        self.cluster = cluster
        self.session = session
        self.notes = Notes()
        self.stopped = asyncio.Event()
        self.link = ""
        self.fans: list[str] = []
        self.media: list[str] = []
        self._key = {"Authorization": f"Bearer {cluster.stack.api_key}"}

    # -- one request -------------------------------------------------------------------------------------------------

    async def ask(
        self,
        who: str,
        method: str,
        path: str,
        *,
        body: Any = None,
        headers: dict[str, str] | None = None,
        local: bool = False,
    ) -> Answer | None:
        """The answer, judged and counted; None where the connection ended first. `local`: no upstream is involved."""
        starts = self.cluster.gateway_starts
        url = f"http://127.0.0.1:{self.cluster.port}{path}"
        try:
            async with self.session.request(
                method, url, json=body, headers={**self._key, **(headers or {})}, allow_redirects=False
            ) as got:
                head = {name.lower(): value for name, value in got.headers.items()}
                answer = Answer(got.status, head, await got.read())
        except (aiohttp.ClientError, TimeoutError, ConnectionError) as problem:
            self.notes.unanswered[who] += 1
            killed = not self.cluster.gateway_up or self.cluster.gateway_starts != starts
            if local and not killed:
                self._wrong(who, f"{method} {path}: no answer ({type(problem).__name__}) although the gateway ran")
            await asyncio.sleep(RECONNECT_S)
            return None
        self.notes.answers[f"{who} {answer.status}"] += 1
        self.notes.used += answer.used
        self._judge(who, f"{method} {path}", answer)
        return answer

    def _judge(self, who: str, what: str, answer: Answer) -> None:
        """Errors are JSON with a code and a sentence, never a 500; a 2xx body of JSON is whole."""
        is_json = "json" in answer.headers.get("content-type", "")
        if answer.status < 400:
            if is_json and answer.body:
                try:
                    answer.json()
                except ValueError:
                    self._wrong(who, f"{what}: {answer.status} with broken JSON, {len(answer.body)} bytes")
            return
        try:
            error = answer.json()
            code, told = error["error"], isinstance(error["message"], str)
        except (ValueError, KeyError, TypeError):
            code, told = "", False
        if not told:
            self._wrong(who, f"{what}: {answer.status} without `error` and `message`: {answer.body[:200]!r}")
        elif answer.status not in REFUSALS and code != UPSTREAMS_OWN:
            self._wrong(who, f"{what}: {answer.status} {answer.body[:200]!r}")

    def _wrong(self, who: str, text: str) -> None:
        self.notes.wrong.append(f"{who}: {text}")

    # -- what they do ------------------------------------------------------------------------------------------------

    async def prepare(self, hook: str) -> None:
        """A webhook, a smart link whose pool is made, fans to write to and files to fetch."""
        account = self.cluster.stack.account
        await self._must("POST", "/api/webhooks", {
            "endpoint_url": hook, "events": ["messages.sent"], "account_scope": "global", "signing_secret": "s"
        })  # fmt: skip
        made = await self._must("POST", "/api/smart-links", {
            "account_id": account, "link_type": "tracking_link", "name": "Faults"
        })  # fmt: skip
        self.link = made.json()["data"]["id"]
        chats = await self._must("GET", f"/{account}/chats?limit=4&skip_users=none")
        self.fans = [str(chat["withUser"]["id"]) for chat in chats.json()["list"]][:4]
        vault = await self._must("GET", f"/{account}/media/vault?limit=10")
        self.media = [one["files"]["thumb"] for one in vault.json()["list"]][:5]
        for _ in range(POOL_TRIES):
            if "/c" in (await self._must("GET", f"/go/{self.link}")).headers["location"]:
                return
            await asyncio.sleep(RECONNECT_S)
        raise RuntimeError("the smart link has no pool")

    async def _must(self, method: str, path: str, body: Any = None) -> Answer:
        return whole(f"{method} {path}", await self.ask("setup", method, path, body=body))

    def actors(self) -> list[Callable[[], Awaitable[None]]]:
        return [
            self._read_live, self._read_live, self._read_local, self._tag, self._send, self._click, self._click,
            self._export, self._fetch,
        ]  # fmt: skip

    async def run(self) -> None:
        """All actors until `stopped`."""
        async with asyncio.TaskGroup() as group:
            for actor in self.actors():
                group.create_task(self._loop(actor))

    async def _loop(self, actor: Callable[[], Awaitable[None]]) -> None:
        while not self.stopped.is_set():
            await actor()
            await asyncio.sleep(PAUSE_S)

    _numbers = itertools.count(1)

    async def _read_live(self) -> None:
        for path in LIVE:
            await self.ask("read", "GET", f"/api/{self.cluster.stack.account}/{path}")

    async def _read_local(self) -> None:
        for path in LOCAL:
            await self.ask("read stored", "GET", f"/api/{path.format(account=self.cluster.stack.account)}", local=True)

    async def _tag(self) -> None:
        tag = f"tag {next(self._numbers)}"
        path = f"/api/smart-links/{self.link}/tags"
        answer = await self.ask("tag", "POST", path, body={"tags": [tag]}, local=True)
        if answer is not None and answer.status < 300:
            self.notes.tags.add(tag)

    async def _send(self) -> None:
        """A message with an idempotency key, tried again as a client does: sent once or not at all."""
        number = next(self._numbers)
        text, path = f"fault-{number:06}-", f"/api/{self.cluster.stack.account}/chats/{self.fans[number % 4]}/messages"
        for _ in range(TRIES):
            headers = {"Idempotency-Key": f"{self.link}-{number}"}
            answer = await self.ask("send", "POST", path, body={"text": text}, headers=headers)
            if answer is not None and answer.status < 300:
                self.notes.messages.add(text)
                return
            if answer is not None and answer.status in (409, 422):
                return
            await asyncio.sleep(0.2)

    async def _click(self) -> None:
        number = next(self._numbers)
        agent = {"User-Agent": f"Mozilla/5.0 (X11; Linux x86_64) Firefox/{number % 200}.0"}
        answer = await self.ask("click", "GET", f"/go/{self.link}?aff_s1={number}", headers=agent, local=True)
        if answer is not None and answer.status == 302:
            self.notes.clicks.add(number)

    async def _export(self) -> None:
        body = {
            "type": "transactions", "file_type": "csv", "start_date": "2020-01-01", "end_date": "2030-01-01",
            "account_ids": [self.cluster.stack.account], "auto_start": True,
        }  # fmt: skip
        answer = await self.ask("export", "POST", "/api/data-exports", body=body, local=True)
        if answer is not None and answer.status < 300:
            self.notes.exports.add(answer.json()["data"]["id"])
        await asyncio.sleep(4)

    async def _fetch(self) -> None:
        url = self.media[next(self._numbers) % len(self.media)]
        path = f"/{self.cluster.stack.account}/media/download/{quote(url, safe='')}"
        answer = await self.ask("fetch", "GET", path)
        if answer is not None and answer.status == 302:
            cached = answer.headers["location"].partition(f":{self.cluster.port}")[2]
            answer = await self.ask("fetch", "GET", cached, local=True)
        if answer is not None and answer.status == 200:
            name = url.partition("?")[0]
            self.notes.files.setdefault(name, set()).add(hashlib.sha256(answer.body).hexdigest())
        await asyncio.sleep(0.2)
