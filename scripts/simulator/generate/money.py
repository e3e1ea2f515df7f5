"""Transactions in every form of description, refunds, chargebacks."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from scripts.simulator.model import Creator, Fan, Transaction

if TYPE_CHECKING:
    from scripts.simulator.world import Options

# (kind, tips source, text before the fan's name, weight); kind "" is what the description does not tell
FORMS: tuple[tuple[str, str | None, str, int], ...] = (
    ("tips", "profile", "Tip from", 10),
    ("tips", "chat", "Tip in chat from", 8),
    ("tips", "post_all", "Tip on post from", 4),
    ("tips", "stream", "Tip on stream from", 2),
    ("tips", "story", "TIP FROM", 1),
    ("chat_messages", None, "Payment for message from", 16),
    ("chat_messages", None, "Message from", 6),
    ("post", None, "Post purchase by", 5),
    ("post", None, "Post purchase from", 3),
    ("post", None, "<b>Post</b> from", 2),
    ("stream", None, "Stream from", 2),
    ("", None, "Referral bonus for", 1),
)
WHOLE = (500, 1000, 1500, 2000, 2500, 5000, 10_000)
NINETY = (499, 999, 1499, 1999, 2499, 4999)
ODD = (499, 777, 999, 1234, 1999, 333, 2501, 4999)


def net_of(amount_cents: int) -> int:
    """80 %, the fee rounded half up to the cent."""
    return amount_cents - (amount_cents * 20 + 50) // 100


def describe(text: str, fan: Fan) -> str:
    return f'{text} <a href="https://onlyfans.com/{fan.username}">{fan.name}</a>'


def status_at(when: datetime, base: datetime) -> str:
    return "loading" if base - when < timedelta(days=7) else "done"


def make(
    fan: Fan, kind: str, text: str, amount: int, when: datetime, *, number: str, status: str, source: str | None = None
) -> Transaction:
    if kind:
        fan.sums["subscribes" if kind == "subs" else kind] += amount
    return Transaction(number, fan.id, kind, describe(text, fan), amount, net_of(amount), when, status, source)


def transactions(who: Creator, options: Options, rng: random.Random, base: datetime) -> None:
    """Paid periods first, then purchases and tips up to `options.transactions`; each has its own second."""

    def number() -> str:
        return str(uuid.UUID(int=rng.getrandbits(128), version=4))

    rows = _periods(who, number, base)
    people = [fan for fan in who.fans.values() if rng.random() < 0.6]
    weights = [form[3] for form in FORMS]
    missing = max(options.transactions - len(rows), options.transactions // 4) if people else 0
    for form in rng.choices(FORMS, weights, k=missing):
        fan = people[int(rng.random() ** 2 * len(people))]
        prices = ODD if options.cents else NINETY if fan.deleted else WHOLE
        when = _moment(fan, rng, base)
        row = make(
            fan,
            form[0],
            form[2],
            rng.choice(prices),
            when,
            number=number(),
            status=status_at(when, base),
            source=form[1],
        )
        rows.append(row)
    _spoil(rows, rng, base)
    rows.sort(key=lambda row: (row.created, row.id))
    last = base - timedelta(days=10_000)
    for row in rows:
        last = row.created = max(row.created, last + timedelta(seconds=1))
    rows.reverse()
    who.transactions = rows
    _link_messages(who)


def _periods(who: Creator, number: Callable[[], str], base: datetime) -> list[Transaction]:
    rows = []
    for fan in who.fans.values():
        for span in fan.spans:
            if span.price_cents and span.start <= base:
                text = "Subscription from" if span.action == "subscribe" else "Recurring subscription from"
                facts = {"number": number(), "status": status_at(span.start, base)}
                rows.append(make(fan, "subs", text, span.price_cents, span.start, **facts))
    return rows


def _moment(fan: Fan, rng: random.Random, base: datetime) -> datetime:
    """Mostly while subscribed, sometimes at another time."""
    if rng.random() < 0.9:
        span = fan.spans[int(rng.random() * len(fan.spans))]
        start, end = span.start, min(span.end, base)
    else:
        start, end = fan.spans[0].start, base
    return start + timedelta(seconds=max(1, int(rng.random() * (end - start).total_seconds())))


def _spoil(rows: list[Transaction], rng: random.Random, base: datetime) -> None:
    """About 2 % are undone: half refunds, half chargebacks some days after the payment."""
    for row in rows:
        if base - row.created > timedelta(days=10) and rng.random() < 0.02:
            row.status = "undo"
            if rng.random() < 0.5:
                row.chargeback_at = row.created + timedelta(days=1 + int(rng.random() * 8))


def _link_messages(who: Creator) -> None:
    """A paid message of the chat stands behind each chat purchase, where the chat has one to offer."""
    used: set[int] = set()
    for row in who.transactions:
        if row.kind != "chat_messages" or row.fan_id not in who.chats:
            continue
        for message in who.chats[row.fan_id].messages:
            if message.mine and message.id not in used and not message.price_cents:
                used.add(message.id)
                message.price_cents, row.message_id = row.amount_cents, message.id
                break
