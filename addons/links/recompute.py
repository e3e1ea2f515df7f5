"""Working out marked fans anew, in one transaction: what they brought their links, and which conversions follow.

The same function does the incremental and the full recomputation; which fans are marked is the only difference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from addons.links.attribution import Claim, LinkKey, Outcome, Payment
from addons.links.clicks import CLICK_IDS
from addons.links.earnings import Clicked, FanEarnings, History, SmartSince, Source, work_out
from ofapi_store.queries import conversions, fans, link_dirty, link_revenue, links, messages, pools, transactions
from ofapi_store.queries.conversions import ConversionRow, NewConversion
from ofapi_store.queries.link_reports import is_previous
from ofapi_store.queries.link_revenue import FanKey

CLOCK_SLACK = timedelta(seconds=60)
"""Upstream's clock and ours may differ: a click this much after the subscription may still be the one before it."""

TELLING = ("external_click_id", *CLICK_IDS)
"""By these the network that a click was bought from knows it again."""


@dataclass(slots=True)
class Recomputed:
    """`fans` worked out; `left` still marked; `conversions` that are new."""

    fans: int = 0
    left: int = 0
    conversions: list[ConversionRow] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Run:
    """One transaction over some fans of one account."""

    conn: Connection
    account_id: str
    fans: Sequence[int]
    histories: dict[int, History]
    window: timedelta


def recompute(conn: Connection, account_id: str, *, limit: int, window: timedelta, now: datetime) -> Recomputed:
    """Works out up to `limit` marked fans of the account and takes their marks away. `window`: click → subscription."""
    link_revenue.lock(conn, account_id)
    marked = link_dirty.some(conn, account_id, limit)
    out = Recomputed(len(marked))
    if marked:
        ids = sorted(marked)
        run = _Run(conn, account_id, ids, {fan: History(fan) for fan in ids}, window)
        out.conversions = _write(run, _read(run), now)
        link_dirty.clear(conn, account_id, marked)
    out.left = link_dirty.count(conn, account_id)
    if not out.left:
        due = link_revenue.uncalculated(conn, account_id)
        link_revenue.show_on_links(conn, [pk for pk, known in due if known], now=now)
    return out


def _read(run: _Run) -> dict[LinkKey, Source]:
    """Fills the histories; the links that they name."""
    claims = links.claims_of_fans(run.conn, run.account_id, run.fans)
    rows = links.by_pks(run.conn, {claim.link_pk for claim in claims})
    smart = pools.smart_of(run.conn, rows)
    for claim in claims:
        row = rows[claim.link_pk]
        key = (row.kind, str(row.link_id))
        run.histories[claim.fan_id].claims.append(Claim(key, claim.claimed_at, claim.ended_at))
    _add_payments(run)
    _add_smart(run, [claim for claim in claims if claim.link_pk in smart], smart)
    return {
        (row.kind, str(row.link_id)): Source(str(pk), row.kind, smart[pk].smart_link_id if pk in smart else None)
        for pk, row in rows.items()
    }


def _add_payments(run: _Run) -> None:
    lost = transactions.charged_back(run.conn, run.account_id, run.fans)
    for row in transactions.of_fans(run.conn, run.account_id, run.fans):
        if row.fan_id is None:
            continue
        outcome: Outcome = "earned"
        if row.transaction_id in lost:
            outcome = "charged_back"
        elif row.status in transactions.REFUNDED:
            outcome = "refunded"
        payment = Payment(
            row.transaction_id, row.created_at, row.net or 0, row.amount, outcome, is_tip=row.type == "tips"
        )
        run.histories[row.fan_id].payments.append(payment)


def _add_smart(run: _Run, ours: Sequence[links.ClaimRow], smart: Mapping[int, pools.PoolRow]) -> None:
    """For each smart link of a fan, the earliest subscription that a click went before."""
    if not ours:
        return
    ids = sorted({claim.fan_id for claim in ours})
    wanted = [(smart[claim.link_pk].id, claim.claimed_at) for claim in ours]
    found = conversions.clicks_before(run.conn, wanted, window=run.window, slack=CLOCK_SLACK, telling=TELLING)
    before = conversions.flags_before(run.conn, run.account_id, ids)
    known = link_revenue.stored_fans(run.conn, run.account_id, ids)
    for claim in ours:  # oldest first
        pool = smart[claim.link_pk]
        history = run.histories[claim.fan_id]
        if pool.smart_link_id in history.smart:
            continue
        key = (pool.smart_link_id, claim.fan_id)
        if key in known and key in before and known[key]["since"] == claim.claimed_at:
            click = Clicked(*before[key])  # decided once: later clicks and forgotten ones change nothing
        elif (pool.id, claim.claimed_at) in found:
            click = Clicked(*found[pool.id, claim.claimed_at])
        else:
            continue
        history.smart[pool.smart_link_id] = SmartSince(claim.claimed_at, click)
    _add_messages(run)


def _add_messages(run: _Run) -> None:
    since = {fan: min(s.since for s in h.smart.values()) for fan, h in run.histories.items() if h.smart}
    for fan, number, at in messages.of_fans(run.conn, run.account_id, since):
        run.histories[fan].messages.append((number, at))


def _write(run: _Run, sources: Mapping[LinkKey, Source], now: datetime) -> list[ConversionRow]:
    rows: dict[FanKey, dict[str, Any]] = {}
    days, facts = {}, {}
    for fan, history in run.histories.items():
        earned: FanEarnings = work_out(history, sources)
        rows.update({(ref, fan): row for ref, row in earned.fans.items()})
        days.update({(ref, fan, day): sums for (ref, day), sums in earned.days.items()})
        for f in earned.facts:
            click = f.click
            facts[f.smart, fan, f.type, f.fact] = NewConversion(
                f.at, f.net, f.gross, click.click_id, click.is_bot, click.is_duplicate
            )
    first = fans.subscribed_since(run.conn, run.account_id, {fan for _, fan in rows})
    for (_, fan), row in rows.items():
        row["came_before"] = is_previous(first.get(fan), row["since"])
    link_revenue.store(run.conn, run.account_id, run.fans, rows, days, now=now)
    return conversions.replace(run.conn, run.account_id, run.fans, facts)
