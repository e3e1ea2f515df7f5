"""JSON values as column values: what upstream means is taken, what is ambiguous is refused."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from ofapi_store.coerce import to_bool, to_int, to_object, to_str
from ofapi_store.errors import BadValue


@pytest.mark.parametrize(
    ("value", "number"), [(5, 5), ("5", 5), ("-5", -5), (5.0, 5), (Decimal("5.00"), 5), ("007", 7)]
)
def test_whole_numbers(value: Any, number: int) -> None:
    """Counts and ids come as numbers or text."""
    assert to_int(value) == number


@pytest.mark.parametrize(
    "value", [True, None, "", "-", "5.0", "٥", 1.5, float("nan"), float("inf"), 2**63, "9" * 19, "9" * 99, []]
)
def test_no_whole_number(value: Any) -> None:
    """Nothing is truncated, and nothing is beyond 64 bits."""
    with pytest.raises(BadValue):
        to_int(value)


@pytest.mark.parametrize(
    ("value", "text"), [("a", "a"), (5, "5"), (1.5, "1.5"), ("\ud83d\ude00", "😀"), ("\ud83d", "\ufffd")]
)
def test_text(value: Any, text: str) -> None:
    """Numbers become text; halves of a character that fit are joined, a lone one is replaced."""
    assert to_str(value) == text


def test_other_types_are_refused() -> None:
    """Text is not true or false, and a list is no object."""
    assert (to_bool(True), to_bool(0), to_object({})) == (True, False, {})
    for call, value in ((to_bool, "true"), (to_bool, 1.0), (to_bool, 2), (to_str, True), (to_str, []), (to_object, [])):
        with pytest.raises(BadValue):
            call(value)
