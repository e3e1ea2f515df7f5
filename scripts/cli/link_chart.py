"""The chart of a link's report: clicks, subscribers and revenue by day, and revenue per subscriber over time."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scripts.cli import chart_fonts

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NOT_SHOWN = (
    "no font of this machine has the characters of the link's name: the picture shows its id; an .svg shows the name"
)

CLICKS, SUBS, MONEY, INK, PALE = "#4c78a8", "#54a24b", "#e07b39", "#333333", "#666666"
_WINDOW_DAYS = {"48h": 2, "7d": 7, "14d": 14, "30d": 30}
_WEEK = 7
_MANY_DAYS = 45  # from here on single bars are thin: their course over a week is drawn too


def write(report: dict[str, Any], path: Path) -> str | None:
    """Draws what `ofapi links report --json` prints; PNG or SVG by the ending. Raises OSError.

    An SVG keeps its texts, which the viewer's fonts show. What is to be said of a name that a PNG could not show, or None.
    """
    from matplotlib import rc_context

    is_svg = path.suffix.lower() == ".svg"
    title = chart_fonts.Title(report["name"] or "", []) if is_svg else chart_fonts.title(report["name"] or "")
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "ofapi"}):
        _save(_drawn(report, title), path)
    return None if title.text or not report["name"] else NOT_SHOWN


def _drawn(report: dict[str, Any], title: chart_fonts.Title) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 8), layout="constrained")
    FigureCanvasAgg(figure)
    figure.get_layout_engine().set(h_pad=0.12, w_pad=0.12)  # type: ignore[union-attr, call-arg]
    clicks, subs, money, cohort = figure.subplots(2, 2).flat
    heading = _heading(report, title.text)
    figure.suptitle(heading, color=INK, fontsize=12, parse_math=False, fontfamily=title.families or None)
    days = [date.fromisoformat(row["timestamp"]) for row in report["daily"]]
    for axes, key, name, colour in (
        (clicks, "clicks", "Clicks", CLICKS),
        (subs, "subs", "New subscribers", SUBS),
        (money, "revenue", "Net revenue", MONEY),
    ):
        if axes is clicks and clicks_unknown(report):
            _plain(axes, f"{report['clicks']:,} clicks, their days are not known", "day", "clicks per day")
            _nothing(axes, "by day they are known since the link was first seen here")
        else:
            _by_day(axes, days, [float(row[key]) for row in report["daily"]], name, colour)
    _curve(cohort, report["cohort"], report["revenue_basis"])
    return figure


def _save(figure: Figure, path: Path) -> None:
    draft = path.with_name(f".{path.name}.draft")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # an SVG's letters are the viewer's affair
        try:
            figure.savefig(draft, format=path.suffix[1:].lower(), dpi=120, metadata=_metadata(path))
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)


def clicks_unknown(report: dict[str, Any]) -> bool:
    """Whether the link has clicks of which the report does not know the days: a smart link's own are all known."""
    return (
        report.get("kind") != "smart"
        and bool(report.get("clicks"))
        and not any(row["clicks"] for row in report["daily"])
    )


def _heading(report: dict[str, Any], name: str) -> str:
    """Which link, and which days. The name has a line of its own: letters from right to left would turn what follows."""
    days = report["daily"]
    shown = (name if len(name) <= 80 else name[:79] + "…") + "\n" if name else ""
    first, last = (days[0]["timestamp"], days[-1]["timestamp"]) if days else ("", "")
    period = f"{first if first == last else f'{first} to {last}'}, UTC" if days else "no days yet"
    return f"{shown}{report['link']}  ·  {period}"


def _metadata(path: Path) -> dict[str, Any]:
    """No time of making: the same report is the same file."""
    return {"Date": None} if path.suffix.lower() == ".svg" else {"Software": None}


def _plain(axes: Axes, title: str, x: str, y: str) -> None:
    axes.set_title(title, loc="left", fontsize=10.5, color=INK, parse_math=False)
    axes.set_xlabel(x, fontsize=8.5, color=PALE)
    axes.set_ylabel(y, fontsize=8.5, color=PALE, parse_math=False)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=8, colors=INK)


def _dollars(amount: float) -> str:
    return f"{'-' if amount < 0 else ''}${abs(amount):,.2f}"


def _nothing(axes: Axes, text: str) -> None:
    axes.text(0.5, 0.5, text, ha="center", transform=axes.transAxes, color=PALE)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(visible=False)


