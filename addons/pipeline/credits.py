"""Credits: what a request costs (contract 3), reserved when it is admitted, durable before its answer goes out.

The debit is written while upstream works: as soon as one exchange needs its debit to be durable, or after 3 ms, all that
wait are written in one transaction, so that a busy second costs a few commits. The balance that counts is the store's; what this process has not written yet is
subtracted from the last balance it saw. Several processes can together overdraw a team by what they have in flight.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

import structlog

from addons.pipeline.errors import ApiError, InsufficientCredits

if TYPE_CHECKING:
    from addons.config.serving import Credits as CreditConfig

log = structlog.get_logger(__name__)

FRESH_S = 1.0
GATHER_S = 0.003
_RETRY_S = (0.05, 0.25, 1.0)


@dataclass(frozen=True, slots=True)
class Debit:
    """What one request takes off a team's balance; negative credits give back."""

    team_id: str
    account_id: str
    endpoint: str
    credits: int
    credit_type: str = "request"
    requests: int = 1


@dataclass(slots=True)
class Reservation:
    """Credits of one request. `written` is done once the debit is durable; None: there is nothing to write."""

    debit: Debit
    written: asyncio.Future[None] | None = None
    refunded: int = 0

    @property
    def used(self) -> int:
        return self.debit.credits - self.refunded


@dataclass(slots=True)
class _Known:
    balance: int
    at: float
    unwritten: int = 0


ReadBalance = Callable[[str], Awaitable[int]]
WriteDebits = Callable[[Sequence[Debit]], Awaitable[Mapping[str, int]]]
"""Writes all debits in one transaction and returns each team's new balance."""


class Prices:
    """Credits per rule: the rule's own figure, else the longest matching name or glob of config, else the default."""

    def __init__(self, config: CreditConfig) -> None:
        self._default = config.default
        self._operations = sorted(config.operations.items(), key=lambda kv: (-len(kv[0]), kv[0]))
        self._found: dict[str, int] = {}

    def of(self, rule_id: str, own: int | None) -> int:
        if own is not None:
            return own
        price = self._found.get(rule_id)
        if price is None:
            matching = (n for glob, n in self._operations if fnmatchcase(rule_id, glob))
            price = self._found[rule_id] = next(matching, self._default)
        return price


@dataclass
class Meter:
    """The credits of all teams that this process serves."""

    read_balance: ReadBalance
    write_debits: WriteDebits
    clock: Callable[[], float] = time.monotonic
    _known: dict[str, _Known] = field(default_factory=dict)
    _waiting: list[Reservation] = field(default_factory=list)
    _wanted: bool = False
    _timer: asyncio.TimerHandle | None = None
    _task: asyncio.Task[None] | None = None

    async def balance(self, team_id: str) -> int:
        """What the team has left, at most a second old but for debits of other processes."""
        known = await self._look(team_id)
        return known.balance - known.unwritten

    def last_balance(self, team_id: str) -> int:
        """The same without a look at the store; 0 for a team never seen."""
        known = self._known.get(team_id)
        return known.balance - known.unwritten if known else 0

    async def reserve(self, debit: Debit) -> Reservation:
        """Take credits, or raise InsufficientCredits. The write begins within 3 ms; `settle` waits for its end."""
        known = await self._look(debit.team_id)
        left = known.balance - known.unwritten
        if debit.credits > left and debit.credits > 0:
            raise InsufficientCredits(debit.credits, max(0, left))
        reservation = Reservation(debit)
        if debit.credits:
            self._enqueue(reservation)
        return reservation

    async def settle(self, reservation: Reservation) -> None:
        """Wait until the debit is durable. Raises ApiError 503 when the store does not take it."""
        if reservation.written is None:
            return
        if not reservation.written.done():
            self._write_now()
        try:
            await asyncio.shield(reservation.written)
        except Exception as e:
            text = "The gateway's store does not accept writes at the moment. Try again in a few seconds."
            raise ApiError(503, "SERVICE_UNAVAILABLE", text, headers=(("Retry-After", "5"),)) from e

    def refund(self, reservation: Reservation, credits: int | None = None) -> None:
        """Give back some or all of a reservation; durable soon after."""
        amount = reservation.used if credits is None else min(credits, reservation.used)
        if amount <= 0:
            return
        reservation.refunded += amount
        d = reservation.debit
        whole = reservation.used == 0
        back = Debit(d.team_id, d.account_id, d.endpoint, -amount, d.credit_type, -d.requests if whole else 0)
        self._enqueue(Reservation(back))

    async def close(self) -> None:
        """Wait until all debits are written."""
        self._write_now()
        while self._task is not None and not self._task.done():
            await asyncio.wait([self._task])

    async def _look(self, team_id: str) -> _Known:
        known = self._known.get(team_id)
        if known is None or self.clock() - known.at > FRESH_S:
            balance = await self.read_balance(team_id)
            known = self._known.setdefault(team_id, _Known(balance, 0.0))
            known.balance, known.at = balance, self.clock()
        return known

    def _enqueue(self, reservation: Reservation) -> None:
        team = reservation.debit.team_id
        self._known.setdefault(team, _Known(0, 0.0)).unwritten += reservation.debit.credits
        reservation.written = asyncio.get_running_loop().create_future()
        self._waiting.append(reservation)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(GATHER_S, self._write_now)

    def _write_now(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._waiting:
            return
        self._wanted = True
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="credits")

    async def _run(self) -> None:
        while self._wanted and self._waiting:
            batch, self._waiting, self._wanted = self._waiting, [], False
            try:
                balances = await self._write([r.debit for r in batch])
            except Exception as e:
                self._finish(batch, {}, e)
                log.error("credits not written", error=f"{type(e).__name__}: {e}", debits=len(batch))
            else:
                self._finish(batch, balances, None)

    async def _write(self, debits: list[Debit]) -> Mapping[str, int]:
        for wait_s in _RETRY_S:
            try:
                return await self.write_debits(debits)
            except Exception as e:
                log.warning("credits not written yet", error=f"{type(e).__name__}: {e}", debits=len(debits))
                await asyncio.sleep(wait_s)
        return await self.write_debits(debits)

    def _finish(self, batch: list[Reservation], balances: Mapping[str, int], error: Exception | None) -> None:
        for r in batch:
            known = self._known[r.debit.team_id]
            known.unwritten -= r.debit.credits
            if r.debit.team_id in balances:
                known.balance, known.at = balances[r.debit.team_id], self.clock()
            if r.written is not None and not r.written.done():
                if error is None:
                    r.written.set_result(None)
                else:
                    r.written.set_exception(error)
                    r.written.exception()  # read once here: refunds have nobody who waits
