"""Credits for bytes: what is reserved, settled, given back."""

from __future__ import annotations

import pytest

from addons.media.charge import Charge, Payer, price
from addons.pipeline.credits import Debit, Meter
from addons.pipeline.errors import InsufficientCredits


class Bank:
    def __init__(self, balance: int) -> None:
        self.balance = balance
        self.meter = Meter(self.read, self.write)

    async def read(self, team_id: str) -> int:
        return self.balance

    async def write(self, debits: list[Debit]) -> dict[str, int]:
        self.balance -= sum(d.credits for d in debits)
        return {d.team_id: self.balance for d in debits}

    def charge(self) -> Charge:
        return Charge(self.meter, Payer("t", "a", "media-download"), 3)


@pytest.mark.parametrize(
    ("size", "credits"),
    [(0, 0), (1, 1), (333_333, 1), (333_334, 2), (999_999, 3), (1_000_000, 3), (1_000_001, 4), (500_000_000, 1500)],
)
def test_price(size: int, credits: int) -> None:
    """3 per decimal MB, at least 1 for what is not empty (contract 3)."""
    assert price(size, 3) == credits


def test_price_of_free_media() -> None:
    """An operator may set the price to nothing."""
    assert price(10**9, 0) == 0


@pytest.mark.parametrize(("sent", "cost"), [(0, 0), (100, 1), (1_000_000, 3), (2_000_000, 6), (5_000_000, 15)])
async def test_what_was_sent_is_what_is_paid(sent: int, cost: int) -> None:
    """Reserved for 2 MB: less is given back, more is taken."""
    bank = Bank(100)
    charge = bank.charge()
    await charge.reserve(None)
    assert charge.held == 1
    await charge.reserve(2_000_000)
    assert charge.held == 6
    assert await charge.settle(sent) == cost
    await bank.meter.flush()
    assert bank.balance == 100 - cost


async def test_reserving_above_the_balance_fails() -> None:
    """Nothing more is taken than what was held before."""
    bank = Bank(5)
    charge = bank.charge()
    await charge.reserve(None)
    with pytest.raises(InsufficientCredits, match="costs 6 credits and the team has 5"):
        await charge.reserve(2_000_000)
    await charge.settle(0)
    await bank.meter.flush()
    assert bank.balance == 5


async def test_bytes_beyond_the_balance_cannot_be_called_back() -> None:
    """An unannounced length may cost more than is left: the transfer costs what could be taken."""
    bank = Bank(2)
    charge = bank.charge()
    await charge.reserve(None)
    assert await charge.settle(10_000_000) == 1


async def test_an_empty_file_costs_nothing() -> None:
    """What was held for one of unknown size goes back as soon as that is known."""
    bank = Bank(5)
    charge = bank.charge()
    await charge.reserve(None)
    await charge.reserve(0)
    assert charge.held == 0
    await bank.meter.flush()
    assert bank.balance == 5
    assert await charge.settle(0) == 0


async def test_without_a_payer_nothing_is_charged() -> None:
    """Fills and the regular proxy's own clients are free."""
    bank = Bank(5)
    charge = Charge(bank.meter, None, 3)
    await charge.reserve(10**9)
    assert await charge.settle(10**9) == 0