def _by_day(axes: Axes, days: Sequence[date], values: Sequence[float], title: str, colour: str) -> None:
    money = "revenue" in title
    total = _dollars(sum(values)) if money else f"{sum(values):,.0f}"
    _plain(axes, f"{title} by day, {total} in all", "day", "$ per day" if money else f"{title.lower()} per day")
    if not any(values):
        _nothing(axes, "none in this period" if days else "nothing yet")
        return
    many = len(days) > _MANY_DAYS
    axes.bar(days, values, width=1.0 if many else 0.8, color=colour, alpha=0.6 if many else 1.0, label="day")  # type: ignore[arg-type]
    if many:
        axes.plot(days, _weekly(values), color=INK, linewidth=1.3, label="average of 7 days")  # type: ignore[arg-type]
        axes.legend(loc="upper left", fontsize=8, frameon=False, labelcolor=INK)
    _scales(axes, days, values, money=money)


def _scales(axes: Axes, days: Sequence[date], values: Sequence[float], *, money: bool) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, DateFormatter, date2num
    from matplotlib.ticker import MaxNLocator, StrMethodFormatter

    top, room = max([*values, 0.01 if money else 1]), 1.25 if len(days) > _MANY_DAYS else 1.1  # room for the legend
    axes.set_ylim(min([*values, 0]) * 1.1, top * room)
    axes.axhline(0, color=INK, linewidth=0.8)
    first, last = date2num([days[0], days[-1]])  # type: ignore[no-untyped-call]
    margin = max(0.8, (5 - len(days)) / 2)  # few days are no wall of colour
    axes.set_xlim(first - margin, last + margin)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=6, integer=not money))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}" if top >= 5 or not money else "{x:,.2f}"))
    if len(days) <= _WEEK:
        axes.set_xticks(days)  # type: ignore[arg-type]
        axes.xaxis.set_major_formatter(DateFormatter("%Y-%m-%d" if len(days) < 4 else "%d %b"))  # type: ignore[no-untyped-call]
    else:
        locator = AutoDateLocator(minticks=3, maxticks=8)  # type: ignore[no-untyped-call]
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(ConciseDateFormatter(locator, show_offset=False))  # type: ignore[no-untyped-call]


def _weekly(values: Sequence[float]) -> list[float]:
    """The mean of each day and the six before it, of fewer at the beginning."""
    weeks = [values[max(0, n - _WEEK + 1) : n + 1] for n in range(len(values))]
    return [sum(week) / len(week) for week in weeks]


def _curve(axes: Axes, cohort: dict[str, Any], basis: str) -> None:
    from matplotlib.ticker import StrMethodFormatter

    count = cohort["subscribers_count"]
    who = f"{count:,} subscriber{'' if count == 1 else 's'} of the period"
    _plain(axes, f"{basis.capitalize()} revenue per subscriber, {who}", "days since subscribing", "$ per subscriber")
    if cohort["arps_all_time"] is None:
        _nothing(axes, "no subscribers of the period")
        return
    values = [float(cohort[f"arps_{name}"]) for name in _WINDOW_DAYS]
    whole = float(cohort["arps_all_time"])
    if not any([*values, whole]):
        _nothing(axes, "no revenue yet")
        return
    days = list(_WINDOW_DAYS.values())
    axes.plot([0, *days], [0.0, *values], color=MONEY, marker="o", markersize=4.5)
    for day, value in zip(days, values, strict=True):  # below and right of the point: the curve comes from the left
        last = day == days[-1]
        below = {"textcoords": "offset points", "fontsize": 8, "color": INK, "parse_math": False, "va": "top"}
        side = "right" if last else "left"
        axes.annotate(_dollars(value), (day, value), (6 if last else 4, -7), ha=side, **below)  # type: ignore[arg-type]
    axes.axhline(whole, color=INK, linestyle="--", linewidth=1)
    axes.set_xlabel(f"days since subscribing (dashed line: ever, {_dollars(whole)})", parse_math=False)
    axes.set_xticks([0, *days])
    axes.set_xlim(-0.8, days[-1] + 2)
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}" if max(whole, *values) >= 5 else "{x:,.2f}"))
    low, high = min(0.0, whole, *values), max(whole, *values, 0.01)
    axes.set_ylim(low - 0.08 * (high - low), high + 0.08 * (high - low))  # room for labels under low points
