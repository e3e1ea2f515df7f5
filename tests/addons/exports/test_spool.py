"""Rows kept between calculation and building: exact, in order, complete."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from addons.exports import spool


def test_rows_come_back_as_they_were(tmp_path: Path) -> None:
    """Numbers keep their digits, text its line breaks; columns are chosen and ordered when reading."""
    path = tmp_path / "x.jsonl"
    with path.open("w", encoding="utf-8") as file:
        writer = spool.SpoolWriter(file, ["id", "amount", "text", "account_id"])
        writer.of_account("acct_a", "A")
        for n in range(5):
            writer.add({"id": 2**60 + n, "amount": Decimal("1.10"), "text": "a\u2028\nb", "other": 1})
    assert spool.count(path) == writer.rows == 5
    found = list(spool.batches(path, ["account_id", "text", "amount", "id"], 2))
    assert [len(batch) for batch in found] == [2, 2, 1]
    assert found[0][1] == ("acct_a", "a\u2028\nb", Decimal("1.10"), 2**60 + 1)


def test_a_missing_one(tmp_path: Path) -> None:
    """Is known as missing, and reading it is an error."""
    assert spool.count(tmp_path / "x.jsonl") is None
    with pytest.raises(FileNotFoundError):
        next(spool.batches(tmp_path / "x.jsonl", [], 1))
