"""Which link earned which cents (contract 6.8).

A payment counts for a link while the fan is subscribed through it: from `claimed_at` (included) to `ended_at`
(excluded; None is open). Where a fan holds several links at that moment the payment is split equally among them, and
the cents that do not divide go to the links of the smallest key, so that the shares always add up to the payment.
Refunded payments earn nothing; payments charged back earn nothing and are reported apart, as a positive figure.
All figures are integer cents, net unless said otherwise. Pure functions: no store, no clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

type LinkKey = tuple[str, str]  # (kind, link id)
type Outcome = Literal["earned", "refunded", "charged_back"]


@dataclass(frozen=True, slots=True)
class Claim:
    """A span in which one fan is subscribed through one link."""

    link: LinkKey
    claimed_at: datetime
    ended_at: datetime | None = None

    def covers(self, at: datetime) -> bool:
        return self.claimed_at <= at and (self.ended_at is None or at < self.ended_at)


@dataclass(frozen=True, slots=True)
class Payment:
    """One transaction of one fan. `outcome` is what became of it."""

    id: str
    at: datetime
    net: int
    gross: int
    outcome: Outcome = "earned"
    is_tip: bool = False


@dataclass(frozen=True, slots=True)
class Share:
    """The part of one payment that one link earned (or lost to a chargeback)."""

    link: LinkKey
    payment: Payment
    net: int
    gross: int


@dataclass(slots=True)
class LinkEarnings:
    """What one fan brought one link. `since` is the fan's first claim of it; `undone` are payments that went back."""

    since: datetime
    net: int = 0
    gross: int = 0
    tips_net: int = 0
    chargebacks: int = 0
    shares: list[Share] = field(default_factory=list)
    undone: list[Payment] = field(default_factory=list)

    @property
    def is_spender(self) -> bool:
        """A fan spends where what is left after refunds and chargebacks is positive (contract 6.6)."""
        return self.net > 0


def split(cents: int, parts: int) -> list[int]:
    """`cents` in `parts` equal shares that add up exactly; the first ones carry the remainder, also of negative sums."""
    sign = -1 if cents < 0 else 1
    each, rest = divmod(abs(cents), parts)
    return [sign * (each + (1 if i < rest else 0)) for i in range(parts)]


def holders(claims: Iterable[Claim], at: datetime) -> list[LinkKey]:
    """The links through which the fan is subscribed at `at`, each once, in key order."""
    return sorted({c.link for c in claims if c.covers(at)})


def shares_of(payment: Payment, claims: Sequence[Claim]) -> list[Share]:
    """How one payment is divided; empty where the fan was subscribed through no link."""
    links = holders(claims, payment.at)
    if not links:
        return []
    nets, grosses = split(payment.net, len(links)), split(payment.gross, len(links))
    return [Share(link, payment, net, gross) for link, net, gross in zip(links, nets, grosses, strict=True)]


def attribute_fan(claims: Sequence[Claim], payments: Iterable[Payment]) -> dict[LinkKey, LinkEarnings]:
    """All links of one fan with what each earned. Duplicate payments (same id) count once: the last one given wins."""
    earned: dict[LinkKey, LinkEarnings] = {}
    for claim in claims:
        known = earned.get(claim.link)
        if known is None:
            earned[claim.link] = LinkEarnings(claim.claimed_at)
        else:
            known.since = min(known.since, claim.claimed_at)
    for payment in {p.id: p for p in payments}.values():
        for share in shares_of(payment, claims):
            _book(earned[share.link], share)
    return earned


def _book(to: LinkEarnings, share: Share) -> None:
    outcome = share.payment.outcome
    if outcome == "earned":
        to.net += share.net
        to.gross += share.gross
        to.tips_net += share.net if share.payment.is_tip else 0
        to.shares.append(share)
        return
    to.undone.append(share.payment)
    if outcome == "charged_back":
        to.chargebacks += share.net


@dataclass(slots=True)
class LinkTotals:
    """Sums over all fans of one link."""

    subscribers: int = 0
    spenders: int = 0
    net: int = 0
    chargebacks: int = 0


def total(fans: Iterable[Mapping[LinkKey, LinkEarnings]]) -> dict[LinkKey, LinkTotals]:
    """Totals by link over the results of `attribute_fan`, one per fan."""
    out: dict[LinkKey, LinkTotals] = {}
    for by_link in fans:
        for link, earnings in by_link.items():
            to = out.setdefault(link, LinkTotals())
            to.subscribers += 1
            to.spenders += earnings.is_spender
            to.net += earnings.net
            to.chargebacks += earnings.chargebacks
    return out
