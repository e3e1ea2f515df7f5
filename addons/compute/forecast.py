"""Simple forecasts of a daily series, in whole cents: a moving average, and a straight line through the history."""

from __future__ import annotations

from collections.abc import Callable, Sequence

WINDOW_DAYS = 30


def moving_average(history: Sequence[int], days: int) -> list[int]:
    """Each coming day is the mean of the 30 days before it, forecast days included."""
    window = list(history[-WINDOW_DAYS:])
    out = []
    for _ in range(days):
        value = round(sum(window) / len(window)) if window else 0
        out.append(value)
        window = [*window[1:], value] if len(window) >= WINDOW_DAYS else [*window, value]
    return out


def linear_regression(history: Sequence[int], days: int) -> list[int]:
    """The least-squares line through the history, never below 0."""
    n = len(history)
    if n < 2:
        return [max(0, history[0] if history else 0)] * days
    mean_x, mean_y = (n - 1) / 2, sum(history) / n
    spread = sum((x - mean_x) ** 2 for x in range(n))
    slope = sum((x - mean_x) * (y - mean_y) for x, y in enumerate(history)) / spread
    return [max(0, round(mean_y + slope * (n + i - mean_x))) for i in range(days)]


FORECASTS: dict[str, Callable[[Sequence[int], int], list[int]]] = {
    "moving_average": moving_average,
    "linear_regression": linear_regression,
}
