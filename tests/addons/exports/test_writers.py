"""Export files, opened with the readers that people use."""

from __future__ import annotations

import csv
from datetime import UTC, datetime
from decimal import Decimal

import openpyxl
import pytest

from addons.exports.writers import ROW_WRITERS, CsvWriter, neutralise, remove_parts, unique_name, whole_file

ROW = ["=1+1", 2**60, Decimal("12.50"), True, datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), None, 'a,"b"\nc\x00\ud800']


def test_csv_reads_back_with_the_csv_module(tmp_path):
    """Commas, quotes and line breaks survive; money keeps its text; nothing is a formula."""
    path = tmp_path / "x.csv"
    with CsvWriter(path, list("abcdefg")) as out:
        out.write(ROW)
    with path.open(encoding="utf-8-sig", newline="") as file:
        header, row = csv.reader(file)
    assert header == list("abcdefg")
    assert row == ["'=1+1", str(2**60), "12.50", "true", "2026-01-02T03:04:05+00:00", "", 'a,"b"\nc?']


def test_xlsx_reads_back_with_a_real_reader(tmp_path):
    """Numbers are numbers, ids beyond 2**53 are exact text, formulas are text."""
    path = tmp_path / "x.xlsx"
    with ROW_WRITERS["xlsx"](path, list("abcdefg")) as out:
        out.write(ROW)
    sheet = openpyxl.load_workbook(path).active
    values = [c.value for c in sheet[2]]
    assert values[0] == "'=1+1"
    assert sheet["A2"].data_type == "s"
    assert values[1] == str(2**60)
    assert values[2] == 12.5
    assert values[4] == "2026-01-02T03:04:05+00:00"


@pytest.mark.parametrize(
    "text",
    [
        *("=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "  =1", "\ufeff=1"),
        *("\n=1", "\ttab", "\rcr", "\nlf", "\u3000=1", "\u2003\u200b=1", "\u200e-1", "\x0b=1", " \n @x", "\x85=1"),
        *(
            "\uff1d1+1",
            "\uff0b1",
            "\uff0d1",
            "\uff20SUM(A1)",
            " \uff1d1",
        ),  # wide forms, which some programs read as narrow
    ],
)
def test_text_that_a_spreadsheet_would_run_is_neutralised(text):
    """Each start that spreadsheets take for a formula gets an apostrophe, also behind blanks."""
    assert neutralise(text) == "'" + text


def test_plain_text_is_left_alone():
    """Only formulas are touched."""
    for text in ("5 = 5", "", " ", "  plain", "\u3000\u5bd2\u3044", "\u202dx", "a\n=b", "*", "\u2013 dash"):
        assert neutralise(text) == text


def test_a_broken_off_file_never_has_the_finished_name(tmp_path):
    """The final name appears only when the file is whole; what was begun is removed."""
    final = tmp_path / "deep" / "x.csv"

    def break_off():
        with whole_file(final) as path, CsvWriter(path, ["a"]) as out:
            out.write(["1"])
            assert not final.exists()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        break_off()
    assert list(final.parent.iterdir()) == []
    with whole_file(final) as path, CsvWriter(path, ["a"]):
        pass
    assert [p.name for p in final.parent.iterdir()] == ["x.csv"]


def test_names_inside_a_zip_are_safe_and_unique():
    """Folders, dots and doubled names from upstream cannot write elsewhere or hide a file."""
    used: set[str] = set()
    names = [unique_name(name, used) for name in ("../../etc/a.jpg", "A.jpg", "..", "b\x00.mp4", "c\\d.gif")]
    assert names == ["a.jpg", "A-2.jpg", "file", "b.mp4", "d.gif"]
    assert unique_name("noext", {"noext"}) == "noext-2"


def test_what_a_killed_build_left_is_removed(tmp_path):
    """Only the parts of the file in question, or only old ones."""
    for name in ("x.csv", "y.csv"):
        (tmp_path / f".{name}.abcd.part").mkdir()
    assert remove_parts(tmp_path, older_than_s=60) == 0
    assert remove_parts(tmp_path, "x.csv.*") == 1
    assert [p.name for p in tmp_path.iterdir()] == [".y.csv.abcd.part"]
