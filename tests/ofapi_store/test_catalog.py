"""What rules read: rows by keys of the right scope, exact values, one query per table."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from ofapi_store import catalog, testing
from ofapi_store.catalog import Scope
from ofapi_store.catalog_tables import TABLES
from ofapi_store.engine import Store
from ofapi_store.errors import UnknownName
from ofapi_store.queries import ingest, links, tags
from ofapi_store.queries.accounts import AccountRow

NOW = datetime(2025, 6, 1, tzinfo=UTC)


def _observe(store: Store, account: AccountRow, table: str, *rows: dict[str, Any]) -> None:
    with store.write() as conn:
        ingest.observe(conn, table, account.id, rows, observed_at=NOW, now=NOW)


def _fetch(store: Store, account: AccountRow, table: str, key: str, keys: Any, columns: Any) -> dict[Any, catalog.Row]:
    with store.read() as conn:
        return catalog.fetch(conn, table, Scope(account.team_id, account.id), key, keys, columns, now=NOW)


def test_keys_match_as_text_or_number(store: Store, account: AccountRow) -> None:
    """Rows come back under the keys as they were given; what cannot be a key finds nothing."""
    _observe(store, account, "fans", {"fan_id": 7, "username": "a", "total_spent": "12.50"}, {"fan_id": 8})
    keys = [7, "8", "9", None, "x", 1.5, [1].__len__, "7" * 40]
    rows = _fetch(store, account, "fans", "fan_id", keys, ["username", "total_spent"])
    assert rows == {
        7: catalog.Row("7", {"username": "a", "total_spent": Decimal("12.5")}, 0.0),
        "8": catalog.Row("8", {"username": None, "total_spent": None}, 0.0),
    }
    assert _fetch(store, account, "fans", "username", ["a"], ["fan_id"])["a"].values == {"fan_id": 7}


def test_other_accounts_rows_are_never_read(store: Store, account: AccountRow) -> None:
    """The same fan of another account is another row; without an account there is none."""
    with store.write() as conn:
        other = testing.make_account(conn, account.team_id)
    _observe(store, account, "fans", {"fan_id": 7, "username": "a"})
    assert _fetch(store, other, "fans", "fan_id", [7], ["username"]) == {}
    with store.read() as conn:
        assert catalog.fetch(conn, "fans", Scope(account.team_id, None), "fan_id", [7], ["username"]) == {}


def test_accounts_are_read_by_team(store: Store, account: AccountRow) -> None:
    """A rule can look up the accounts of the key's own team only."""
    with store.write() as conn:
        other = testing.make_account(conn, testing.make_team(conn).id)
    rows = _fetch(store, account, "accounts", "account_id", [account.id, other.id], ["username", "state"])
    assert {key: row.values["username"] for key, row in rows.items()} == {account.id: account.username}


def test_revenue_that_was_not_calculated_is_null_and_loading(store: Store, account: AccountRow) -> None:
    """Never 0 in place of unknown (contract 5.8)."""
    _observe(store, account, "tracking_links", {"link_id": 5, "clicks_count": 55, "subscribers_count": 10})
    columns = [name for name in TABLES["tracking_links"].columns if "revenue" in name] + [
        "spenders_count",
        "chargebacks",
    ]
    values = dict(_fetch(store, account, "tracking_links", "link_id", [5], columns)[5].values)
    assert values.pop("revenue_is_loading") is True
    assert len(values) == 6
    assert set(values.values()) == {None}


def test_revenue_figures(store: Store, account: AccountRow) -> None:
    """Total, by subscriber and by click, to the cent; stale figures stay visible while the next ones are calculated."""
    _observe(store, account, "tracking_links", {"link_id": 5, "clicks_count": 55, "subscribers_count": 10})
    with store.write() as conn:
        link = links.get(conn, account.id, "tracking", 5)
        assert link is not None
        links.store_revenue(conn, link.id, total=12000, spenders=4, chargebacks=0, now=NOW)
    columns = ["revenue_total", "revenue_per_subscriber", "revenue_per_click", "spenders_count", "revenue_is_loading"]
    row = _fetch(store, account, "tracking_links", "link_id", ["5"], columns)["5"]
    assert [row.values[name] for name in columns] == [Decimal(120), Decimal(12), Decimal("2.18"), 4, False]
    assert row.row_id == "tracking/5"
    with store.write() as conn:
        links.mark_stale(conn, [link.id])
    row = _fetch(store, account, "tracking_links", "link_id", [5], columns)[5]
    assert (row.values["revenue_total"], row.values["revenue_is_loading"]) == (Decimal(120), True)


