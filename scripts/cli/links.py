"""`ofapi links`: what tracking, trial and smart links brought, as a table and as a chart."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scripts.cli.frame import EXIT_USAGE, App, CliError, console, emit, opened_store, table

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from ofapi_store.queries.links_overview import Overview

app = App()
KINDS = ("smart", "tracking", "trial")
FORMATS = (".png", ".svg")
AccountOption = Annotated[str | None, typer.Option(help="Only this account (acct_…).")]


@app.command("list")
def list_(
    kind: Annotated[str | None, typer.Option(help="smart, tracking or trial.")] = None,
    account: AccountOption = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Most links of each kind.")] = 100,
) -> None:
    """Links of all teams, newest first, with what they brought."""
    from ofapi_store.queries import links_overview

    if kind is not None and kind not in KINDS:
        raise CliError("bad_value", f"--kind is one of {', '.join(KINDS)}, not {kind!r}", exit_code=EXIT_USAGE)
    with opened_store() as store, store.read() as conn:
        found = links_overview.smart(conn, account_id=account, limit=limit) if kind in {None, "smart"} else []
        for one in links_overview.REAL:
            if kind in {None, one}:
                found += links_overview.real(conn, kinds=[one], account_id=account, limit=limit)
    rows = [_row(link) for link in found]
    names = ["link", "name", "account", *(numbers := ["clicks", "subscribers", "revenue"])]
    emit(
        rows,
        table([{**row, "revenue": _amount(row["revenue"])} for row in rows], names, empty="no links", numbers=numbers),
    )


def _row(link: Overview) -> dict[str, Any]:
    return {
        "link": link.link,
        "kind": link.kind,
        "name": link.name,
        "account": link.account_id,
        "clicks": link.clicks,
        "subscribers": link.subscribers,
        "spenders": link.spenders,
        "revenue": _money(link.revenue),
        "chargebacks": _money(link.chargebacks),
        "created_at": link.created_at,
    }


def _money(cents: int | None) -> Decimal | None:
    from ofapi_store.types import from_cents

    return None if cents is None else from_cents(cents)


@app.command("report")
def report(
    link: Annotated[str, typer.Argument(help="A smart link's ULID, tracking:ID or trial:ID.", metavar="LINK")],
    *,
    account: AccountOption = None,
    start: Annotated[str | None, typer.Option(help="First day, as 2026-01-31 or -30days.")] = None,
    end: Annotated[str | None, typer.Option(help="Last day.")] = None,
    gross: Annotated[bool, typer.Option("--gross", help="Cohorts by gross instead of net revenue.")] = False,
    out: Annotated[Path | None, typer.Option(help="Also draw a chart into this .png or .svg file.")] = None,
) -> None:
    """What a link brought, by day. Also revenue per subscriber by time since subscribing."""
    if out is not None and out.suffix.lower() not in FORMATS:
        raise CliError("bad_value", f"--out must end in .png or .svg, not {out.name!r}", exit_code=EXIT_USAGE)
    first, last = _period(start, end)
    with opened_store() as store, store.read() as conn:
        body = _figures(conn, _find(conn, link, account), first, last, "gross" if gross else "net")
    body["chart"] = body["chart_note"] = None
    if out is not None:
        from scripts.cli import link_chart

        try:
            body["chart_note"] = link_chart.write(body, out)
        except OSError as e:
            raise CliError("not_written", f"the chart cannot be written to {out}: {e.strerror or e}") from e
        body["chart"] = str(out)
    emit(body, lambda: _print(body))


def _period(start: str | None, end: str | None) -> tuple[int | None, int | None]:
    """First and last UTC day, numbers since 1970."""
    from addons.links.earnings import day_of
    from addons.pipeline.dates import instant

    now, days = datetime.now(UTC), []
    for option, text in (("--start", start), ("--end", end)):
        try:
            days.append(None if text is None else day_of(instant(text, now, end=option == "--end")))
        except (ValueError, OverflowError):
            wrong = f"{option} is a date like 2026-01-31 or -30days, not {text!r}"
            raise CliError("bad_value", wrong, exit_code=EXIT_USAGE) from None
    if days[0] is not None and days[1] is not None and days[1] < days[0]:
        raise CliError("bad_value", "--end must not be before --start", exit_code=EXIT_USAGE)
    return days[0], days[1]


def _find(conn: Connection, text: str, account: str | None) -> Overview:
    """Raises CliError where it is none, unknown, or of more than one account."""
    from ofapi_store.queries import links_overview

    kind, colon, number = text.partition(":")
    if not colon:
        found = links_overview.smart(conn, account_id=account, link=text.upper(), limit=1)
    elif kind in links_overview.REAL and number.isascii() and number.isdecimal() and len(number) < 19:
        found = links_overview.real(conn, kinds=[kind], account_id=account, link_id=int(number), limit=2)
    else:
        wrong = f"{text!r} names no link: give a smart link's ULID, tracking:ID or trial:ID (`ofapi links list`)"
        raise CliError("bad_value", wrong, exit_code=EXIT_USAGE)
    if not found:
        raise CliError("link_not_found", f"there is no link {text}; `ofapi links list` shows those that are known")
    if len(found) > 1:
        accounts = ", ".join(sorted(link.account_id for link in found))
        raise CliError("ambiguous", f"{text} is a link of {accounts}; add --account", exit_code=EXIT_USAGE)
    return found[0]


def _figures(conn: Connection, link: Overview, first: int | None, last: int | None, basis: str) -> dict[str, Any]:
    """What the HTTP reports tell, from the same sums."""
    from addons.links import reports
    from addons.links.earnings import day_of
    from ofapi_store.queries import clicks, link_reports

    start, end = reports.whole_months(first, last)
    if link.pk is None:
        counted = clicks.by_day(conn, clicks.Filter(link.ref, start, end))
    else:
        days = link_reports.click_days(conn, link.pk)
        counted = [(day, n) for day, n in days if (start is None or day >= start) and (end is None or day <= end)]
    daily, monthly = reports.series(link_reports.days(conn, link.ref, start, end), counted, first, last)
    if first is not None or last is not None:
        daily, monthly = reports.filled(daily, monthly, first, last, day_of(datetime.now(UTC)))
    subs, sums = link_reports.cohort(conn, link.ref, first, last)
    known = link_reports.totals(conn, link.ref).subs
    source = max(known, link.subscribers or 0)
    return {
        **_row(link),
        "daily": daily,
        "monthly": monthly,
        "revenue_basis": basis,
        "cohort": reports.arps(subs, sums, basis, source=source, known=known),
    }


def _amount(money: Decimal | None) -> str | None:
    return None if money is None else f"{money:,.2f}"


def _print(body: dict[str, Any]) -> None:
    """What the link brought in all, a table of days (of months where there are many), and one of the cohort."""
    from rich.markup import escape

    screen = console()
    screen.print(f"[bold]{escape(body['name'] or body['link'])}[/bold]  {body['link']}  {body['account']}")
    whole = {name: body[name] for name in ("clicks", "subscribers", "spenders")}
    whole |= {name: _amount(body[name]) for name in ("revenue", "chargebacks")}
    screen.print("in all: " + ", ".join(f"{name} {'–' if n is None else n}" for name, n in whole.items()))
    _print_days(body)
    screen.print(_cohort_line(body["cohort"]))
    _print_windows(body)
    if body["chart"]:
        screen.print(f"chart: {escape(body['chart'])}")
    if body["chart_note"]:
        screen.print(f"note: {body['chart_note']}")


def _cohort_line(cohort: dict[str, Any]) -> str:
    count, known = cohort["subscribers_count"], cohort["coverage_percent"]
    line = f"{count:,} subscriber{'' if count == 1 else 's'} of the period"
    return (
        line
        if known is None
        else f"{line}; known here: {known:.0%} of the link's {cohort['source_subscribers_total']:,}"
    )


def _print_days(body: dict[str, Any]) -> None:
    from scripts.cli.link_chart import clicks_unknown

    if not body["daily"]:
        console().print("no days: nothing is known of this link in the period yet")
        return
    monthly = len(body["daily"]) > 62
    rows = [{"day": row["timestamp"], **row} for row in body["monthly" if monthly else "daily"]]
    sums = {name: sum(row[name] for row in rows) for name in ("clicks", "subs", "revenue", "spenders")}
    rows = [*({**row, "day": row["day"][:7]} if monthly else row for row in rows), {"day": "total", **sums}]
    names = {"month" if monthly else "day": "day", "clicks": "clicks", "new subscribers": "subs"}
    names |= {"revenue": "revenue", "new spenders": "spenders"}
    shown = [{title: row[key] for title, key in names.items()} for row in rows]
    table(
        [{**row, "revenue": _amount(Decimal(row["revenue"]))} for row in shown], list(names), numbers=list(names)[1:]
    )()
    if clicks_unknown(body):
        console().print("clicks by day are known since the link was first seen here; upstream tells their sum alone")


def _print_windows(body: dict[str, Any]) -> None:
    from addons.links.cohorts import WINDOWS

    revenue = f"{body['revenue_basis']} revenue"
    rows = [
        {
            "since subscribing": name.replace("_", " "),
            revenue: _amount(body["cohort"][f"revenue_{name}_total"]),
            "per subscriber": _amount(body["cohort"][f"arps_{name}"]),
        }
        for name in WINDOWS
    ]
    table(rows, list(rows[0]), numbers=[revenue, "per subscriber"])()
