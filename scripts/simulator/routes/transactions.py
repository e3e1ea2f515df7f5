"""The ledger: transactions, chargebacks, balances, payouts, earnings."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from datetime import UTC, datetime
from typing import Any

from scripts.simulator.model import Transaction
from scripts.simulator.render.common import chart, money
from scripts.simulator.render.users import brief
from scripts.simulator.routes.base import OK, Call, Fail, page, route
from scripts.simulator.times import iso

KINDS = {"subscribes": "subs", "tips": "tips", "post": "post", "chat_messages": "chat_messages", "stream": "stream"}

FUNDS = 2500.5


def newest_first(row: Transaction) -> float:
    return -row.created.timestamp()


def unix(when: datetime) -> int:
    return int(when.timestamp())


def row_of(call: Call, row: Transaction) -> dict[str, Any]:
    fan = call.who.fans[row.fan_id]
    return {
        "id": row.id,
        "createdAt": iso(row.created),
        "currency": "USD",
        "amount": money(row.amount_cents),
        "vatAmount": 0,
        "taxAmount": 0,
        "mediaTaxAmount": 0,
        "net": money(row.net_cents),
        "fee": money(row.fee_cents),
        "description": row.description,
        "status": row.status,
        "payoutPendingDays": max(0, 7 - (call.now - row.created).days) if row.status == "loading" else 0,
        "user": brief(fan),
    }


def selected(call: Call, days: int = 30) -> list[Transaction]:
    """Newest first, within the dates, of the wanted type."""
    start, end = call.dates(days)
    kind = KINDS.get(call.get("type") or "")
    source = call.get("tipsSource") or call.get("tips_source")
    rows = call.who.transactions
    first = bisect_left(rows, -end.timestamp(), key=newest_first)
    last = bisect_right(rows, -start.timestamp(), key=newest_first)
    return [
        row for row in rows[first:last] if (not kind or row.kind == kind) and (not source or row.tips_source == source)
    ]


@route("GET /payouts/transactions", "GET /transactions")
def transactions(call: Call) -> Any:
    """`marker` is the unix time of the last row seen; each row has its own second."""
    rows = selected(call)
    marker = call.number("marker", 0)
    if marker:
        rows = [row for row in rows if unix(row.created) < marker]
    shown, more = page(rows, 0, call.limit)
    return {
        "list": [row_of(call, row) for row in shown],
        "hasMore": more,
        "marker": marker or unix(call.now),
        "nextMarker": unix(shown[-1].created) if shown else marker or unix(call.now),
    }


@route("GET /payouts/chargebacks", "GET /chargebacks")
def chargebacks(call: Call) -> Any:
    start, end = call.dates(days=400)
    rows = [
        row for row in call.who.transactions if row.chargeback_at and start <= row.chargeback_at <= min(end, call.now)
    ]
    rows.sort(key=lambda row: (row.chargeback_at or row.created, row.id), reverse=True)
    shown, more = page(rows, call.offset, call.limit)
    listed = [
        {
            "id": hash_id(row.id),
            "createdAt": iso(row.chargeback_at),
            "paymentType": row.kind or "other",
            "payment": {**row_of(call, row), "user": {**brief(call.who.fans[row.fan_id]), "avatarThumbs": None}},
        }
        for row in shown
    ]
    return {
        "list": listed,
        "hasMore": more,
        "marker": unix(shown[-1].chargeback_at or call.now) if shown else unix(call.now),
    }


def hash_id(text: str) -> int:
    return int(text.replace("-", "")[:8], 16)


@route("GET /payouts/chargebacks/ratio", "GET /chargebacks/ratio")
def ratio(call: Call) -> Any:
    rows = selected(call, days=400)
    return {"chargebacksRatio": round(100 * sum(row.chargeback_at is not None for row in rows) / max(1, len(rows)), 2)}


@route("GET /payouts/chargebacks/chart", "GET /chargebacks/statistics")
def chargeback_chart(call: Call) -> Any:
    start, end = call.dates()
    rows = [row for row in call.who.transactions if row.chargeback_at and start <= row.chargeback_at <= end]
    return {
        "chartAmount": chart(((row.chargeback_at or end, row.amount_cents / 100) for row in rows), start, end),
        "chartCount": chart(((row.chargeback_at or end, 1) for row in rows), start, end),
        "delta": 0,
        "total": sum(row.amount_cents for row in rows) / 100,
    }


def earned(rows: list[Transaction]) -> tuple[float, float]:
    """(net, gross) dollars of what was not undone."""
    kept = [row for row in rows if row.status != "undo"]
    return sum(row.net_cents for row in kept) / 100, sum(row.amount_cents for row in kept) / 100


@route("GET /earnings/chart", "GET /statistics/statements/earnings")
def earnings(call: Call) -> Any:
    kind = call.get("by") or call.get("type") or "total"
    start, end = call.dates()
    rows = [row for row in selected(call) if kind in {"total", "all"} or row.kind == KINDS.get(kind, kind)]
    net, gross = earned(rows)
    amounts = chart(((row.created, row.net_cents / 100) for row in rows), start, end)
    return {
        "total": {
            "chartAmount": amounts,
            "chartCount": chart(((row.created, 1) for row in rows), start, end),
            "delta": 1.5,
            "total": net,
            "gross": gross,
        }
    }


@route("GET /statistics/total-transactions")
def total_transactions(call: Call) -> Any:
    rows = selected(call)
    return {"total_amount": earned(rows)[0], "total_transactions": len(rows)}


def _available(call: Call) -> float:
    """What can be withdrawn: a fixed amount less what was asked for since the world was made."""
    asked = sum(row["amount"] for row in call.who.payouts if row["at"] >= call.world.base)
    return FUNDS - asked


@route("GET /payouts/balances")
def balances(call: Call) -> Any:
    pending = sum(row.net_cents for row in call.who.transactions if row.status == "loading")
    return {
        "payoutAvailable": _available(call),
        "payoutPending": pending / 100,
        "minPayoutSumm": 20,
        "maxPayoutSumm": 5000.0,
        "withdrawalPeriod": call.who.settings["frequency"],
        "manualPayoutPendingDays": 0,
        "currency": "USD",
        "withdrawalPeriodOptions": [{"code": code, "name": code.title()} for code in ("manual", "weekly", "monthly")],
    }


@route("GET /payouts/check-receive", "GET /payouts/eligibility")
def eligibility(_call: Call) -> Any:
    return {"canReceiveManualPayout": True, "needUpdateBanking": False, "isVerifiedReason": True}


@route("GET /payouts/stats", "GET /payouts/earning-statistics", "GET /payouts/list-earning-statistics")
def earning_statistics(call: Call) -> Any:
    months: dict[str, dict[str, Any]] = {}
    totals = {name: {"total_net": 0.0, "total_gross": 0.0} for name in ("all", *KINDS)}
    names = {value: key for key, value in KINDS.items()}
    for row in selected(call, days=90):
        if row.status == "undo":
            continue
        first = datetime(row.created.year, row.created.month, 1, tzinfo=UTC)
        month = months.setdefault(str(unix(first)), {"total_net": 0.0, "total_gross": 0.0})
        entry = {"time": unix(row.created), "net": money(row.net_cents), "gross": money(row.amount_cents)}
        name = names.get(row.kind)
        if name:
            month.setdefault(name, []).append(entry)
        for total in (month, totals["all"], *([totals[name]] if name else [])):
            total["total_net"] = round(total["total_net"] + row.net_cents / 100, 2)
            total["total_gross"] = round(total["total_gross"] + row.amount_cents / 100, 2)
    return {"list": {"months": months, "total": totals}}


def payout_row(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": row["id"],
        "amount": row["amount"],
        "currency": "USD",
        "createdAt": iso(row["at"]),
        "state": row["state"],
        "invoiceId": row["invoice"],
        "rejectReason": row["reason"],
    }


@route("GET /payouts/requests", "GET /payouts/payout-requests", "GET /payouts/list-payout-requests")
def payouts(call: Call) -> Any:
    rows = call.who.payouts
    marker = call.number("marker", 0)
    if marker:
        rows = [row for row in rows if row["id"] < marker]
    shown, more = page(rows, call.offset, call.limit)
    return {"list": [payout_row(row) for row in shown], "hasMore": more, "marker": shown[-1]["id"] if shown else marker}


@route("POST /payouts/requests", "POST /payouts/request-manual-withdrawal")
def withdraw(call: Call) -> Any:
    amount = call.field("amount", default=0)
    if not isinstance(amount, int | float) or amount < 20:
        raise Fail(400, "Minimum payout is $20")
    if amount > _available(call):
        raise Fail(400, "Not enough funds")
    row = {
        "id": 4_100_000 + len(call.who.payouts),
        "amount": amount,
        "at": call.now,
        "state": "pending",
        "invoice": f"INV-{call.who.id}-{200 + len(call.who.payouts)}",
        "reason": None,
    }
    call.who.payouts.insert(0, row)
    return {"list": [payout_row(row)]}


@route("PATCH /payouts/account", "PATCH /payouts/payout-frequency")
def frequency(call: Call) -> Any:
    value = call.field("frequency", "withdrawalPeriod")
    if value not in {"manual", "weekly", "monthly"}:
        raise Fail(400, "Wrong frequency")
    call.who.settings["frequency"] = value
    return OK
