"""`/analytics/…`: figures over the transactions that are stored (contract 6.14). Bare bodies, amounts in dollars.

What is not known here is not made up: costs and commissions of an agency are empty, and forecasts come from a moving
average or a straight line only.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from addons.compute.api import Answer, Call, Handler
from addons.compute.forecast import FORECASTS
from addons.pipeline.dates import instant, is_date
from addons.pipeline.errors import NotFound, ValidationFailed
from ofapi_store.queries import accounts, analytics
from ofapi_store.queries.accounts import AccountRow
from ofapi_store.queries.analytics import Sums
from ofapi_store.types import from_cents

STAT_TYPES = {
    "subscriptions": "subs",
    "posts": "post",
    "messages": "chat_messages",
    "tips": "tips",
    "streams": "stream",
}
MAX_YEARS = 100
MONTHS = {"months": 1, "quarters": 3, "half_years": 6, "years": 12}


async def _accounts(call: Call, wanted: Iterable[Any] | None) -> list[AccountRow]:
    """The named accounts of this team and key; all of them for None. Raises NotFound for any other."""
    rows = await call.services.store.aread(accounts.list_for_team, call.team.id, only=call.key.account_ids)
    if wanted is None:
        return rows
    by_id = {row.id: row for row in rows}
    missing = next((one for one in wanted if one not in by_id), None)
    if missing is not None:
        raise NotFound(f"Account {missing} does not exist.", code="account_not_found")
    return [by_id[one] for one in dict.fromkeys(wanted)]


async def _sums(call: Call, rows: Sequence[AccountRow], start: datetime, end: datetime) -> list[Sums]:
    call.queries.append("analytics.daily")
    return await call.services.store.aread_slow(analytics.daily, [row.id for row in rows], start, end)


async def _of_body(call: Call) -> tuple[list[str], datetime, datetime, list[Sums]]:
    """Account ids, period and sums that a body with `account_ids`, `start_date` and `end_date` asks for."""
    rows = await _accounts(call, call.body["account_ids"])
    start, end = instant(call.body["start_date"], call.now()), instant(call.body["end_date"], call.now(), end=True)
    return [row.id for row in rows], start, end, await _sums(call, rows, start, end)


def _net(sums: Iterable[Sums], kind: str | None = None) -> int:
    return sum(s.net for s in sums if not s.refunded and (kind is None or s.type == kind))


async def earnings(call: Call) -> Answer:
    """Net by kind, the number of accounts and of sent messages; images and videos are not counted in the store: null."""
    ids, start, end, sums = await _of_body(call)
    sent = await call.services.store.aread_slow(analytics.messages, ids, start, end)
    kinds = {name: from_cents(_net(sums, kind)) for name, kind in STAT_TYPES.items()}
    total = {"total_earnings": from_cents(_net(sums)), **kinds, "total_accounts": len(ids)}
    return Answer({**total, "total_images": None, "total_videos": None, "total_messages": sent}, bare=True)


async def transactions_summary(call: Call) -> Answer:
    """Gross, net and fees of what went through; how many did, were refunded, were disputed."""
    ids, start, end, sums = await _of_body(call)
    kept = [s for s in sums if not s.refunded]
    data = {
        "total_gross": from_cents(sum(s.gross for s in kept)),
        "total_net": from_cents(_net(kept)),
        "total_fees": from_cents(sum(s.fees for s in kept)),
        "succeeded_count": sum(s.count for s in kept),
        "refunded_count": sum(s.count for s in sums if s.refunded),
        "disputed_count": await call.services.store.aread_slow(analytics.disputed, ids, start, end),
    }
    return Answer(data, bare=True)


async def transactions_by_type(call: Call) -> Answer:
    """`[{type, total, count}]`, the largest total first; what no pattern knows has the type null."""
    *_, sums = await _of_body(call)
    found: dict[str | None, list[int]] = defaultdict(lambda: [0, 0])
    for one in sums:
        if not one.refunded:
            found[one.type][0] += one.net
            found[one.type][1] += one.count
    order = sorted(found.items(), key=lambda item: (-item[1][0], item[0] or ""))
    return Answer([{"type": kind, "total": from_cents(net), "count": n} for kind, (net, n) in order], bare=True)


async def historical(call: Call) -> Answer:
    """`[{period: YYYY-MM, value}]`: net of all the key's accounts by month, months without sales as 0."""
    now = call.now()
    this = now.year * 12 + now.month - 1
    first, last = {
        "3m": (this - 2, this),
        "6m": (this - 5, this),
        "12m": (this - 11, this),
        "ytd": (now.year * 12, this),
        "last-year": ((now.year - 1) * 12, now.year * 12 - 1),
    }[call.body["time_range"]]
    rows = await _accounts(call, None)
    sums = await _sums(call, rows, _month(first), _month(last + 1) - timedelta(microseconds=1))
    months: dict[int, int] = dict.fromkeys(range(first, last + 1), 0)
    for one in sums:
        if not one.refunded:
            months[one.day.year * 12 + one.day.month - 1] += one.net
    return Answer(
        [{"period": _month(n).strftime("%Y-%m"), "value": from_cents(v)} for n, v in months.items()], bare=True
    )


