"""Reports on tracking and trial links, by the same sums as those on smart links (contract 6.2, 6.6, 6.7)."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection

from addons.compute.api import Answer, Call, Handler
from addons.compute.smart_link_reports import cents, read_spenders
from addons.links import reports
from addons.links.finding import real_link
from addons.links.rows import spender
from addons.pipeline.dates import show
from ofapi_store.queries import link_reports
from ofapi_store.queries.links import LinkRow
from ofapi_store.types import from_cents


async def stats(call: Call) -> Answer:
    """As for smart links. Clicks by day are the growth of upstream's own count since the link was first seen."""
    row = await real_link(call)
    first, last = reports.period(call)
    return Answer(await call.services.store.aread_slow(_stats, row, first, last))


def _stats(conn: Connection, row: LinkRow, first: int | None, last: int | None) -> dict[str, Any]:
    start, end = reports.whole_months(first, last)
    ref = str(row.id)
    counted = [
        (day, n)
        for day, n in link_reports.click_days(conn, row.id)
        if (start is None or day >= start) and (end is None or day <= end)
    ]
    daily, monthly = reports.series(link_reports.days(conn, ref, start, end), counted, first, last)
    known = row.revenue_calculated_at is not None
    summary = {
        "clicks_total": row.clicks_count,
        "subs_total": row.subscribers_count,
        "revenue_total": from_cents(row.revenue_total or 0) if known else None,
        "spenders_total": row.spenders_count,
        "chargebacks_total": from_cents(row.chargebacks or 0) if known else None,
        "revenue_cached_at": show(row.revenue_calculated_at) if row.revenue_calculated_at else None,
    }
    return {"summary": summary, "daily_metrics": daily, "monthly_metrics": monthly}


async def cohort_arps(call: Call) -> Answer:
    row = await real_link(call)
    first, last = reports.period(call, "acquisition_start", "acquisition_end")
    return Answer(await call.services.store.aread_slow(_cohort, row, first, last, call.query["revenue_basis"]))


def _cohort(conn: Connection, row: LinkRow, first: int | None, last: int | None, basis: str) -> dict[str, Any]:
    ref = str(row.id)
    subs, sums = link_reports.cohort(conn, ref, first, last)
    known = link_reports.totals(conn, ref).subs
    return reports.arps(subs, sums, basis, source=max(known, row.subscribers_count or 0), known=known)


async def spenders(call: Call) -> Answer:
    """Fans with positive net revenue; what was charged back over all their periods is shown beside it."""
    row = await real_link(call)
    limit, offset = call.query["limit"], call.query["offset"]
    least = cents(call.query["minSpend"]) or 0
    rows, people = await call.services.store.aread_slow(
        read_spenders, row.account_id, str(row.id), least, limit, offset
    )
    return Answer([spender(found, people.get(found.fan_id), with_chargebacks=True) for found in rows])


HANDLERS: dict[str, Handler] = {
    "link_reports.stats": stats,
    "link_reports.cohort_arps": cohort_arps,
    "link_reports.spenders": spenders,
}
