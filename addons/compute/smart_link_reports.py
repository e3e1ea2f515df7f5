"""Reports on smart links (contract 6.2–6.7), from sums that are kept up with every write."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection

from addons.compute.api import Answer, Call, Handler
from addons.links import reports
from addons.links.finding import smart_link
from addons.links.rows import click_row, fan_row, person, spender
from addons.pipeline.dates import show
from ofapi_store.queries import clicks, conversions, fans, link_reports
from ofapi_store.queries.fan_groups import FanFilter
from ofapi_store.queries.fans import FanRow as Person
from ofapi_store.types import from_cents

MAX_CENTS = 2**62


async def stats(call: Call) -> Answer:
    """Increments by day, whole months, and totals over all time."""
    row = await smart_link(call)
    first, last = reports.period(call)
    return Answer(await call.services.store.aread_slow(_stats, row.id, first, last))


def _stats(conn: Connection, ref: str, first: int | None, last: int | None) -> dict[str, Any]:
    start, end = reports.whole_months(first, last)
    counted = clicks.by_day(conn, clicks.Filter(ref, start, end))
    daily, monthly = reports.series(link_reports.days(conn, ref, start, end), counted, first, last)
    total = link_reports.totals(conn, ref)
    everything = counted if first is None and last is None else clicks.by_day(conn, clicks.Filter(ref))
    summary = {
        "clicks_total": sum(n for _, n in everything),
        "subs_total": total.subs,
        "revenue_total": from_cents(total.net),
        "spenders_total": total.spenders,
    }
    return {"summary": summary, "daily_metrics": daily, "monthly_metrics": monthly}


async def cohort_arps(call: Call) -> Answer:
    """Revenue per subscriber by time since the subscription; `net` or `gross`."""
    row = await smart_link(call)
    first, last = reports.period(call, "acquisition_start", "acquisition_end")
    basis = call.query["revenue_basis"]
    return Answer(await call.services.store.aread_slow(_cohort, row.id, first, last, basis))


def _cohort(conn: Connection, ref: str, first: int | None, last: int | None, basis: str) -> dict[str, Any]:
    subs, sums = link_reports.cohort(conn, ref, first, last)
    known = link_reports.totals(conn, ref).subs
    source = max(known, link_reports.pool_subscribers(conn, ref))
    return reports.arps(subs, sums, basis, source=source, known=known)


async def clicked(call: Call) -> Answer:
    """Clicks one by one, newest first, with their number by day."""
    row = await smart_link(call)
    first, last = reports.period(call)
    q = call.query
    wanted = clicks.Filter(row.id, first, last, q["include_bots"], q["include_duplicates"])
    limit, offset = _page(call)
    days, rows = await call.services.store.aread_slow(_clicks, wanted, limit, offset)
    return Answer(
        {
            "summary": {"clicks_total": sum(n for _, n in days)},
            "chart": reports.chart(days, "clicks"),
            "rows": [click_row(click) for click in rows],
            "filters": _filters(call, "date_start", "date_end", "include_bots", "include_duplicates"),
        }
    )


def _clicks(conn: Connection, wanted: clicks.Filter, limit: int, offset: int) -> Any:
    days = clicks.by_day(conn, wanted)
    return days, clicks.page(conn, wanted, limit=limit, offset=offset, days=days)


async def converted(call: Call) -> Answer:
    """Conversions one by one, newest first, each with its fan and click."""
    row = await smart_link(call)
    first, last = reports.period(call)
    q = call.query
    fan, kind = q.get("onlyfans_user_id"), q.get("conversion_type")
    wanted = conversions.Filter(row.id, first, last, kind, fan, q["include_bots"], q["include_duplicates"])
    limit, offset = _page(call)
    found = await call.services.store.aread_slow(_conversions, row.account_id, wanted, limit, offset)
    names = ("date_start", "date_end", "conversion_type", "include_bots", "include_duplicates")
    return Answer({**found, "filters": {**_filters(call, *names), "onlyfans_user_id": _text(fan)}})


def _conversions(
    conn: Connection, account_id: str, wanted: conversions.Filter, limit: int, offset: int
) -> dict[str, Any]:
    days = conversions.by_day(conn, wanted)
    counts = [(row.day, row.count) for row in days]
    rows = conversions.page(conn, wanted, limit=limit, offset=offset, days=counts)
    people = fans.by_ids(conn, account_id, {row.fan_id for row in rows})
    by_id = clicks.by_ids(conn, wanted.smart_link_id, {row.click_id for row in rows})
    summary = {
        "conversions_total": sum(row.count for row in days),
        "subscribers_total": sum(row.subscribers for row in days),
        "revenue_total": from_cents(sum(row.net for row in days)),
    }
    shown = [_conversion(row, people.get(row.fan_id), by_id.get(row.click_id)) for row in rows]
    return {"summary": summary, "chart": reports.chart(counts, "conversions"), "rows": shown}


def _conversion(row: conversions.ConversionRow, fan: Person | None, click: clicks.ClickRow | None) -> dict[str, Any]:
    paid = row.type == "new_transaction"
    return {
        "id": str(row.id),
        "conversion_type": row.type,
        "amount_gross": from_cents(row.gross) if paid else None,
        "amount_net": from_cents(row.net) if paid else None,
        "conversion_at": show(row.conversion_at),
        "fan_onlyfans_id": str(row.fan_id),
        "fan": person(row.fan_id, fan),
        "click": click_row(click) if click else None,
    }


async def fan_list(call: Call) -> Answer:
    """The fans who came through the link."""
    row = await smart_link(call)
    q = call.query
    wanted = FanFilter(
        has_messages=q.get("has_messages"),
        messages=q.get("min_messages_sent_by_fan"),
        net=cents(q.get("min_revenue_net")),
        tips=cents(q.get("min_tips_net")),
        previously=q.get("previously_subscribed"),
        promo=q.get("subscribed_using_promo"),
    )
    found = await call.services.store.aread_slow(_fans, row.account_id, row.id, wanted, call)
    names = ("has_messages", "min_messages_sent_by_fan", "min_revenue_net", "min_tips_net")
    echo = {name: _text(q.get(name)) for name in (*names, "previously_subscribed", "subscribed_using_promo")}
    return Answer({**found, "filters": {**echo, **_filters(call, "sort")}})


def _fans(conn: Connection, account_id: str, ref: str, wanted: FanFilter, call: Call) -> dict[str, Any]:
    limit, offset = _page(call)
    total = link_reports.fan_totals(conn, ref, wanted)
    rows = link_reports.fans(conn, ref, wanted, sort=call.query["sort"], limit=limit, offset=offset, found=total.subs)
    ids = [row.fan_id for row in rows]
    people = fans.by_ids(conn, account_id, ids)
    numbers = conversions.of_fans(conn, ref, ids)
    params = clicks.params_of(conn, ref, {row.click_id for row in rows if row.click_id})
    current = link_reports.subscribed_through_pool(conn, account_id, ref, ids, now=call.now())
    shown = [
        {
            **fan_row(row, people.get(row.fan_id), subscribed_here=row.fan_id in current, now=call.now()),
            "conversion_id": numbers.get(row.fan_id),
            "external_click_id": params.get(row.click_id or "", {}).get("external_click_id"),
        }
        for row in rows
    ]
    summary = {
        "fans_total": total.subs,
        "fans_with_1_plus_messages_total": total.fans_1,
        "fans_with_3_plus_messages_total": total.fans_3,
        "revenue_net_total": from_cents(total.net),
        "tips_net_total": from_cents(total.tips_net),
    }
    return {"summary": summary, "rows": shown}


async def spenders(call: Call) -> Answer:
    """Fans with positive net revenue, the largest first."""
    row = await smart_link(call)
    least = cents(call.query["minSpend"]) or 0
    limit, offset = _page(call)
    rows, people = await call.services.store.aread_slow(read_spenders, row.account_id, row.id, least, limit, offset)
    return Answer([spender(found, people.get(found.fan_id)) for found in rows])


def read_spenders(  # noqa: PLR0917 (a query, spelled out)
    conn: Connection, account_id: str, ref: str, least: int, limit: int, offset: int
) -> tuple[list[link_reports.FanRow], dict[int, Person]]:
    rows = link_reports.spenders(conn, ref, at_least=least, limit=limit, offset=offset)
    return rows, fans.by_ids(conn, account_id, [row.fan_id for row in rows])


def _page(call: Call) -> tuple[int, int]:
    return min(call.query["limit"], call.services.config.links.max_limit), call.query["offset"]


def _filters(call: Call, *names: str) -> dict[str, Any]:
    limit, offset = _page(call)
    return {**{name: call.query.get(name) for name in names}, "limit": limit, "offset": offset}


def _text(value: Any) -> str | None:
    """A filter as the client's types echo it."""
    if value is None:
        return None
    return str(value).lower() if isinstance(value, bool) else str(value)


def cents(value: Any) -> int | None:
    """An amount of the query, rounded up to the cent: nobody has less than that and not less than the amount."""
    return None if value is None else min(MAX_CENTS, max(-MAX_CENTS, math.ceil(Decimal(str(value)) * 100)))


HANDLERS: dict[str, Handler] = {
    "smart_links.stats": stats,
    "smart_links.cohort_arps": cohort_arps,
    "smart_links.clicks": clicked,
    "smart_links.conversions": converted,
    "smart_links.fans": fan_list,
    "smart_links.spenders": spenders,
}
