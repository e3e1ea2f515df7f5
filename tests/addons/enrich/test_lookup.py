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


def test_when_in_several_places() -> None:
    """A row is meant where any of the places has a value other than null or false."""
    body = {"list": [{"id": 1, "sub": {}}, {"id": 2, "now": True}, {"id": 3, "sub": None, "now": False}, {"id": 4}]}
    ran = run("lookup", {**FANS, "when": ["sub", "now"]}, body)
    assert ran.asked[0].keys == {"1", "2"}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"list": [{"id": 7}]}, {"list": [{"id": 7, "lastReplyAt": None}]}),
        ({"users": [{"id": 7}, 5]}, {"users": [{"id": 7, "lastReplyAt": None}, 5]}),
        ([{"id": 7}], [{"id": 7, "lastReplyAt": None}]),
        ({"other": [{"id": 7}]}, {"other": [{"id": 7}]}),
        (
            {"list": [{"id": 7}], "users": [{"id": 7}]},
            {"list": [{"id": 7, "lastReplyAt": None}], "users": [{"id": 7, "lastReplyAt": None}]},
        ),
    ],
)
def test_rows_in_several_places(body: Any, expected: Any) -> None:
    """`each` with several paths finds rows wherever upstream put them, and asks for them once."""
    ran = run("lookup", {**FANS, "each": ["$.list[*]", "$.users[*]", "$[*]"]}, body)
    assert ran.value == expected
    assert [query.keys for query in ran.asked] == ([{"7"}] if ran.value != body else [])


NEWEST = {
    **FANS,
    "by": {"fan_id": "fromUser.id"},
    "set": {"fromUser.lastReplyAt": "last_reply_at"},
    "newest": {"last_reply_at": {"each": "$.list[*]", "by": "fromUser.id", "value": "createdAt"}},
}


@pytest.mark.parametrize(
    ("stored", "said", "expected"),
    [
        (None, ["2025-01-01T01:01:01+00:00"], "2025-01-01T01:01:01+00:00"),
        (AT, ["2025-01-02T01:00:00+02:00", "2024-01-01T00:00:00Z"], "2025-01-01T23:00:00+00:00"),
        (AT, ["2024-01-01T00:00:00+00:00"], "2025-01-01T01:01:01+00:00"),
        (AT, ["soon", None, {}, 5e99], "2025-01-01T01:01:01+00:00"),
        (None, ["soon"], None),
    ],
)
def test_a_later_time_of_the_body_counts(stored: Any, said: list[Any], expected: Any) -> None:
    """What the body itself says is not in the store yet: of the two the later time is set, whatever else stands there."""
    body = {"list": [{"fromUser": {"id": 7}, "createdAt": at} for at in said]}
    ran = run("lookup", NEWEST, body, rows={"7": {"last_reply_at": stored}})
    assert {row["fromUser"]["lastReplyAt"] for row in ran.value["list"]} == {expected}


def test_a_time_of_the_body_needs_no_row() -> None:
    """Also of a row that the store does not have yet, and of nobody else's."""
    body = {"list": [{"fromUser": {"id": 7}, "createdAt": "2025-01-01T01:01:01Z"}, {"fromUser": {"id": 8}}]}
    shown = [row["fromUser"]["lastReplyAt"] for row in run("lookup", NEWEST, body).value["list"]]
    assert shown == ["2025-01-01T01:01:01+00:00", None]


@pytest.mark.parametrize("column", ["username", "last_seen_at"])
def test_newest_is_for_times_that_are_set(column: str) -> None:
    """A column that is no time, or that the step does not set, is an error at load."""
    wrong = {**NEWEST, "set": {"x": "username"}, "newest": {column: NEWEST["newest"]["last_reply_at"]}}
    with pytest.raises(RuleProblem, match=r"no time|no column"):
        run("lookup", wrong, {})


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
