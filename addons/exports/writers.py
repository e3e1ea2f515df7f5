"""Files of an export, row by row in flat memory: CSV and XLSX.

A file is written under a temporary name in its own folder, synced to disk and renamed when it is whole, so a finished
name never stands for half a file. Text that a spreadsheet would run as a formula gets a leading apostrophe, in CSV and
XLSX alike; numbers stay numbers.
"""

from __future__ import annotations

import csv
import os
import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

type Cell = str | int | Decimal | bool | datetime | None

# what hides a formula or is one: blanks of any width, marks without width, control characters; wide forms of = + - @
_HIDDEN = r"\s\x00-\x1f\x7f-\xa0\u00ad\u034f\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff"
_RUN = r"=+\-@\uff1d\uff0b\uff0d\uff20"
_FORMULA = re.compile(rf"[\t\r\n]|[{_HIDDEN}]*[{_RUN}]")
XLSX_MAX_ROWS = 1_048_575  # one of 1,048,576 is the header
_XLSX_MAX_TEXT = 32_767
PART = ".part"
_NEEDS_CARE = re.compile(rf"^[{_HIDDEN}{_RUN}]|[\x00\ud800-\udfff]")  # a million cells pass, few need more


def neutralise(text: str) -> str:
    """Text that a spreadsheet shows and never runs. What leads a formula does not hide it."""
    return "'" + text if _FORMULA.match(text) else text


def _plain(value: Cell) -> str | int | Decimal:
    kind = type(value)
    if kind is str:
        assert isinstance(value, str)
        return _cleaned(value) if _NEEDS_CARE.search(value) else value
    if kind is int or kind is Decimal:
        return value  # type: ignore[return-value]
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="seconds")
    return _cleaned(value) if isinstance(value, str) else value


def _cleaned(text: str) -> str:
    """What no file can hold is replaced, what would run is neutralised."""
    return neutralise(text.encode("utf-8", "replace").decode().replace("\x00", ""))


class RowWriter(Protocol):
    """Takes rows until it is closed; leaving its `with` block by an exception abandons what was written."""

    def write(self, row: Sequence[Cell]) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class CsvWriter:
    """UTF-8 with byte-order mark (spreadsheets guess wrong without), comma, CRLF, quotes where needed (RFC 4180)."""

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self._file = path.open("w", encoding="utf-8-sig", newline="")
        self._csv = csv.writer(self._file)
        self._csv.writerow(columns)

    def write(self, row: Sequence[Cell]) -> None:
        self._csv.writerow([_plain(cell) for cell in row])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


class XlsxWriter:
    """One sheet in constant memory. Raises ValueError past the format's 1,048,575 rows."""

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        import xlsxwriter

        options = {
            "constant_memory": True,
            "strings_to_formulas": False,
            "strings_to_urls": False,
            "strings_to_numbers": False,
            "tmpdir": str(path.parent),
        }
        self._book = xlsxwriter.Workbook(str(path), options)
        self._sheet = self._book.add_worksheet("export")
        self._sheet.write_row(0, 0, columns, self._book.add_format({"bold": True}))
        self._sheet.freeze_panes(1, 0)
        self._rows = 0

    def write(self, row: Sequence[Cell]) -> None:
        if self._rows >= XLSX_MAX_ROWS:
            raise ValueError(f"an xlsx sheet holds at most {XLSX_MAX_ROWS} rows; choose csv or a shorter period")
        self._rows += 1
        for column, cell in enumerate(row):
            value = _plain(cell)
            if isinstance(value, str):
                self._sheet.write_string(self._rows, column, value[:_XLSX_MAX_TEXT])
            elif isinstance(value, int) and abs(value) >= 2**53:
                self._sheet.write_string(self._rows, column, str(value))  # a double would change the id
            else:
                self._sheet.write_number(self._rows, column, value)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._book.close()
            return
        self._book.fileclosed = True  # putting the sheet together may take long, and nobody wants it
        self._sheet.row_data_fh.close()


ROW_WRITERS: dict[str, Callable[[Path, Sequence[str]], RowWriter]] = {"csv": CsvWriter, "xlsx": XlsxWriter}


@contextmanager
def whole_file(final: Path) -> Iterator[Path]:
    """A path in a folder of its own that becomes `final` when the block ends well, and is removed when it does not.

    What a killed process leaves behind is removed by `remove_parts`.
    """
    final.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder = final.with_name(f".{final.name}.{secrets.token_hex(4)}{PART}")
    folder.mkdir(mode=0o700)
    try:
        yield folder / final.name
        _sync(folder / final.name)
        (folder / final.name).replace(final)
        _sync(final.parent)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def remove_parts(folder: Path, pattern: str = "*", *, older_than_s: float = 0.0) -> int:
    """Removes what killed builds of the files `pattern` left in a folder. Returns how many."""
    parts = [p for p in folder.glob(f".{pattern}{PART}") if time.time() - p.stat().st_mtime >= older_than_s]
    for part in parts:
        shutil.rmtree(part, ignore_errors=True)
    return len(parts)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def unique_name(name: str, used: set[str]) -> str:
    """A file name without folders or control characters that no earlier member has."""
    safe = "".join(c for c in name.replace("\\", "/").rsplit("/", 1)[-1] if c.isprintable()).strip(". ") or "file"
    stem, dot, suffix = safe.rpartition(".")
    if not dot:
        stem, suffix = safe, ""
    candidate, number = safe, 1
    while candidate.lower() in used:
        number += 1
        candidate = f"{stem}-{number}{dot}{suffix}"
    used.add(candidate.lower())
    return candidate
