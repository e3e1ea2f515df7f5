"""`filter[max_total_spent]` of the fan lists (contract 5.3): OnlyFans has no such filter, so the store says which fans.

Upstream is asked for these alone, and what it says of each is checked against the same filters: the store's figures are
as old as the last time the fan was seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec

from addons.compute.api import Call, Selection, Selector
from ofapi_store import outbox
from ofapi_store.errors import BadValue
from ofapi_store.queries import fans, sync
from ofapi_store.types import parse_time, to_cents

if TYPE_CHECKING:
    from sqlalchemy import Connection

SYNC = "sync.account"
FANS = "fans"
MONTH = timedelta(days=30)
STATES = {"active": True, "expired": False}
MOST_CENTS = 2**62
MOST_MONTHS = 1200


async def spenders(call: Call) -> Selection:
    """Fans who spent at most `filter[max_total_spent]`, by id; the other filters hold as well.

    `args`: `state: active | expired`, where the list is of these alone. Where the fans of the account were never walked to
    the end, a sync of them is queued.
    """
    assert call.account is not None
    wanted, limit = _wanted(call), int(call.query["limit"])
    store, account = call.services.store, call.account.id
    found = await store.aread_slow(
        _read, account, wanted, now=call.now(), limit=limit, offset=call.query.get("offset", 0)
    )
    call.queries.append(f"fans by total_spent: {len(found.ids[:limit])} rows")
    if found.walked_at is None and not found.queued:
        await store.awrite(_queue, account, call.now())
    return Selection(
        ids=found.ids[:limit],
        has_more=len(found.ids) > limit,
        check=_Check(wanted, call.now()),
        source={"is_complete": found.walked_at is not None, "indexed_at": found.walked_at},
        table=FANS,
    )


def _wanted(call: Call) -> fans.Wanted:
    query = call.query
    months, state = query.get("filter[duration]"), call.args.get("state") or query.get("type")
    return fans.Wanted(
        max_total_spent=_cents(query["filter[max_total_spent]"]) or 0,
        min_total_spent=_cents(query.get("filter[total_spent]")) or None,
        min_tips_spent=_cents(query.get("filter[tips]")) or None,
        subscribed_by=call.now() - MONTH * min(months, MOST_MONTHS) if months else None,
        active=STATES.get(str(state)),
        text=query.get("query") or "",
    )


def _cents(dollars: int | Decimal | None) -> int | None:
    """Whole cents, what is below a cent cut off: nobody spends parts of one."""
    return None if dollars is None else int(min(Decimal(dollars) * 100, Decimal(MOST_CENTS)))


@dataclass(frozen=True, slots=True)
class _Found:
    """`ids`: one more than asked for where more follow. `walked_at`: when the last whole walk of the fans began."""

    ids: list[int]
    walked_at: datetime | None
    queued: bool


def _read(conn: Connection, account: str, wanted: fans.Wanted, *, now: datetime, limit: int, offset: int) -> _Found:
    cursor = sync.get(conn, account, FANS)
    walked = cursor.position.get("full_at") if cursor is not None else None
    return _Found(
        fans.matching(conn, account, wanted, now=now, limit=limit + 1, offset=offset),
        parse_time(walked) if walked is not None else None,
        _is_queued(conn, account),
    )


def _is_queued(conn: Connection, account: str) -> bool:
    """Whether a job waits or runs that will walk the fans: a first walk is a whole one."""
    jobs = [outbox.live(conn, SYNC, key) for key in (account, _key(account))]
    return any(job is not None and FANS in (job.payload.get("only") or (FANS,)) for job in jobs)


def _queue(conn: Connection, account: str, now: datetime) -> None:
    payload: dict[str, Any] = {"account": account, "only": [FANS], "full": True}
    outbox.enqueue(conn, SYNC, payload, key=_key(account), now=now)


def _key(account: str) -> str:
    """Not the account alone, under which a sync of other things may wait."""
    return f"{account}:{FANS}"


class _Subscription(msgspec.Struct, rename="camel"):
    """The members of `subscribedOnData` that filters look at."""

    total_summ: Any = None
    tips_summ: Any = None
    subscribe_at: str | None = None
    expired_at: str | None = None


class _Fan(msgspec.Struct, rename="camel"):
    name: str | None = None
    username: str | None = None
    subscribed_on: bool | None = None
    subscribed_on_expired_now: bool | None = None
    subscribed_on_data: _Subscription | None = None


_FAN = msgspec.json.Decoder(type=_Fan)


@dataclass(frozen=True, slots=True)
class _Check:
    """Whether a fan, as upstream has it now, is wanted. None: upstream does not say enough to tell."""

    wanted: fans.Wanted
    now: datetime

    def __call__(self, row: bytes) -> bool | None:
        try:
            fan = _FAN.decode(row)
            answers = list(self._answers(fan, fan.subscribed_on_data or _Subscription()))
        except (msgspec.DecodeError, UnicodeDecodeError, BadValue):
            return None
        return False if False in answers else None if None in answers else True

    def _answers(self, fan: _Fan, said: _Subscription) -> list[bool | None]:
        wanted = self.wanted
        total, tips = _amount(said.total_summ), _amount(said.tips_summ)
        answers = [None if total is None else (wanted.min_total_spent or 0) <= total <= wanted.max_total_spent]
        if wanted.min_tips_spent is not None:
            answers.append(None if tips is None else tips >= wanted.min_tips_spent)
        if wanted.subscribed_by is not None:
            since = said.subscribe_at
            answers.append(None if since is None else parse_time(since) <= wanted.subscribed_by)
        if wanted.active is not None:
            active = self._is_active(fan, said)
            answers.append(None if active is None else active == wanted.active)
        if wanted.text:
            text = wanted.text.lower()
            answers.append(any(text in name.lower() for name in (fan.username, fan.name) if name))
        return answers

    def _is_active(self, fan: _Fan, said: _Subscription) -> bool | None:
        """Upstream leaves one or another of these out, by the list that it answers."""
        if fan.subscribed_on is not None:
            return fan.subscribed_on
        if fan.subscribed_on_expired_now is not None:
            return not fan.subscribed_on_expired_now
        return None if said.expired_at is None else parse_time(said.expired_at) > self.now


def _amount(value: Any) -> int | None:
    return None if value is None else to_cents(value)


SELECTORS: dict[str, Selector] = {"fan_index.spenders": spenders}
