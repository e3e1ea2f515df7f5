"""Forecasts of a daily series."""

from __future__ import annotations

import pytest

from addons.compute.forecast import linear_regression, moving_average


def test_the_average_of_a_constant_is_that_constant() -> None:
    """A flat history goes on flat."""
    assert moving_average([500] * 40, 3) == [500, 500, 500]


def test_the_average_looks_at_the_last_30_days_only() -> None:
    """What is older changes nothing."""
    assert moving_average([10_000, *[100] * 30], 2) == [100, 100]


def test_a_line_goes_on_as_a_line() -> None:
    """A history on a straight line is carried forward on it."""
    assert linear_regression([100, 200, 300], 2) == [400, 500]


def test_a_falling_line_ends_at_zero() -> None:
    """Revenue is never negative."""
    assert linear_regression([200, 100], 3) == [0, 0, 0]


@pytest.mark.parametrize("history", [[], [7]])
def test_short_histories(history: list[int]) -> None:
    """No day or one day: nothing to draw a line through."""
    assert linear_regression(history, 2) == [*history, *history] or linear_regression(history, 2) == [0, 0]
    assert len(moving_average(history, 2)) == 2
