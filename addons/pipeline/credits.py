"""Credits: what a request costs (contract 3), reserved when it is admitted, durable before its answer goes out.

A debit is appended to the journal, which survives the process and books it in the ledger a moment later, many in one
transaction. The balance that counts is the store's; what this process has not booked yet is subtracted from the last
balance it saw. Several processes can together overdraw a team by what they have in flight.

While neither journal nor store takes writes (a full disk), answers go out all the same: debits are held in memory, the
health report says so, and they are written as soon as one of the two takes them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Protocol

import structlog

from addons.pipeline.errors import InsufficientCredits
from addons.pipeline.patience import Shared
from ofapi_store.errors import StoreError, StoreUnavailable

if TYPE_CHECKING:
    from addons.config.serving import Credits as CreditConfig

log = structlog.get_logger(__name__)

FRESH_S = 1.0
WAIT_S = 1.0  # longest wait for the store where an older balance will do
_RETRY_S = (0.05, 0.25)
HELD_RETRY_S = 1.0


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
    """Credits of one request. `written` is done once the debit is durable; None: it is, or there is nothing to write."""

    debit: Debit
    written: asyncio.Task[None] | None = None
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


class Journal(Protocol):
    """Where debits are durable at once. `bookings` is odd while it books; `on_booked(credits, balances)` follows."""

    bookings: int
    on_booked: Callable[[Mapping[str, int], Mapping[str, int]], None] | None

    def append(self, debit: Debit) -> None:
        """Raises OSError."""

    async def flush(self) -> None:
        """Books all that was appended."""


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
    """The credits of all teams that this process serves.

    Without a journal, and while it cannot be written (a full disk), each debit is a write to the store.
    """

    read_balance: ReadBalance
    write_debits: WriteDebits
    journal: Journal | None = None
    clock: Callable[[], float] = time.monotonic
    _known: dict[str, _Known] = field(default_factory=dict)
    _writing: set[asyncio.Task[None]] = field(default_factory=set)
    _held: dict[tuple[str, str, str, str], Debit] = field(default_factory=dict)
    _carrier: asyncio.Task[None] | None = None
    _reads: Shared[str, _Known] = field(default_factory=Shared)

    def __post_init__(self) -> None:
        if self.journal is not None:
            self.journal.on_booked = self._booked

    async def balance(self, team_id: str) -> int:
        """What the team has left, at most a second old but for debits of other processes."""
        known = await self._look(team_id)
        return known.balance - known.unwritten

    async def reread(self, team_id: str) -> int:
        """The same, after a debit that was booked past this meter: what answers say of the balance is from now on right."""
        if (known := self._known.get(team_id)) is not None:
            known.at = float("-inf")
        return await self.balance(team_id)

    def last_balance(self, team_id: str) -> int:
        """The same without a look at the store; 0 for a team never seen."""
        known = self._known.get(team_id)
        return known.balance - known.unwritten if known else 0

    async def reserve(self, debit: Debit) -> Reservation:
        """Take credits, or raise InsufficientCredits. `settle` waits until they are durable."""
        known = await self._look(debit.team_id)
        left = known.balance - known.unwritten
        if debit.credits > left and debit.credits > 0:
            raise InsufficientCredits(debit.credits, max(0, left))
        reservation = Reservation(debit)
        if debit.credits:
            reservation.written = self._write(debit)
        return reservation

    async def settle(self, reservation: Reservation) -> None:
        """Wait until the debit is durable, or held because nothing takes it."""
        if reservation.written is not None:
            await asyncio.shield(reservation.written)

    def refund(self, reservation: Reservation, credits: int | None = None) -> None:
        """Give back some or all of a reservation; durable soon after."""
        amount = reservation.used if credits is None else min(credits, reservation.used)
        if amount <= 0:
            return
        reservation.refunded += amount
        d = reservation.debit
        whole = reservation.used == 0
        self._write(Debit(d.team_id, d.account_id, d.endpoint, -amount, d.credit_type, -d.requests if whole else 0))

    def taken(self, team_id: str, credits: int) -> None:
        """Others took these credits in the store (negative: gave back): the balance that is shown does not lag behind."""
        if (known := self._known.get(team_id)) is not None:
            known.balance -= credits

    async def flush(self) -> None:
        """Book all debits, so that the ledger holds what was answered up to now. Raises StoreError."""
        while self._writing:
            await asyncio.wait(self._writing)
        if self._held and not await self._write_held():
            raise StoreUnavailable("credits of answered requests cannot be written; see the log")
        if self.journal is not None:
            await self.journal.flush()

    async def close(self) -> None:
        """As `flush`, and nothing runs afterwards."""
        try:
            await self.flush()
        finally:
            if self._carrier is not None:
                self._carrier.cancel()

    async def health(self) -> str | None:
        """Why the service is degraded, if it is: debits are held in memory."""
        if not self._held:
            return None
        held = sum(debit.credits for debit in self._held.values())
        return f"{held} credits of answered requests are held in memory: neither `credits.spool_dir` nor the store takes writes"

    async def _look(self, team_id: str) -> _Known:
        known = self._known.get(team_id)
        if known is not None and self.clock() - known.at <= FRESH_S:
            return known
        try:
            return await self._reads.get(team_id, lambda: self._read(team_id), WAIT_S if known is not None else None)
        except StoreError as e:
            if known is None:
                raise
            log.warning("balance not read, counting on from the last one", error=type(e).__name__)
            known.at = self.clock()
            return known

    async def _read(self, team_id: str) -> _Known:
        before = self._bookings()
        balance = await self.read_balance(team_id)
        known = self._known.setdefault(team_id, _Known(balance, self.clock()))
        settled = before == self._bookings() and before % 2 == 0 and not self._writing
        if settled:  # else what was read may or may not hold the batch under way, whose end brings the balance
            known.balance, known.at = balance, self.clock()
        return known

    def _bookings(self) -> int:
        return self.journal.bookings if self.journal is not None else 0

    def _write(self, debit: Debit) -> asyncio.Task[None] | None:
        self._known.setdefault(debit.team_id, _Known(0, 0.0)).unwritten += debit.credits
        if self._held:  # neither takes writes: nobody waits for that again
            self._hold(debit)
            return None
        if self._journalled(debit):
            return None
        task = asyncio.create_task(self._write_directly(debit), name="credits")
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)
        return task

    async def _write_directly(self, debit: Debit) -> None:
        try:
            balances = await self._retried(debit)
        except Exception as e:
            log.error("credits held in memory: nothing takes them", error=f"{type(e).__name__}: {e}")
            self._hold(debit)
        else:
            self._booked({debit.team_id: debit.credits}, balances)

    def _journalled(self, debit: Debit) -> bool:
        if self.journal is None:
            return False
        try:
            self.journal.append(debit)
        except OSError as e:
            log.warning("credit journal cannot be written", error=str(e))
            return False
        return True

    def _hold(self, debit: Debit) -> None:
        key = (debit.team_id, debit.account_id, debit.endpoint, debit.credit_type)
        before = self._held.get(key)
        if before is not None:
            both = (before.credits + debit.credits, before.requests + debit.requests)
            debit = replace(debit, credits=both[0], requests=both[1])
        self._held[key] = debit
        if self._carrier is None or self._carrier.done():
            self._carrier = asyncio.create_task(self._carry(), name="held credits")

    async def _carry(self) -> None:
        while self._held:
            await asyncio.sleep(HELD_RETRY_S)
            await self._write_held()

    async def _write_held(self) -> bool:
        """Whether all that was held is durable now."""
        while self._held:
            debit = self._held.pop(next(iter(self._held)))
            if self._journalled(debit):
                continue
            try:
                balances = await self.write_debits([debit])
            except Exception as e:
                log.warning("credits still held", error=f"{type(e).__name__}: {e}")
                self._hold(debit)
                return False
            self._booked({debit.team_id: debit.credits}, balances)
        return True

    async def _retried(self, debit: Debit) -> Mapping[str, int]:
        for wait_s in _RETRY_S:
            try:
                return await self.write_debits([debit])
            except Exception as e:
                log.warning("credits not written yet", error=f"{type(e).__name__}: {e}")
                await asyncio.sleep(wait_s)
        return await self.write_debits([debit])

    def _booked(self, credits: Mapping[str, int], balances: Mapping[str, int]) -> None:
        for team, amount in credits.items():
            known = self._known.setdefault(team, _Known(0, 0.0))
            known.unwritten -= amount
            if team in balances:
                known.balance, known.at = balances[team], self.clock()