def test_kinds_of_links_do_not_mix(store: Store, account: AccountRow) -> None:
    """Upstream numbers trial and tracking links separately."""
    _observe(store, account, "tracking_links", {"link_id": 5, "name": "tracking"})
    _observe(store, account, "shared_trial_links", {"link_id": 5, "name": "shared"})
    assert _fetch(store, account, "tracking_links", "link_id", [5], ["name"])[5].values == {"name": "tracking"}
    assert _fetch(store, account, "shared_trial_links", "link_id", [5], ["name"])[5].values == {"name": "shared"}
    assert _fetch(store, account, "trial_links", "link_id", [5], ["name"]) == {}


def test_any_number_of_rows_is_one_query(store: Store, account: AccountRow) -> None:
    """1,000 keys are one query, and one more where tags are wanted."""
    _observe(store, account, "trial_links", *({"link_id": n} for n in range(1000)))
    with store.write() as conn:
        link = links.get(conn, account.id, "trial", 3)
        assert link is not None
        tags.add(conn, account.team_id, link.id, ["b", "A"])
    with testing.statements(store) as seen, store.read() as conn:
        scope = Scope(account.team_id, account.id)
        assert len(catalog.fetch(conn, "trial_links", scope, "link_id", range(2000), ["name"])) == 1000
        assert len(seen) == 1
        rows = catalog.fetch(conn, "trial_links", scope, "link_id", range(1000), ["tags"])
        assert len(seen) == 3
    assert (rows[3].values["tags"], rows[4].values["tags"]) == (["A", "b"], [])


def test_extra_columns(store: Store, account: AccountRow) -> None:
    """What the schema does not know is read as `extra.<name>`; a name that was never seen is null."""
    _observe(store, account, "fans", {"fan_id": 7, "extra.notice": "n"})
    row = _fetch(store, account, "fans", "fan_id", [7], ["extra.notice", "extra.other"])[7]
    assert row.values == {"extra.notice": "n", "extra.other": None}


@pytest.mark.parametrize("table", sorted(name for name, t in TABLES.items() if t.keys))
def test_every_named_column_can_be_read(store: Store, account: AccountRow, table: str) -> None:
    """`lookup_columns` promises nothing that `fetch` cannot do."""
    for key in catalog.lookup_keys()[table]:
        assert _fetch(store, account, table, key, ["1"], catalog.lookup_columns()[table]) == {}


def test_unknown_names_are_errors_with_the_nearest(store: Store, account: AccountRow) -> None:
    """A typo names what was meant."""
    with pytest.raises(UnknownName, match="fans"):
        catalog.table("fan")
    with pytest.raises(UnknownName, match="last_reply_at"):
        _fetch(store, account, "fans", "fan_id", [7], ["last_replyat"])
    with pytest.raises(UnknownName, match="fan_id or username"):
        _fetch(store, account, "fans", "name", [7], ["username"])
    assert "from_user_id" in catalog.observe_columns()["messages"]
    assert "last_reply_at" not in catalog.observe_columns()["fans"]
    assert "from_user_id" not in catalog.lookup_columns()["messages"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        ('ä"', '"\\u00e4\\""'),
        (Decimal("2.18"), "2.18"),
        (Decimal("1E+3"), "1000"),
        (datetime(2025, 1, 1, 1, 1, 1, 5, tzinfo=UTC), '"2025-01-01T01:01:01+00:00"'),
        ({"a": [Decimal("1.10"), None]}, '{"a":[1.10,null]}'),
    ],
)
def test_render(value: Any, text: str) -> None:
    """Values become JSON as OnlyFans shows them."""
    assert catalog.render(value) == text.encode()
