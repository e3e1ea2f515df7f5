"""Credits for bytes (contract 3): 3 per decimal MB, at least 1 for a transfer that is not empty."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from addons.pipeline.credits import Debit
from addons.pipeline.errors import InsufficientCredits

if TYPE_CHECKING:
    from addons.pipeline.credits import Meter, Reservation

MEGABYTE = 1_000_000


def price(size: int, per_megabyte: int) -> int:
    """Credits for `size` bytes; every started share of a megabyte that costs a credit counts."""
    return max(1, -(-size * per_megabyte // MEGABYTE)) if size > 0 and per_megabyte else 0


@dataclass(frozen=True, slots=True)
class Payer:
    """Who pays, and under which name it is booked."""

    team_id: str
    account_id: str
    endpoint: str


class Charge:
    """One transfer's credits: reserved before the first byte, settled for the bytes that were sent.

    Without a payer (a regular proxy's client, a background fill) it costs nothing.
    """

    def __init__(self, meter: Meter | None, payer: Payer | None, per_megabyte: int) -> None:
        self._meter = meter if payer is not None else None
        self._payer = payer
        self._rate = per_megabyte
        self._held: list[Reservation] = []

    @property
    def held(self) -> int:
        """Credits that are taken at the moment."""
        return sum(r.used for r in self._held)

    async def reserve(self, size: int | None) -> None:
        """Hold what `size` bytes cost (None: unknown, the least). Raises InsufficientCredits."""
        due, held = price(1 if size is None else size, self._rate), self.held
        try:
            await self._take(due - held)
        except InsufficientCredits as e:
            raise InsufficientCredits(due, e.balance + held) from e
        self._give_back(due)

    async def settle(self, sent: int) -> int:
        """Give back what was not sent, or take what more was. Credits that the transfer cost."""
        due = price(sent, self._rate)
        try:
            await self._take(due - self.held)
        except InsufficientCredits:
            due = self.held  # the length was not announced: what is out cannot be called back
        self._give_back(due)
        if self._meter is not None:
            for reservation in self._held:
                await self._meter.settle(reservation)
        return self.held

    def _give_back(self, due: int) -> None:
        for reservation in reversed(self._held):
            if self._meter is not None and self.held > due:
                self._meter.refund(reservation, min(reservation.used, self.held - due))

    async def _take(self, credits: int) -> None:
        if credits <= 0 or self._meter is None or self._payer is None:
            return
        p = self._payer
        debit = Debit(p.team_id, p.account_id, p.endpoint, credits, requests=0 if self._held else 1)
        self._held.append(await self._meter.reserve(debit))
