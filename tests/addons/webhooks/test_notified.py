"""Reading upstream's notifications, whatever they look like."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from addons.webhooks.notified import member, numbered, rows_of, since, time_of

START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("body", [b"", b"<html>", b"7", b'{"list": 5}', b'[1, null, "x"]', b'{"list": null}'])
def test_strange_lists_have_no_rows(body: bytes) -> None:
    """Upstream in trouble sends anything."""
    assert rows_of(body) == []


def test_only_numbered_rows_are_facts() -> None:
    """An id of another kind could not be compared with the cursor."""
    assert numbered([{"id": 1}, {"id": "2"}, {"id": True}, {}]) == [{"id": 1}]


def test_what_cannot_be_read_is_absent() -> None:
    """No time, no member: never an exception; a row without a time is taken for news."""
    assert time_of("never") is None
    assert time_of(None) is None
    assert member({"user": 5}, "user") == {}
    assert since({"createdAt": "never"}, START)
    assert not since({"createdAt": "2025-12-31T23:59:59+00:00"}, START)
