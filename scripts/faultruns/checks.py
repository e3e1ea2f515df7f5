"""After a run: everything that was acknowledged is there, once, and nothing is left half."""

from __future__ import annotations

import asyncio
import csv
import io
import math
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from scripts.faultruns.traffic import whole

if TYPE_CHECKING:
    from scripts.faultruns.receiver import Receiver
    from scripts.faultruns.traffic import Clients

ENDED = ("completed", "failed", "cancelled", "calculating_credits_failed")
PAGE = 1000
DEAREST = 3
"""Most credits that one request of the traffic costs."""


@dataclass(frozen=True, slots=True)
class Check:
    """One promise: what was looked at, and every way in which it did not hold."""

    name: str
    looked_at: int
    wrong: list[str]

    @property
    def held(self) -> bool:
        return not self.wrong


class After:
    """Reads back through the gateway, as a client would."""

    def __init__(self, clients: Clients, receiver: Receiver, balance: int) -> None:
        self._clients = clients
        self._notes = clients.notes
        self._receiver = receiver
        self._before = balance

    async def settled(self, seconds: float) -> None:
        """Wait until exports have ended and deliveries have come, or the time is over."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            exports = await self._exports()
            done = all(one["status"] in ENDED for one in exports.values())
            if done and self._notes.messages <= set(self._delivered()):
                return
            await asyncio.sleep(0.5)

    async def checks(self) -> list[Check]:
        return [
            self._answers(),
            await self._health(),
            await self._tags(),
            await self._clicks(),
            await self._messages(),
            self._deliveries(),
            await self._files_of_exports(),
            self._media(),
            await self._credits(),
        ]

    async def _get(self, path: str) -> Any:
        return whole(path, await self._clients.ask("check", "GET", path)).json()

    def _answers(self) -> Check:
        return Check("answers are as promised", self._notes.total, list(self._notes.wrong))

    async def _health(self) -> Check:
        found = await self._get("/_ofapi/health")
        return Check("healthy in the end", 1, [] if found["status"] == "ok" else [str(found)[:500]])

    async def _tags(self) -> Check:
        found = set((await self._get(f"/api/smart-links/{self._clients.link}/tags"))["data"]["tags"])
        lost = sorted(self._notes.tags - found)
        return Check("tags are stored", len(self._notes.tags), [f"{tag!r} is lost" for tag in lost])

    async def _clicks(self) -> Check:
        stored: Counter[int] = Counter()
        for offset in range(0, 1_000_000, PAGE):
            page = await self._get(f"/api/smart-links/{self._clients.link}/clicks?limit={PAGE}&offset={offset}")
            rows = page["data"]["rows"]
            stored.update(int(row["aff_s1"]) for row in rows if row["aff_s1"])
            if len(rows) < PAGE:
                break
        wrong = [f"click {number} is lost" for number in sorted(self._notes.clicks - set(stored))]
        wrong += [f"click {number} is stored {times} times" for number, times in stored.items() if times > 1]
        return Check("clicks are stored once", len(self._notes.clicks), wrong)

    async def _messages(self) -> Check:
        """What was acknowledged was sent; nothing was sent twice, however often it was tried."""
        sent: Counter[str] = Counter()
        for fan in self._clients.fans:
            path: str | None = f"/api/{self._clients.cluster.stack.account}/chats/{fan}/messages?limit=100"
            while path is not None:
                page = await self._get(path)
                sent.update(_marks(message["text"] for message in page["data"]))
                following = page["_pagination"]["next_page"]
                path = following and "{0.path}?{0.query}".format(urlsplit(following))
        wrong = [f"{text} was acknowledged and not sent" for text in sorted(self._notes.messages - set(sent))]
        wrong += [f"{text} was sent {times} times" for text, times in sent.items() if times > 1]
        return Check("messages are sent once", len(self._notes.messages), wrong)

    def _delivered(self) -> Counter[str]:
        events = self._receiver.taken.values()
        return Counter(_marks(event["payload"].get("text", "") for event in events))

    def _deliveries(self) -> Check:
        found = self._delivered()
        wrong = [f"{text} was never delivered" for text in sorted(self._notes.messages - set(found))]
        wrong += [f"{text} has {keys} idempotency keys" for text, keys in found.items() if keys > 1]
        return Check("each message gives one event", len(self._notes.messages), wrong)

    async def _exports(self) -> dict[str, Any]:
        found = {}
        for name in self._notes.exports:
            found[name] = (await self._get(f"/api/data-exports/{name}"))["data"]
        return found

    async def _files_of_exports(self) -> Check:
        wrong = []
        exports = await self._exports()
        for name, one in exports.items():
            if one["status"] not in ENDED:
                wrong.append(f"{name} is still {one['status']}")
            if one["status"] != "completed":
                continue
            url = urlsplit(one["download_url"])
            answer = whole(name, await self._clients.ask("check", "GET", f"{url.path}?{url.query}"))
            rows = len(list(csv.reader(io.StringIO(answer.body.decode("utf-8-sig"))))) - 1
            if rows != one["total_rows"]:
                wrong.append(f"{name} has {rows} rows, not {one['total_rows']}")
        return Check("exports end, and their files are whole", len(exports), wrong)

    def _media(self) -> Check:
        files = self._notes.files
        wrong = [f"{name} came in {len(kinds)} different contents" for name, kinds in files.items() if len(kinds) > 1]
        return Check("files are the same each time", len(files), wrong)

    async def _credits(self) -> Check:
        """The balance fell by what answers said, and by no more than what unanswered requests may have cost."""
        told, unanswered = self._notes.used, sum(self._notes.unanswered.values())
        exports = sum(
            one["credit_cost"] or 0 for one in (await self._exports()).values() if one["status"] == "completed"
        )
        answer = whole("whoami", await self._clients.ask("check", "GET", "/api/whoami"))
        spent = self._before - int(answer.headers["x-ofapi-credits-balance"])
        least = told + exports
        most = least + DEAREST * unanswered + math.ceil(self._receiver.times.total() / 100) + 1
        wrong = [] if least <= spent <= most else [f"{spent} credits are booked, {least} to {most} were used"]
        return Check("credits add up", told, wrong)


def _marks(texts: Any) -> list[str]:
    """The numbers of this run's messages."""
    return [text[at : at + 13] for text in texts if text and (at := text.find("fault-")) >= 0]
