"""`IN` with values from a list, on both databases."""

from __future__ import annotations

import pytest
from sqlalchemy import BigInteger, Column, MetaData, String, Table, select

from ofapi_store.engine import Store
from ofapi_store.queries.among import among
from ofapi_store.types import Ulid

THINGS = Table("things", MetaData(), Column("n", BigInteger), Column("id", Ulid), Column("name", String(20)))


@pytest.mark.parametrize(
    ("name", "wanted"), [("n", [3, 2**40, 3]), ("id", ["B" * 26, "D" * 26]), ("name", ["c", "x'y"]), ("n", [])]
)
def test_rows_with_one_of_the_values(store: Store, name: str, wanted: list[int | str]) -> None:
    """Numbers, ULIDs and texts; twice the same counts once; of nothing there is nothing."""
    rows = [{"n": n, "id": letter * 26, "name": text} for n, letter, text in ((1, "A", "a"), (3, "B", "c"))]
    rows.append({"n": 2**40, "id": "D" * 26, "name": "x'y"})
    with store.write() as conn:
        THINGS.create(conn)
        conn.execute(THINGS.insert(), rows)
        found = conn.execute(select(THINGS.c[name]).where(among(conn, THINGS.c[name], wanted))).scalars().all()
    assert sorted(found) == sorted(set(wanted))
