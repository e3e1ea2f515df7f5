"""addons/enrich/lookup: fields of rows from rows of the store."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from addons.pipeline.steps import RuleProblem
from tests.addons.enrich.bench import run

AT = datetime(2025, 1, 1, 1, 1, 1, tzinfo=UTC)
FANS: dict[str, Any] = {
    "table": "fans",
    "each": "$.list[*]",
    "by": {"fan_id": "id"},
    "set": {"lastReplyAt": "last_reply_at"},
}


def test_number_and_text_keys_find_the_same_row() -> None:
    """`7` and `"7"` are one fan; a fraction, null or nothing is no key."""
    body = {"list": [{"id": 7}, {"id": "7"}, {"id": 7.5}, {"id": None}, {"x": 1}]}
    ran = run("lookup", FANS, body, rows={"7": {"last_reply_at": AT}})
    assert [row.get("lastReplyAt", "-") for row in ran.value["list"]] == ["2025-01-01T01:01:01+00:00"] * 2 + ["-"] * 3
    assert ran.counts == {"lastReplyAt": 2, "no_key": 3}
    assert ran.asked[0].keys == {"7"}


def test_several_targets_in_one_step() -> None:
    """A chat and its embedded user are set at once; an absent object is not made."""
    params = {
        **FANS,
        "by": {"fan_id": "withUser.id"},
        "set": {"lastReplyAt": "last_reply_at", "withUser.lastReplyAt": "last_reply_at", "no.x": "last_reply_at"},
    }
    ran = run("lookup", params, {"list": [{"withUser": {"id": 7}}]}, rows={"7": {"last_reply_at": AT}})
    text = "2025-01-01T01:01:01+00:00"
    assert ran.value == {"list": [{"withUser": {"id": 7, "lastReplyAt": text}, "lastReplyAt": text}]}
    assert ran.counts["no_target"] == 1


def test_nested_object_with_defaults() -> None:
    """A mapping builds an object; what is not known yet is null or the default, never 0; money is exact."""
    params = {
        "table": "tracking_links",
        "by": {"link_id": "id"},
        "set": {"tags": "tags", "revenue": {"total": "revenue_total", "isLoading": "loading"}},
        "defaults": {"tags": [], "loading": True},
    }
    rows = {"1": {"tags": ["a"], "revenue_total": Decimal("12.10"), "loading": False}}
    assert (
        run("lookup", params, b'{"id":1}', rows=rows).body
        == b'{"id":1,"tags":["a"],"revenue":{"total":12.10,"isLoading":false}}'
    )
    assert run("lookup", params, {"id": 2}).value == {
        "id": 2,
        "tags": [],
        "revenue": {"total": None, "isLoading": True},
    }


def test_only_if_found() -> None:
    """`only_if_found` leaves rows alone that the store does not have."""
    ran = run(
        "lookup", {**FANS, "only_if_found": True}, {"list": [{"id": 7}, {"id": 8}]}, rows={"8": {"last_reply_at": None}}
    )
    assert ran.value == {"list": [{"id": 7}, {"id": 8, "lastReplyAt": None}]}


def test_when_and_only_where() -> None:
    """Rows that are not meant stay as they are, and are not asked for."""
    body = {"list": [{"id": 1, "sub": {}}, {"id": 2, "sub": None}, {"id": 3}, {"id": 4, "sub": False}]}
    ran = run("lookup", {**FANS, "when": "sub"}, body)
    assert ran.asked[0].keys == {"1"}
    ran = run("lookup", {**FANS, "only_where": {"sub": None}}, body)
    assert ran.asked[0].keys == {"2", "3"}


def test_rows_are_not_for_present() -> None:
    """A lookup cannot stand in `present`: rows are asked for once, on upstream's body."""
    with pytest.raises(RuleProblem, match="once"):
        run("lookup", FANS, {}, where="present")


@pytest.mark.parametrize(
    "bad", [{"by": {}}, {"by": {"a": "a", "b": "b"}}, {"set": {}}, {"set": {"x": 5}}, {"tabel": "x"}]
)
def test_bad_parameters(bad: dict[str, Any]) -> None:
    """One key column, at least one target, no unknown key."""
    with pytest.raises(ValidationError):
        run("lookup", {**FANS, **bad}, {})
