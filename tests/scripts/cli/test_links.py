"""`ofapi links`: figures of links as programs and people see them, and the chart as a file."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ofapi_store import testing
from ofapi_store.engine import Store
from ofapi_store.models import metadata
from ofapi_store.models.link_revenue import SUMS
from scripts.cli import chart_fonts, link_chart, links, main
from tests.addons.links.making import START, make_click, make_smart, ulid

REPO = Path(__file__).resolve().parents[3]
DAY = (START - datetime(1970, 1, 1, tzinfo=UTC)).days
Ofapi = Callable[..., Any]


@pytest.fixture
def config(tmp_path: Path, sqlite_url: str) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(f"rules: {{dir: {REPO}/rules}}\nstore: {{url: '{sqlite_url}'}}\n")
    return path


@pytest.fixture
def ofapi(config: Path, capsys: pytest.CaptureFixture[str]) -> Ofapi:
    """Runs one command with --json; gives (exit code, value)."""

    def call(*args: str) -> tuple[int, Any]:
        capsys.readouterr()
        code = main.run(["--config", str(config), "links", *args, "--json"])
        return code, json.loads(capsys.readouterr().out)

    return call


def rows(conn: Any, table: str, *values: dict[str, Any]) -> None:
    conn.execute(metadata.tables[table].insert(), list(values))


@pytest.fixture
def accounts(sqlite_store: Store) -> list[str]:
    """A smart link and the trial link 7 of one account; the tracking link 5 of it and of another team's account.

    Two fans came by the smart link on two days and paid 30.00 and 12.50.
    """
    with sqlite_store.write() as conn:
        found = [testing.make_account(conn, testing.make_team(conn).id) for _ in range(2)]
        ids = [account.id for account in found]
        smart = make_smart(conn, found[0].team_id, ids[0], name="Autumn $5 [x] ☂")
        for number in (1, 2, 3):
            make_click(conn, smart, number)
        base = {"ref": smart, "account_id": ids[0]}
        totals = {"subs": 2, "spenders": 2, "net": 4250, "tips_net": 0, "chargebacks": 0, "fans_1": 0, "fans_3": 0}
        rows(conn, "link_totals", {**base, **totals, "conversions": 4})
        days = [(DAY, 1, 3000), (DAY + 40, 1, 1250)]
        rows(conn, "link_days", *({**base, "day": d, "subs": s, "net": n, "spenders": 1} for d, s, n in days))
        sums = [{name: n if name != "net_48h" else n // 2 for name in SUMS} for _, _, n in days]
        rows(
            conn, "link_cohorts", *({**base, "day": d, "subs": 1, **v} for (d, _, _), v in zip(days, sums, strict=True))
        )
        at = {"first_seen_at": START, "observed_at": START, "updated_at": START, "created_at": START}
        real = [(ids[0], "trial", 7, "Seven"), (ids[0], "tracking", 5, "Five"), (ids[1], "tracking", 5, None)]
        rows(conn, "links", *({"account_id": a, "kind": k, "link_id": i, "name": n, **at} for a, k, i, n in real))
    return ids


def test_links_of_all_kinds_are_listed(ofapi: Ofapi, accounts: list[str]) -> None:
    """Named as `report` takes them; narrowed by kind and account."""
    code, found = ofapi("list")
    assert code == 0
    assert [row["link"] for row in found] == [ulid(1), "tracking:5", "tracking:5", "trial:7"]
    shown = {k: found[0][k] for k in ("name", "clicks", "subscribers", "spenders", "revenue")}
    assert shown == {"name": "Autumn $5 [x] ☂", "clicks": 3, "subscribers": 2, "spenders": 2, "revenue": 42.5}
    assert found[3]["revenue"] is None
    assert [row["link"] for row in ofapi("list", "--kind", "tracking", "--account", accounts[1])[1]] == ["tracking:5"]
    assert ofapi("list", "--kind", "banner")[0] == 2


def test_a_report_adds_up(ofapi: Ofapi, accounts: list[str]) -> None:
    """Every day of the period, months, and the cohort by both bases."""
    code, found = ofapi("report", ulid(1).lower())
    assert code == 0
    assert (len(found["daily"]), found["daily"][0]["timestamp"]) == (41, "2026-01-01")
    assert found["daily"][0] == {"timestamp": "2026-01-01", "clicks": 3, "subs": 1, "revenue": 30, "spenders": 1}
    assert [(row["timestamp"], row["revenue"]) for row in found["monthly"]] == [
        ("2026-01-01", 30),
        ("2026-02-01", 12.5),
    ]
    cohort = found["cohort"]
    assert (cohort["subscribers_count"], cohort["arps_48h"], cohort["arps_all_time"]) == (2, 10.63, 21.25)
    later = ofapi("report", ulid(1), "--start", "2026-02-01", "--end", "2026-02-28", "--gross")[1]
    assert len(later["daily"]) == 28
    assert [row["revenue"] for row in later["daily"] if row["revenue"]] == [12.5]
    assert (later["cohort"]["arps_48h"], later["revenue_basis"]) == (12.5, "gross")


def test_real_links_are_named_by_kind_and_id(ofapi: Ofapi, accounts: list[str]) -> None:
    """An id that two accounts know asks for the account."""
    assert ofapi("report", "trial:7")[1]["name"] == "Seven"
    code, body = ofapi("report", "tracking:5")
    assert (code, body["error"]) == (2, "ambiguous")
    assert ofapi("report", "tracking:5", "--account", accounts[1])[1]["account"] == accounts[1]


@pytest.mark.parametrize(
    ("args", "code", "error"),
    [
        (["nothing"], 1, "link_not_found"),
        ([ulid(9)], 1, "link_not_found"),
        (["trial:99"], 1, "link_not_found"),
        (["banner:1"], 2, "bad_value"),
        (["trial:x"], 2, "bad_value"),
        (["trial:" + "9" * 30], 2, "bad_value"),
        ([ulid(1), "--start", "soon"], 2, "bad_value"),
        ([ulid(1), "--start", "2026-02-01", "--end", "2026-01-01"], 2, "bad_value"),
        ([ulid(1), "--out", "chart.pdf"], 2, "bad_value"),
        ([ulid(1), "--out", "/nowhere/chart.png"], 1, "not_written"),
    ],
)
def test_what_cannot_be_reported(ofapi: Ofapi, accounts: list[str], args: list[str], code: int, error: str) -> None:
    """A stable code and a text that says what to do."""
    assert accounts
    got, body = ofapi("report", *args)
    assert (got, body["error"]) == (code, error), body


@pytest.mark.parametrize("link", [ulid(1), "trial:7"])
def test_a_chart_is_a_file(ofapi: Ofapi, accounts: list[str], tmp_path: Path, link: str) -> None:
    """PNG or SVG by the ending, with something in it or nothing yet; the same figures give the same file."""
    assert accounts
    png, svg = tmp_path / "chart.PNG", tmp_path / "chart.svg"
    assert ofapi("report", link, "--out", str(png))[1]["chart"] == str(png)
    assert png.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert ofapi("report", link, "--out", str(svg))[0] == 0
    assert ET.parse(svg).getroot().tag.endswith("svg")
    before = png.read_bytes()
    ofapi("report", link, "--out", str(png))
    assert png.read_bytes() == before
    assert sorted(path.name for path in tmp_path.glob("*chart*")) == ["chart.PNG", "chart.svg"]


def written(report: dict[str, Any], path: Path) -> list[str]:
    """The texts of the chart; as texts they are shown by whatever fonts the viewer has."""
    assert link_chart.write(report, path) is None
    return [element.text or "" for element in ET.parse(path).iter("{http://www.w3.org/2000/svg}text")]


@pytest.mark.parametrize("days", [1, 5, 60, 400])
def test_a_chart_names_its_axes_and_fits_its_days(tmp_path: Path, days: int) -> None:
    """Every axis is labelled, dates do not crowd, a long course has an average and a legend, amounts are in dollars."""
    start = date(2025, 1, 1)
    daily = [
        {"timestamp": (start + timedelta(days=n)).isoformat(), "clicks": n % 7, "subs": 1, "revenue": n - 1.5}
        for n in range(days)
    ]
    cohort = {"subscribers_count": 2, **{f"arps_{name}": 12.5 for name in ("48h", "7d", "14d", "30d", "all_time")}}
    report = {"name": "Spring", "link": "tracking:5", "daily": daily, "cohort": cohort, "revenue_basis": "gross"}
    path = tmp_path / "chart.svg"
    texts = written(report, path)
    assert {"day", "clicks per day", "new subscribers per day", "$ per day", "$ per subscriber"} <= set(texts)
    assert "Gross revenue per subscriber, 2 subscribers of the period" in texts
    assert {"days since subscribing (dashed line: ever, $12.50)", "$12.50"} <= set(texts)
    assert texts.count("average of 7 days") == (3 if days > 45 else 0)
    period = str(start) if days == 1 else f"{start} to {daily[-1]['timestamp']}"
    assert {"Spring", f"tracking:5  ·  {period}, UTC"} <= set(texts)
    assert len(texts) < 90


def test_a_chart_of_nothing_earned_says_so(tmp_path: Path) -> None:
    """Subscribers who paid nothing have no curve at fractions of a cent; a name written from the right turns no id."""
    cohort = {"subscribers_count": 2, **{f"arps_{name}": 0 for name in ("48h", "7d", "14d", "30d", "all_time")}}
    daily = [{"timestamp": "2025-01-01", "clicks": 1, "subs": 2, "revenue": 0}]
    report = {"name": "x \u0627", "link": ulid(1), "daily": daily, "cohort": cohort, "revenue_basis": "net"}
    path = tmp_path / "chart.svg"
    texts = written(report, path)
    assert {"no revenue yet", f"{ulid(1)}  ·  2025-01-01, UTC"} <= set(texts)


def test_a_picture_shows_no_boxes_for_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Letters that no font has: the id stands alone and it is said; an SVG has the name; a symbol is left out."""
    from matplotlib import font_manager

    usual = [entry for entry in font_manager.fontManager.ttflist if entry.name.startswith(("DejaVu", "Last", "STIX"))]
    monkeypatch.setattr(font_manager.fontManager, "ttflist", usual)
    assert chart_fonts.title("Plain ☂") == ("Plain ☂", [])
    assert chart_fonts.title("Story 東京") == ("", [])
    assert chart_fonts.title("Boo 🎃 now") == ("Boo now", [])
    assert chart_fonts.title("a𝒜").families[0] == "DejaVu Sans"  # and another one that has the script letter
    cohort = {"subscribers_count": 1, **{f"arps_{name}": 0 for name in ("48h", "7d", "14d", "30d", "all_time")}}
    daily = [{"timestamp": "2025-01-01", "clicks": 1, "subs": 1, "revenue": 0}]
    report = {"name": "Story 東京", "link": ulid(1), "daily": daily, "cohort": cohort, "revenue_basis": "net"}
    assert link_chart.write(report, tmp_path / "chart.png") == link_chart.NOT_SHOWN
    assert "Story 東京" in written(report, tmp_path / "chart.svg")


