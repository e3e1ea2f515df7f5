"""Tracking and trial links, and the subscriptions that fans take through them."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from scripts.simulator.generate.people import DAYS_BACK
from scripts.simulator.model import Claim, Creator, Fan, Link, Span

if TYPE_CHECKING:
    from scripts.simulator.world import Options

PLACES = [
    "Reddit",
    "Twitter",
    "Instagram",
    "TikTok",
    "Telegram",
    "Newsletter",
    "Podcast",
    "Forum",
    "Banner",
    "Shoutout",
]
TRIAL_DAYS = (1, 3, 7, 14, 30)


def make_links(who: Creator, options: Options, rng: random.Random, base: datetime) -> None:
    number = who.id % 1_000_000 * 10
    for position in range(options.campaigns + options.trials):
        trial = position >= options.campaigns
        number += rng.randrange(1, 60)
        created = base - timedelta(days=rng.randrange(10, DAYS_BACK), seconds=rng.randrange(86_400))
        link = Link(
            id=number,
            kind="trial" if trial else "campaign",
            code=f"{rng.getrandbits(60):015x}" if trial else str(position + 1),
            name=f"{rng.choice(PLACES)} {position + 1}",
            created=created,
            ends=created + timedelta(days=30) if trial and rng.random() < 0.4 else None,
            days=rng.choice(TRIAL_DAYS) if trial else 0,
            limit=rng.choice((0, 10, 50, 100)) if trial else 0,
            deleted=not trial and rng.random() < 0.05,
        )
        link.finished = link.ends is not None and link.ends < base
        who.links[link.key] = link


def add_span(who: Creator, fan: Fan, start: datetime, *, days: int, price: int, action: str, via: Link | None) -> Span:
    """Add a subscription period and, when it came through a link, the claim of that link."""
    number = fan.id * 100 + len(fan.spans)
    span = Span(number, start, start + timedelta(days=days), price, who.price_cents, action, via.key if via else None)
    fan.spans.append(span)
    if via:
        via.claims.append(Claim(number, fan.id, start, number))
        via.clicks += 1
    return span


def _pick(pool: list[Link], when: datetime, rng: random.Random) -> Link | None:
    """A random link that exists at that time; a few tries, else none."""
    for _ in range(4):
        link = rng.choice(pool) if pool else None
        if link and link.created < when and (link.ends is None or when < link.ends):
            return link
    return None


def subscribe_all(who: Creator, rng: random.Random, base: datetime) -> None:
    """Histories with trials, renewals, gaps, returns through a second link, and links claimed while subscribed."""
    pool = list(who.links.values())
    for fan in who.fans.values():
        when = base - timedelta(days=rng.random() ** 1.5 * (DAYS_BACK - 5) + 0.2)
        when = when.replace(microsecond=0)
        for _ in range(1 + (rng.random() < 0.15)):
            when = _chain(who, fan, when, pool, rng=rng, base=base)
            when += timedelta(days=rng.randrange(5, 60), seconds=rng.randrange(86_400))
            if when > base - timedelta(days=1):
                break
        fan.spans.sort(key=lambda span: (span.start, span.id))
    for link in pool:
        link.clicks += len(link.claims) * rng.randrange(2, 9) + rng.randrange(20)
        link.claims.sort(key=lambda claim: (claim.at, claim.id), reverse=True)


def _chain(who: Creator, fan: Fan, when: datetime, pool: list[Link], *, rng: random.Random, base: datetime) -> datetime:
    """One unbroken run of periods from `when` on; returns its end."""
    via = _pick(pool, when, rng) if rng.random() < 0.6 else None
    trial = via is not None and via.kind == "trial"
    days = via.days if via and trial else 30
    span = add_span(who, fan, when, days=days, price=0 if trial else who.price_cents, action="subscribe", via=via)
    renew = 0.5 if trial else 0.8
    while span.end < base and rng.random() < renew:
        stacked = _pick(pool, span.end, rng) if rng.random() < 0.08 else None
        if stacked and stacked.kind == "campaign":
            early = span.end - timedelta(days=min(days, 3) / 2)
            span = add_span(
                who, fan, early.replace(microsecond=0), days=30, price=who.price_cents, action="subscribe", via=stacked
            )
        else:
            span = add_span(who, fan, span.end, days=30, price=who.price_cents, action="prolong", via=None)
        days, renew = 30, 0.8
    return span.end


def shared_links(creators: list[Creator], options: Options, base: datetime) -> None:
    """Each creator gets access to a few links of the others and of two outsiders."""
    for position, who in enumerate(creators):
        rng = random.Random(f"{options.seed}:{position}:shared")
        owners = [(other.id, other.username, other.name) for other in creators if other is not who]
        owners += [(77_000_001 + n, f"partner{n + 1}", f"Partner {n + 1}") for n in range(2)]
        for number in range(12):
            owner = owners[number % len(owners)]
            trial = number % 3 == 2
            link = Link(
                id=5_000_000 + position * 1_000 + number,
                kind="trial" if trial else "campaign",
                code=f"{rng.getrandbits(60):015x}" if trial else str(number + 1),
                name=f"Shared {number + 1}",
                created=base - timedelta(days=rng.randrange(5, 200)),
                ends=None,
                clicks=rng.randrange(500),
                days=7 if trial else 0,
                owner={"id": owner[0], "username": owner[1], "name": owner[2]},
            )
            who.shared[link.key] = link
