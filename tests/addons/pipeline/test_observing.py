"""addons/pipeline/observing: rows for the store from bodies that pass by."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from addons.pipeline.observing import CompiledObserve, compile_observe, observed_rows
from addons.pipeline.rule_models import ObserveRule
from addons.pipeline.rule_yaml import Place, Source


def observe(**parts: Any) -> CompiledObserve:
    entry = ObserveRule.model_validate({"into": "fans", "each": "$.list[*]", "columns": {"fan_id": "id"}, **parts})
    problems: list[Any] = []
    compiled = compile_observe(entry, Place(Source("r.yaml"), (), problems))
    assert problems == []
    return compiled


def rows(compiled: CompiledObserve, body: bytes, **params: str) -> Any:
    return observed_rows((compiled,), params, body).get("fans", [])


def test_columns_are_read() -> None:
    """Values come as plain Python, money exact; an absent field is left out, so that it does not erase."""
    found = rows(
        observe(columns={"fan_id": "id", "spent": "sub.sum", "name": "name"}), b'{"list":[{"id":7,"sub":{"sum":1.10}}]}'
    )
    assert found == [{"fan_id": 7, "spent": Decimal("1.10")}]


def test_constants_may_hold_path_parameters() -> None:
    """`=text` is a constant, `={name}` a path parameter."""
    compiled = observe(columns={"fan_id": "id", "kind": "=tracking", "link_id": "={link}"})
    assert rows(compiled, b'{"list":[{"id":1}]}', link="12") == [{"kind": "tracking", "link_id": "12", "fan_id": 1}]


def test_when_and_keep_null() -> None:
    """`when` leaves objects out; `keep_null: false` leaves nulls out."""
    body = b'{"list":[{"id":1,"s":{}},{"id":2,"s":null},{"id":3},{"id":4,"s":false},{"id":5,"s":0,"n":null}]}'
    assert [r["fan_id"] for r in rows(observe(when="s"), body)] == [1, 5]
    columns = {"fan_id": "id", "name": "n"}
    assert rows(observe(columns=columns), body)[-1] == {"fan_id": 5, "name": None}
    assert rows(observe(columns=columns, keep_null=False), body)[-1] == {"fan_id": 5}


@pytest.mark.parametrize("body", [b"", b"<html>", b"5", b"{}", b'{"list":{}}', b'{"list":[1,null,[]]}', b"[" * 100_000])
def test_odd_bodies_give_no_rows(body: bytes) -> None:
    """What is not as expected gives no rows and no error."""
    assert rows(observe(), body) == []
