"""scripts/cli/rules: check, list and explain, for people and for programs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scripts.cli.main import run

REPO = Path(__file__).resolve().parents[3]
RULE = "- {id: one, match: 'GET /{account}/one', source: passthrough, why: A test., upstream: GET /api2/v2/one}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "a.yaml").write_text(RULE)
    return tmp_path / "rules"


def test_check_of_good_rules(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Good rules: exit code 0, counts and version."""
    assert run(["rules", "check", "--dir", str(folder), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["ok"], found["rules"], found["errors"]) == (True, 1, [])


def test_check_names_every_error(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Bad rules: exit code 1 and every error with file:line:column, as text and as JSON."""
    (folder / "b.yaml").write_text("- id: Two\n  sorce: x\n")
    assert run(["rules", "check", "--dir", str(folder)]) == 1
    text = capsys.readouterr().out
    assert "rules/b.yaml:2:3: unknown key `sorce` in a rule [unknown-key]" in text
    assert run(["rules", "check", "--dir", str(folder), "--json"]) == 1
    errors = json.loads(capsys.readouterr().out)["errors"]
    assert {"bad-value", "unknown-key", "missing-key"} <= {e["code"] for e in errors}
    assert all(e["line"] and e["column"] for e in errors)


def test_list(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every rule with its routes; `--source` filters."""
    assert run(["rules", "list", "--dir", str(folder), "--json"]) == 0
    assert [r["id"] for r in json.loads(capsys.readouterr().out)] == ["one"]
    assert run(["rules", "list", "--dir", str(folder), "--source", "hybrid", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []


def test_explain(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The winner and the upstream request; without a match the nearest rules."""
    assert run(["rules", "explain", "GET", "/acct_x/one?limit=5", "--dir", str(folder)]) == 0
    text = capsys.readouterr().out
    assert "one · passthrough" in text
    assert "upstream: GET /api2/v2/one?limit=5" in text
    assert run(["rules", "explain", "get", "acct_x/two", "--dir", str(folder)]) == 0
    assert "nearest rules" in capsys.readouterr().out
    assert run(["rules", "explain", "GET", "/a/../b", "--dir", str(folder), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "bad_request"


def test_explain_with_broken_rules(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is explained from rules that do not load."""
    (folder / "b.yaml").write_text("- id: [")
    assert run(["rules", "explain", "GET", "/acct_x/one", "--dir", str(folder), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["error"] == "rules_invalid"


def test_list_refuses_a_source_that_is_none(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A mistyped `--source` is wrong usage, not an empty list."""
    assert run(["rules", "list", "--dir", str(folder), "--source", "hybird", "--json"]) == 2
    assert "hybrid" in json.loads(capsys.readouterr().out)["message"]