def _month(number: int) -> datetime:
    return datetime(number // 12, number % 12 + 1, 1, tzinfo=UTC)


async def comparison(call: Call) -> Answer:
    """One figure in two periods, in total and by step of `granularity`, steps aligned by their position."""
    rows = await _accounts(call, call.body["account_ids"])
    kind = STAT_TYPES.get(call.body["stat_type"])
    step = MONTHS[call.body["granularity"]]
    labels, totals, series = [], [], []
    for name in ("period_a", "period_b"):
        start, end = _period(call, name)
        sums = [s for s in await _sums(call, rows, start, end) if not s.refunded and (kind is None or s.type == kind)]
        labels.append(f"{start.date().isoformat()} – {end.date().isoformat()}")
        totals.append(_net(sums))
        series.append(_by_step(sums, start, end, step))
    change = totals[1] - totals[0]
    percent = round(Decimal(change * 100) / totals[0], 2) if totals[0] else None
    chart = [
        {"index": i, "period_a": _at(series[0], i), "period_b": _at(series[1], i)} for i in range(max(map(len, series)))
    ]
    shown = [from_cents(cents) for cents in (*totals, change)]
    summary = dict(zip(("period_a_total", "period_b_total", "change"), shown, strict=True))
    data = {
        "period_a_label": labels[0],
        "period_b_label": labels[1],
        "summary": {**summary, "change_percentage": percent},
        "breakdown": chart,
        "chart_data": chart,
    }
    return Answer(data, bare=True)


def _period(call: Call, name: str) -> tuple[datetime, datetime]:
    period = call.body[name]
    for field in ("start", "end"):
        if not isinstance(period.get(field), str) or not is_date(period[field], call.now()):
            raise ValidationFailed.of(f"{name}.{field}", f"The {name}.{field} field must be a valid date.")
    start, end = instant(period["start"], call.now()), instant(period["end"], call.now(), end=True)
    if end < start:
        text = f"The {name}.end field must be a date after or equal to {name}.start."
        raise ValidationFailed.of(f"{name}.end", text)
    if end.year - start.year > MAX_YEARS:
        raise ValidationFailed.of(f"{name}.end", f"The {name} field must not span more than {MAX_YEARS} years.")
    return start, end


def _by_step(sums: Iterable[Sums], start: datetime, end: datetime, step: int) -> list[tuple[str, int]]:
    """(label, cents) of each step of so many months from the first month of the period on."""
    first = start.year * 12 + start.month - 1
    size = (end.year * 12 + end.month - 1 - first) // step + 1
    values = [0] * size
    for one in sums:
        values[(one.day.year * 12 + one.day.month - 1 - first) // step] += one.net
    return [(_month(first + i * step).strftime("%Y-%m"), value) for i, value in enumerate(values)]


def _at(series: Sequence[tuple[str, int]], index: int) -> dict[str, Any] | None:
    return {"label": series[index][0], "value": from_cents(series[index][1])} if index < len(series) else None


async def forecast(call: Call) -> Answer:
    """Net by day, carried forward. Raises ValidationFailed for a metric or model that this installation does not have."""
    model, metric = call.body["model"], call.body["metric"]
    run: Callable[[Sequence[int], int], list[int]] | None = FORECASTS.get(model)
    if run is None:
        raise ValidationFailed.of(
            "model", f"The model {model} is not available here. Use one of: {', '.join(FORECASTS)}."
        )
    if metric != "revenue":
        raise ValidationFailed.of("metric", f"The metric {metric} is not available here. Use revenue.")
    rows = await _accounts(call, call.body["account_ids"])
    last = call.now().replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(microseconds=1)
    days = [last.date() - timedelta(days=n) for n in reversed(range(call.body["historical_days"]))]
    history: dict[date, int] = dict.fromkeys(days, 0)
    for one in await _sums(call, rows, datetime.combine(days[0], datetime.min.time(), UTC), last):
        if not one.refunded:
            history[one.day] += one.net
    ahead = run(list(history.values()), call.body["forecast_days"])
    coming = [(last.date() + timedelta(days=n + 1), value) for n, value in enumerate(ahead)]
    data = {"metric": metric, "model": model, "historical": _points(history.items()), "forecast": _points(coming)}
    return Answer(data, bare=True)


def _points(series: Iterable[tuple[date, int]]) -> list[dict[str, Any]]:
    return [{"date": day.isoformat(), "value": from_cents(value)} for day, value in series]


async def profitability(call: Call) -> Answer:
    """`{data: [month of an account]}` for one month of some accounts."""
    rows = await _accounts(call, call.body["account_ids"])
    number = call.body["year"] * 12 + call.body["month"] - 1
    return Answer({"data": await _months(call, rows, number, number)}, bare=True)


async def profitability_history(call: Call) -> Answer:
    """The same for the last `months` months of one account, newest first."""
    rows = await _accounts(call, [call.params["account"]])
    last = call.now().year * 12 + call.now().month - 1
    months = await _months(call, rows, last - call.query["months"] + 1, last)
    return Answer({"data": months[::-1]}, bare=True)


async def _months(call: Call, rows: Sequence[AccountRow], first: int, last: int) -> list[dict[str, Any]]:
    sums = await _sums(call, rows, _month(first), _month(last + 1) - timedelta(microseconds=1))
    net: dict[tuple[str, int], int] = defaultdict(int)
    for one in sums:
        if not one.refunded:
            net[one.account_id, one.day.year * 12 + one.day.month - 1] += one.net
    return [_profit(row, n, net[row.id, n]) for row in rows for n in range(first, last + 1)]


def _profit(row: AccountRow, month: int, net: int) -> dict[str, Any]:
    """Agency figures are null: neither commissions nor costs are kept here."""
    unknown = dict.fromkeys(
        (
            "commissionRate",
            "commissionAmount",
            "agencyEarnings",
            "totalCosts",
            "profit",
            "marginPercentage",
            "referralNote",
        )
    )
    return {
        "creatorName": row.display_name,
        "onlyFansUserId": int(row.onlyfans_id) if row.onlyfans_id and row.onlyfans_id.isdigit() else None,
        "year": month // 12,
        "month": month % 12 + 1,
        "projectedNet": str(from_cents(net)),
        **unknown,
        "costs": [],
        "ratePeriods": [],
        "activeMilestones": None,
        "hasCommissionForPeriod": False,
        "hasCostsForPeriod": False,
    }


HANDLERS: dict[str, Handler] = {
    "analytics.earnings": earnings,
    "analytics.historical": historical,
    "analytics.comparison": comparison,
    "analytics.transactions_summary": transactions_summary,
    "analytics.transactions_by_type": transactions_by_type,
    "analytics.forecast": forecast,
    "analytics.profitability": profitability,
    "analytics.profitability_history": profitability_history,
}