def test_days_without_anything_are_rows_of_zeros(
    ofapi: Ofapi, config: Path, accounts: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """A period that is asked for is shown whole, up to today; where there are no days at all, words say so."""
    assert accounts
    daily = ofapi("report", ulid(1), "--start", "2026-01-30", "--end", "2026-02-01")[1]["daily"]
    assert [(row["timestamp"], row["clicks"], row["revenue"]) for row in daily] == [
        ("2026-01-30", 0, 0), ("2026-01-31", 0, 0), ("2026-02-01", 0, 0),
    ]  # fmt: skip
    months = ofapi("report", ulid(1), "--start", "2025-10-15", "--end", "2026-01-15")[1]["monthly"]
    assert [(row["timestamp"][:7], row["revenue"]) for row in months] == [
        ("2025-10", 0), ("2025-11", 0), ("2025-12", 0), ("2026-01", 30),
    ]  # fmt: skip
    open_end = ofapi("report", ulid(1), "--start", "-2days")[1]["daily"]
    assert (len(open_end), open_end[-1]["timestamp"]) == (3, datetime.now(UTC).date().isoformat())
    assert ofapi("report", ulid(1), "--start", "2100-01-01", "--end", "2100-02-01")[1]["daily"] == []
    for link, told in ((ulid(1), "2026-01-30"), ("trial:7", "2026-01-30")):
        assert (
            main.run(["--config", str(config), "links", "report", link, "--start", "2026-01-30", "--end", "2026-01-31"])
            == 0
        )
        assert told in capsys.readouterr().out
    assert main.run(["--config", str(config), "links", "report", "trial:7"]) == 0
    assert "nothing is known of this link" in capsys.readouterr().out


@pytest.mark.parametrize(("count", "line"), [(0, "0 subscribers"), (1, "1 subscriber"), (1200, "1,200 subscribers")])
def test_subscribers_are_counted_in_good_grammar(count: int, line: str) -> None:
    """One subscriber is no subscribers."""
    cohort = {"subscribers_count": count, "coverage_percent": 0.5, "source_subscribers_total": 2400}
    assert links._cohort_line(cohort) == f"{line} of the period; known here: 50% of the link's 2,400"
    assert links._cohort_line({**cohort, "coverage_percent": None}) == f"{line} of the period"


def test_a_sum_of_clicks_without_days_is_told_once(tmp_path: Path) -> None:
    """Upstream tells how many clicks a link had before it was first seen here, and not when: that is not none."""
    cohort = {"subscribers_count": 0, **{f"arps_{name}": None for name in ("48h", "7d", "14d", "30d", "all_time")}}
    daily = [{"timestamp": "2025-01-01", "clicks": 0, "subs": 0, "revenue": 20}]
    report = {"kind": "trial", "clicks": 25, "name": "T", "link": "trial:1", "daily": daily, "cohort": cohort}
    texts = written(report | {"revenue_basis": "net"}, tmp_path / "chart.svg")
    assert "25 clicks, their days are not known" in texts
    assert texts.count("none in this period") == 1  # new subscribers; revenue has its bar, the cohort its own words
    texts = written(report | {"revenue_basis": "net", "kind": "smart"}, tmp_path / "chart.svg")
    assert texts.count("none in this period") == 2


def test_people_read_a_table(config: Path, accounts: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Days with a total, the cohort below; brackets in a name are no markup."""
    assert accounts
    assert main.run(["--config", str(config), "links", "report", ulid(1)]) == 0
    shown = capsys.readouterr().out
    for text in (
        "Autumn $5 [x]",
        "2026-01-01",
        "total",
        "42.50",
        "all time",
        "21.25",
        "clicks 3",
        "revenue 42.50",
        "100%",
    ):
        assert text in shown
    assert main.run(["--config", str(config), "links", "list"]) == 0
    assert "tracking:5" in capsys.readouterr().out
