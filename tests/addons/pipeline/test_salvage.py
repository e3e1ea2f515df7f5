"""addons/pipeline/salvage: what is left of data that does not validate."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict

from addons.pipeline.salvage import salvaged, salvaged_rule

GOOD: dict[str, Any] = {
    "id": "a",
    "match": ["GET /{account}/a", "GET /{account}/b"],
    "source": "hybrid",
    "why": "x",
    "upstream": "GET /api2/v2/a",
    "params": {"limit": {"type": "int"}},
    "steps": [{"addon": "remove", "fields": ["x"]}, {"addon": "const", "set": {"a": 1}}],
    "observe": [{"into": "fans", "each": "$", "columns": {"fan_id": "id"}}],
    "present": {"page": "offset", "steps": [{"addon": "unwrap", "path": "$.list"}]},
}


def test_a_right_rule_is_left_whole() -> None:
    """Nothing is cut where nothing is wrong."""
    left = salvaged_rule(GOOD)
    assert left is not None
    assert left.model_dump(exclude_unset=True)["steps"] == GOOD["steps"]
    assert left.present.page is not None
    assert left.state == "active"


def test_items_of_lists_keep_their_places() -> None:
    """A wrong item leaves a gap, so that problems of later ones are told at their own place."""
    left = salvaged_rule(GOOD | {"match": [5, "GET /{account}/b"], "steps": [{"x": 1}, GOOD["steps"][1]]})
    assert left is not None
    assert left.match == [None, "GET /{account}/b"]
    assert [s and s.addon for s in left.steps] == [None, "const"]


@pytest.mark.parametrize("key", ["priority", "state"])
def test_without_its_rank_a_rule_does_not_compete(key: str) -> None:
    """Where what decides between rules was cut, the rest is checked for itself alone."""
    left = salvaged_rule(GOOD | {key: [1]})
    assert left is not None
    assert left.state == "disabled"


def test_what_is_no_mapping_is_nothing() -> None:
    """Of text, a number or a list nothing is left."""
    assert [salvaged_rule(value) for value in ("x", 5, None, [GOOD])] == [None] * 4


def test_what_must_be_there_is_not_invented() -> None:
    """A model whose required part is wrong cannot be salvaged."""

    class Model(BaseModel):
        model_config = ConfigDict(extra="forbid", strict=True)
        must: int
        may: list[int] = []

    assert salvaged(Model, {"must": "x"}) is None
    left = salvaged(Model, {"must": 1, "may": [1, "x"], "unknown": 2})
    assert left is not None
    assert (left.must, left.may) == (1, [])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(st.sampled_from(sorted(GOOD)), JSON, st.dictionaries(st.text(max_size=4), JSON, max_size=2))
def test_one_wrong_part_takes_nothing_else_along(key: str, value: Any, unknown: dict[str, Any]) -> None:
    """Whatever stands at one key, what is left has all the others, and the data is as it was."""
    data = unknown | GOOD | {key: value}
    before = repr(data)
    left = salvaged_rule(data)
    assert repr(data) == before
    assert left is not None
    assert set(GOOD) - {key} <= left.model_fields_set
