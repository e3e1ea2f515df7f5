"""Ground truth: who came through which link, what they paid, and what of it counts for the link.

A claim opens the period that it started and the renewals that follow without a gap. A transaction counts for every link whose
open periods hold its time, in equal shares; refunds and chargebacks (status `undo`) count nothing.
"""

from __future__ import annotations

from datetime import datetime
from fractions import Fraction
from typing import Any

from scripts.simulator.model import Claim, Creator, Link, Span, Transaction
from scripts.simulator.routes.links import chain
from scripts.simulator.times import iso

Period = tuple[datetime, datetime]


def periods(spans: list[Span], span_id: int) -> Period | None:
    run: list[Span] = chain(spans, span_id)
    return (run[0].start, run[-1].end) if run else None


def windows(who: Creator) -> dict[int, dict[str, list[Period]]]:
    """Fan id -> link key -> the periods that the fan was subscribed through the link."""
    out: dict[int, dict[str, list[Period]]] = {}
    for link in who.links.values():
        for claim in link.claims:
            period = periods(who.fans[claim.fan_id].spans, claim.span_id)
            if period:
                out.setdefault(claim.fan_id, {}).setdefault(link.key, []).append(period)
    return out


def shares(who: Creator) -> dict[str, list[tuple[Transaction, int]]]:
    """Link key -> (transaction, number of links that share it), every attributed transaction, undone ones too."""
    found: dict[str, list[tuple[Transaction, int]]] = {key: [] for key in who.links}
    by_fan = windows(who)
    for row in who.transactions:
        links = [
            key
            for key, spans in by_fan.get(row.fan_id, {}).items()
            if any(start <= row.created < end for start, end in spans)
        ]
        for key in links:
            found[key].append((row, len(links)))
    return found


def _claim_view(who: Creator, claim: Claim) -> dict[str, Any]:
    fan = who.fans[claim.fan_id]
    start, end = periods(fan.spans, claim.span_id) or (None, None)
    return {"fan_id": fan.id, "at": iso(claim.at), "deleted": fan.deleted, "start": iso(start), "end": iso(end)}


def link_view(who: Creator, link: Link, rows: list[tuple[Transaction, int]], now: datetime) -> dict[str, Any]:
    kept = [(row, split) for row, split in rows if row.status != "undo"]
    net = sum((Fraction(row.net_cents, split) for row, split in kept), Fraction(0))
    back = sum((Fraction(row.net_cents, split) for row, split in rows if row.chargeback_at), Fraction(0))
    by_fan: dict[int, Fraction] = {}
    for row, split in kept:
        by_fan[row.fan_id] = by_fan.get(row.fan_id, Fraction(0)) + Fraction(row.net_cents, split)
    return {
        "id": link.id,
        "kind": link.kind,
        "code": link.code,
        "name": link.name,
        "clicks": link.clicks,
        "subscribers": claimed_now(link, now),
        "claims": [_claim_view(who, claim) for claim in link.claims],
        "revenue_net_cents": str(net),
        "revenue_net_cents_rounded": round(net),
        "chargebacks_net_cents": str(back),
        "spenders": sum(value > 0 for value in by_fan.values()),
        "by_fan_net_cents": {str(fan): str(value) for fan, value in sorted(by_fan.items())},
        "transactions": [
            {
                "id": row.id,
                "fan_id": row.fan_id,
                "at": iso(row.created),
                "net_cents": row.net_cents,
                "split": split,
                "status": row.status,
                "chargeback": row.chargeback_at is not None,
            }
            for row, split in rows
        ],
    }


def claimed_now(link: Link, now: datetime) -> int:
    return sum(claim.at <= now for claim in link.claims)


class Truth:
    """What the simulator knows about one world, for tests to compare with."""

    def __init__(self, world: Any) -> None:
        self._world = world

    def _who(self, creator: int | str | Creator) -> Creator:
        if isinstance(creator, Creator):
            return creator
        creators: list[Creator] = self._world.creators
        return next(one for one in creators if creator in {one.id, one.username, str(one.id)})

    def links(self, creator: int | str | Creator) -> dict[str, dict[str, Any]]:
        """`campaign:ID` / `trial:ID` -> claims with their periods, transactions with their split, exact net revenue as a fraction of cents."""
        who = self._who(creator)
        found = shares(who)
        return {key: link_view(who, link, found[key], self._world.now()) for key, link in who.links.items()}

    def last_reply(self, creator: int | str | Creator) -> dict[int, str | None]:
        """Fan id -> the time of the fan's newest message to this creator (None: never wrote)."""
        who = self._who(creator)
        newest: dict[int, str | None] = dict.fromkeys(who.fans)
        for number, chat in who.chats.items():
            times = [row.created for row in chat.messages if not row.mine]
            newest[number] = iso(max(times)) if times else None
        return newest

    def transactions(self, creator: int | str | Creator) -> list[dict[str, Any]]:
        """Every transaction with its true kind (`""`: the description does not tell)."""
        return [
            {
                "id": row.id,
                "fan_id": row.fan_id,
                "kind": row.kind,
                "description": row.description,
                "amount_cents": row.amount_cents,
                "net_cents": row.net_cents,
                "at": iso(row.created),
                "status": row.status,
                "tips_source": row.tips_source,
                "chargeback_at": iso(row.chargeback_at),
            }
            for row in self._who(creator).transactions
        ]

    def summary(self) -> dict[str, Any]:
        return {
            "seed": self._world.options.seed,
            "now": iso(self._world.now()),
            "base": iso(self._world.base),
            "creators": [
                {
                    "id": who.id,
                    "username": who.username,
                    "fans": sum(not fan.deleted for fan in who.fans.values()),
                    "chats": len(who.chats),
                    "messages": len(who.messages),
                    "transactions": len(who.transactions),
                    "campaigns": len(who.link_list("campaign")),
                    "trials": len(who.link_list("trial")),
                    "posts": len(who.posts),
                    "media": len(who.vault),
                }
                for who in self._world.creators
            ],
        }
