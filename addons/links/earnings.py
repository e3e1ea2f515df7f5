"""What one fan brought each link, as the rows that reports are made of. Pure functions; times aware UTC, money cents.

A real link is named by the digits of its row's id, a smart link by its ULID. A fan belongs to a smart link from the
first subscription through one of its pool links that a click went before (contract 6.8); a pool link's revenue before
that is the pool link's alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

from addons.links.attribution import Claim, LinkKey, Payment, Share, attribute_fan
from addons.links.cohorts import Spend, window_sums

_EPOCH = date(1970, 1, 1).toordinal()
COLUMN_OF_WINDOW = {"48h": "48h", "7d": "7d", "14d": "14d", "30d": "30d", "all_time": "all"}


@dataclass(frozen=True, slots=True)
class Clicked:
    """The click that a fan's subscription through a smart link is credited to."""

    click_id: str
    is_bot: bool = False
    is_duplicate: bool = False


@dataclass(frozen=True, slots=True)
class Source:
    """A real link as attribution names it. `smart`: the smart link whose pool it is in."""

    ref: str
    kind: str
    smart: str | None = None


@dataclass(frozen=True, slots=True)
class SmartSince:
    """From when on a fan belongs to a smart link, and by which click."""

    since: datetime
    click: Clicked


@dataclass(slots=True)
class History:
    """What is known of one fan. `messages`: (id, time) of what the fan sent. `smart`: by smart link."""

    fan_id: int
    claims: list[Claim] = field(default_factory=list)
    payments: list[Payment] = field(default_factory=list)
    messages: list[tuple[int, datetime]] = field(default_factory=list)
    smart: dict[str, SmartSince] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Fact:
    """A conversion: `type` and `fact` name it among those of one fan and smart link."""

    smart: str
    type: str
    fact: str
    at: datetime
    net: int
    gross: int
    click: Clicked


@dataclass(slots=True)
class FanEarnings:
    """By ref: `fans` the row of `link_fans` without keys. By (ref, day): net and gross. Conversions of smart links."""

    fans: dict[str, dict[str, Any]] = field(default_factory=dict)
    days: dict[tuple[str, int], tuple[int, int]] = field(default_factory=dict)
    facts: list[Fact] = field(default_factory=list)


def day_of(at: datetime) -> int:
    """Number of the UTC day since 1970."""
    return at.astimezone(UTC).toordinal() - _EPOCH


def work_out(history: History, sources: Mapping[LinkKey, Source]) -> FanEarnings:
    """Everything that the reports need of one fan. `sources` names every link of the fan's claims."""
    out = FanEarnings()
    by_smart: dict[str, list[Share]] = {smart: [] for smart in history.smart}
    undone: dict[str, list[Payment]] = {smart: [] for smart in history.smart}
    lost = dict.fromkeys(history.smart, 0)
    trial = dict.fromkeys(history.smart, False)
    for key, earned in attribute_fan(history.claims, history.payments).items():
        source = sources[key]
        _put(out, source.ref, earned.since, earned.shares, earned.chargebacks, is_trial=source.kind == "trial")
        since = history.smart.get(source.smart or "")
        if source.smart is not None and since is not None:
            by_smart[source.smart] += [s for s in earned.shares if s.payment.at >= since.since]
            undone[source.smart] += [p for p in earned.undone if p.at >= since.since]
            lost[source.smart] += earned.chargebacks
            trial[source.smart] |= source.kind == "trial"
    for smart, since in history.smart.items():
        sent = [m for m in history.messages if m[1] >= since.since]
        _put(out, smart, since.since, by_smart[smart], lost[smart], is_trial=trial[smart])
        out.fans[smart] |= {"click_id": since.click.click_id, "messages": len(sent)}
        out.facts += _paid(smart, since, by_smart[smart], undone[smart]) + _facts(smart, since, sent)
    return out


def _put(
    out: FanEarnings, ref: str, since: datetime, shares: Sequence[Share], chargebacks: int, *, is_trial: bool
) -> None:
    row: dict[str, Any] = {"since": since, "day": day_of(since), "click_id": None, "is_trial": is_trial, "messages": 0}
    for basis in ("net", "gross"):
        sums = window_sums(since, [Spend(s.payment.at, getattr(s, basis)) for s in shares])
        row |= {f"{basis}_{column}": sums[name] for name, column in COLUMN_OF_WINDOW.items()}
    row["tips_net"] = sum(s.net for s in shares if s.payment.is_tip)
    row["chargebacks"] = chargebacks
    out.fans[ref] = row
    for share in shares:
        at = (ref, day_of(share.payment.at))
        net, gross = out.days.get(at, (0, 0))
        out.days[at] = (net + share.net, gross + share.gross)


def _paid(smart: str, since: SmartSince, shares: Sequence[Share], undone: Sequence[Payment]) -> list[Fact]:
    """Each payment once, with what its links in the pool earned together: nothing where the money went back."""
    sums = {p.id: (p.at, 0, 0) for p in undone}
    for s in shares:
        _, net, gross = sums.get(s.payment.id, (s.payment.at, 0, 0))
        sums[s.payment.id] = (s.payment.at, net + s.net, gross + s.gross)
    return [Fact(smart, "new_transaction", number, *paid, since.click) for number, paid in sums.items()]


def _facts(smart: str, since: SmartSince, sent: Sequence[tuple[int, datetime]]) -> list[Fact]:
    """Each once: subscribing, each message, the first and the third message."""
    found = [Fact(smart, "new_subscriber", "", since.since, 0, 0, since.click)]
    ordered = sorted(sent, key=lambda m: (m[1], m[0]))
    found += [Fact(smart, "message_received", str(i), at, 0, 0, since.click) for i, at in ordered]
    for n in (1, 3):
        if len(ordered) >= n:
            plural = "s" if n > 1 else ""
            found.append(Fact(smart, f"fan_sent_{n}_message{plural}", "", ordered[n - 1][1], 0, 0, since.click))
    return found
