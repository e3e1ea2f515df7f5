"""Files of an export, row by row in flat memory: CSV, XLSX, ZIP.

A file is written under a temporary name in its own folder, synced to disk and renamed when it is whole, so a finished
name never stands for half a file. Text that a spreadsheet would run as a formula gets a leading apostrophe, in CSV and
XLSX alike; numbers stay numbers.
"""

from __future__ import annotations

import csv
import os
import secrets
import shutil
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Protocol, Self

type Cell = str | int | Decimal | bool | datetime | None

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
XLSX_MAX_ROWS = 1_048_575  # one of 1,048,576 is the header
_XLSX_MAX_TEXT = 32_767


def neutralise(text: str) -> str:
    """Text that a spreadsheet shows and never runs. Leading blanks do not hide a formula."""
    if text.startswith(_FORMULA_STARTS) or text.lstrip(" \u00a0\ufeff").startswith(_FORMULA_STARTS):
        return "'" + text
    return text


def _plain(value: Cell) -> str | int | Decimal:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="seconds")
    if isinstance(value, str):
        return neutralise(value.encode("utf-8", "replace").decode().replace("\x00", ""))
    return value


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
        self._book.close()


ROW_WRITERS: dict[str, Callable[[Path, Sequence[str]], RowWriter]] = {"csv": CsvWriter, "xlsx": XlsxWriter}


@contextmanager
def whole_file(final: Path) -> Iterator[Path]:
    """A temporary path that becomes `final` when the block ends well, and is removed when it does not."""
    final.parent.mkdir(parents=True, exist_ok=True)
    temporary = final.with_name(f".{final.name}.{secrets.token_hex(4)}.part")
    try:
        yield temporary
        _sync(temporary)
        temporary.replace(final)
        _sync(final.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_zip(path: Path, members: Iterable[tuple[str, BinaryIO]], on_member: Callable[[int], None]) -> int:
    """Stored (media does not shrink), one member at a time; names are made unique and safe. Gives the member count."""
    count, used = 0, set[str]()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        for name, source in members:
            entry = zipfile.ZipInfo(unique_name(name, used), datetime.now(UTC).timetuple()[:6])
            with source, archive.open(entry, "w", force_zip64=True) as target:
                shutil.copyfileobj(source, target, 1 << 20)
            count += 1
            on_member(count)
    return count


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
