"""Debits on their way to the ledger: spooled before the answer goes out, booked in batches."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import orjson

from addons.pipeline.credits import Debit
from addons.spool.writer import Spool
from ofapi_store.queries import credits as ledger
from ofapi_store.queries import spools

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from addons.pipeline.services import Services
    from addons.spool.files import Lines

SUFFIX = ".debits"

OnBooked = Callable[[Mapping[str, int], Mapping[str, int]], None]
"""Called with the credits that were booked of this process's own debits, and with the new balances, by team."""


class DebitSpool:
    """One per process, in `services.parts["debits"]`. `bookings` is odd while a batch is being booked."""

    def __init__(self, services: Services) -> None:
        config = services.config.credits
        self._services = services
        self._spool = Spool(services, config.spool_dir, SUFFIX, config.flush_interval_s, self._store)
        self.on_booked: OnBooked | None = None
        self.bookings = 0
        self.start = self._spool.start
        self.flush = self._spool.flush
        self.close = self._spool.close

    def append(self, debit: Debit) -> None:
        """Returns once the debit survives this process. Raises OSError."""
        d = debit
        at = int(self._services.clock().timestamp())
        line = [d.team_id, d.account_id, d.endpoint, d.credits, d.credit_type, d.requests, at]
        self._spool.append(orjson.dumps(line) + b"\n")

    async def _store(self, lines: Lines) -> None:
        debits = list(_parse(lines.lines))
        self.bookings += 1
        try:
            balances = await self._services.store.awrite(_book, lines, debits, self._services.clock())
        finally:
            self.bookings += 1
        if self.on_booked is None or not self._spool.owns(lines.name):
            return
        booked: dict[str, int] = defaultdict(int)
        for debit in debits:
            booked[debit.team_id] += debit.credits
        self.on_booked(booked, balances)


def _parse(lines: Iterable[bytes]) -> Iterable[ledger.Debit]:
    """A line that is none (a disk gone bad) is left out."""
    for line in lines:
        try:
            team, account, endpoint, credits, kind, requests, at = orjson.loads(line)
            when = datetime.fromtimestamp(at, UTC)
        except (ValueError, TypeError):
            continue
        yield ledger.Debit(team, credits, endpoint, account or None, kind, requests, when)


def _book(conn: Connection, lines: Lines, debits: list[ledger.Debit], now: datetime) -> dict[str, int]:
    """The teams' balances once the lines are booked, now or by an attempt whose answer was lost."""
    if spools.claim(conn, lines.name, lines.start, lines.end, now=now):
        return ledger.charge(conn, debits)
    return {team: ledger.balance(conn, team) for team in {debit.team_id for debit in debits}}


@asynccontextmanager
async def opened(services: Services) -> AsyncIterator[None]:
    """Puts `debits` into `services.parts`; what a killed process left is booked before the block begins."""
    spool = services.parts["debits"] = DebitSpool(services)
    await spool.start()
    try:
        yield
    finally:
        await spool.close()
