"""Rows that were asked of upstream, kept between the calculation of an export and its building: one JSON list a line.

The first line names the columns. A spool is whole or absent; where it is gone, upstream is asked again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

from addons.exports.writers import Cell
from ofapi_store.types import to_json


class SpoolWriter:
    """Appends rows; `rows` counts them."""

    def __init__(self, file: TextIO, columns: Sequence[str]) -> None:
        self._file = file
        self._columns = tuple(columns)
        self._account: dict[str, Any] = {}
        self.rows = 0
        file.write(to_json(list(self._columns)) + "\n")

    def of_account(self, account_id: str, name: str) -> None:
        """The rows that follow are of that account."""
        self._account = {"account_id": account_id, "account_name": name}

    def add(self, row: Mapping[str, Any]) -> None:
        full = {**row, **self._account}
        self._file.write(to_json([full.get(name) for name in self._columns]) + "\n")
        self.rows += 1


def batches(path: Path, columns: Sequence[str], size: int) -> Iterator[list[tuple[Cell, ...]]]:
    """The rows with the columns asked for, `size` at a time. Raises FileNotFoundError."""
    with path.open(encoding="utf-8") as file:
        names = json.loads(next(file))
        places = [names.index(name) for name in columns]
        while lines := list(islice(file, size)):
            rows = (json.loads(line, parse_float=Decimal) for line in lines)
            yield [tuple(row[i] for i in places) for row in rows]


def count(path: Path) -> int | None:
    """How many rows a spool holds; None where there is none."""
    try:
        with path.open("rb") as file:
            return sum(1 for _ in file) - 1
    except FileNotFoundError:
        return None
