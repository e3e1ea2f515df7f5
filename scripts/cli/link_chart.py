"""The chart of a link's report: clicks, subscribers and revenue by day, and revenue per subscriber over time."""

from __future__ import annotations

import warnings
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CLICKS, SUBS, MONEY, INK = "#4c78a8", "#54a24b", "#e07b39", "#333333"
_WINDOW_DAYS = {"48h": 2, "7d": 7, "14d": 14, "30d": 30}


def write(report: dict[str, Any], path: Path) -> None:
    """Draws what `ofapi links report --json` prints; PNG or SVG by the ending. Raises OSError."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 7), layout="constrained")
    FigureCanvasAgg(figure)
    clicks, subs, money, cohort = figure.subplots(2, 2).flat
    figure.suptitle(f"{report['name'] or report['link']}  ·  {report['link']}", color=INK, parse_math=False)
    days = [date.fromisoformat(row["timestamp"]) for row in report["daily"]]
    for axes, key, title, colour in (
        (clicks, "clicks", "Clicks by day", CLICKS),
        (subs, "subs", "Subscribers by day", SUBS),
        (money, "revenue", "Net revenue by day, $", MONEY),
    ):
        _bars(axes, days, [float(row[key]) for row in report["daily"]], title, colour)
    _curve(cohort, report["cohort"], report["revenue_basis"])
    draft = path.with_name(f".{path.name}.draft")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # a name may use letters that the font lacks
        try:
            figure.savefig(draft, format=path.suffix[1:].lower(), dpi=120, metadata=_metadata(path))
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)


def _metadata(path: Path) -> dict[str, Any]:
    """No time of making: the same report is the same file."""
    return {"Date": None} if path.suffix.lower() == ".svg" else {"Software": None}


def _plain(axes: Axes, title: str) -> None:
    axes.set_title(title, loc="left", fontsize=10, color=INK, parse_math=False)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=8, colors=INK)
    axes.set_ylim(bottom=0)


def _bars(axes: Axes, days: list[date], values: list[float], title: str, colour: str) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
    from matplotlib.ticker import MaxNLocator

    _plain(axes, f"{title} (total {sum(values):,.2f})" if "$" in title else f"{title} (total {sum(values):,.0f})")
    if not days:
        axes.text(0.5, 0.5, "nothing yet", ha="center", transform=axes.transAxes, color=INK)
        axes.set_xticks([])
        return
    axes.bar(days, values, color=colour, width=0.9)  # type: ignore[arg-type]
    axes.set_ylim(min([*values, 0]) * 1.08, max([*values, 1]) * 1.08)
    axes.set_xlim(days[0].toordinal() - 719_163 - 0.8, days[-1].toordinal() - 719_163 + 0.8)
    locator = AutoDateLocator(minticks=2, maxticks=7)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    if "$" not in title:
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))


def _curve(axes: Axes, cohort: dict[str, Any], basis: str) -> None:
    _plain(axes, f"{basis.capitalize()} revenue per subscriber, $, by days since subscribing")
    if cohort["arps_all_time"] is None:
        axes.text(0.5, 0.5, "no subscribers yet", ha="center", transform=axes.transAxes, color=INK)
        axes.set_xticks([])
        return
    values = [float(cohort[f"arps_{name}"]) for name in _WINDOW_DAYS]
    whole = float(cohort["arps_all_time"])
    axes.plot([0, *_WINDOW_DAYS.values()], [0.0, *values], color=MONEY, marker="o", markersize=4)
    for day, value in zip(_WINDOW_DAYS.values(), values, strict=True):
        axes.annotate(f"{value:,.2f}", (day, value), (4, -11), textcoords="offset points", fontsize=8)
    axes.axhline(whole, color=INK, linestyle="--", linewidth=0.8)
    axes.annotate(f"all time {whole:,.2f}", (0, whole), (4, 4), textcoords="offset points", fontsize=8, color=INK)
    axes.set_xticks([0, *_WINDOW_DAYS.values()])
    axes.set_ylim(min(0.0, whole, *values), max(whole, *values, 0.01) * 1.15)
