"""Tags: one namespace per team, case kept and ignored, adding and removing idempotent."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from ofapi_store import testing
from ofapi_store.engine import Store
from ofapi_store.errors import BadValue
from ofapi_store.queries import ingest, links, smart_links, tags
from ofapi_store.queries.accounts import AccountRow
from tests.addons.links.making import make_smart

NOW = datetime(2025, 1, 1, tzinfo=UTC)


def _link(store: Store, account: AccountRow, table: str, link_id: int) -> int:
    with store.write() as conn:
        ingest.observe(conn, table, account.id, [{"link_id": link_id}], observed_at=NOW)
        link = links.get(conn, account.id, table.removesuffix("_links"), link_id)  # type: ignore[arg-type]
    assert link is not None
    return link.id


def test_add_keeps_and_remove_ignores_case(store: Store, account: AccountRow) -> None:
    """The case of the first use is shown; the full set comes back after each change."""
    pk = _link(store, account, "tracking_links", 1)
    with store.write() as conn:
        assert tags.add(conn, account.team_id, pk, [" Promo ", "b"]) == ["b", "Promo"]
        assert tags.add(conn, account.team_id, pk, ["PROMO", "É", "é", "straße", "STRASSE"]) == [
            "b",
            "Promo",
            "straße",
            "É",
        ]
        assert tags.remove(conn, account.team_id, pk, ["promo", "unknown", "STRASSE"]) == ["b", "É"]
        assert tags.remove(conn, account.team_id, pk, ["promo"]) == ["b", "É"]


def test_a_tag_that_nothing_has_may_be_spelled_anew(store: Store, account: AccountRow) -> None:
    """A mistake in the case of a tag is mended by taking the tag off and adding it; while another link has it, it stays."""
    one, other = _link(store, account, "tracking_links", 1), _link(store, account, "trial_links", 2)
    with store.write() as conn:
        smart = make_smart(conn, account.team_id, account.id)
        tags.add(conn, account.team_id, one, ["VIp"])
        smart_links.add_tags(conn, account.team_id, smart, ["vip"])
        tags.remove(conn, account.team_id, one, ["vip"])
        assert tags.add(conn, account.team_id, other, ["VIP"]) == ["VIp"]
        tags.remove(conn, account.team_id, other, ["vip"])
        smart_links.remove_tags(conn, account.team_id, smart, ["vip"])
        assert tags.add(conn, account.team_id, one, ["VIP"]) == ["VIP"]


def test_one_bad_tag_adds_none(store: Store, account: AccountRow) -> None:
    """Empty, over 50 characters, control characters."""
    pk = _link(store, account, "trial_links", 1)
    for bad in ("", "   ", "x" * 51, "a\x00b", "a\nb"):
        with pytest.raises(BadValue, match="1 to 50 characters"), store.write() as conn:
            tags.add(conn, account.team_id, pk, ["good", bad])
    with store.read() as conn:
        assert tags.of_link(conn, pk) == []
    with store.write() as conn:
        assert tags.add(conn, account.team_id, pk, ["x" * 50]) == ["x" * 50]


def test_team_list_is_by_kind_and_shared_across_accounts(store: Store, account: AccountRow) -> None:
    """Own and shared links have one namespace; another team has its own; a disconnected account's tags are gone."""
    own, shared = _link(store, account, "tracking_links", 1), _link(store, account, "shared_tracking_links", 1)
    with store.write() as conn:
        stranger = testing.make_account(conn, testing.make_team(conn).id)
    other = _link(store, stranger, "tracking_links", 1)
    with store.write() as conn:
        tags.add(conn, account.team_id, own, ["One"])
        assert tags.add(conn, account.team_id, shared, ["ONE", "two"]) == ["One", "two"]
        assert tags.add(conn, stranger.team_id, other, ["ONE"]) == ["ONE"]
    with store.read() as conn:
        assert tags.of_team(conn, account.team_id, ["tracking"]) == ["One"]
        assert tags.of_team(conn, account.team_id, ["tracking", "shared_tracking"]) == ["One", "two"]
        assert tags.of_team(conn, account.team_id, ["trial"]) == []


def test_stored_list_filters(store: Store, account: AccountRow) -> None:
    """Search in any case, tags (any of them), pool members and deleted links only if asked for."""
    rows = [{"link_id": n, "name": f"Name {n}%", "code": f"c{n}", "created_at": f"2025-01-0{n}"} for n in range(1, 6)]
    with store.write() as conn:
        ingest.observe(conn, "tracking_links", account.id, rows, observed_at=NOW)
        pks = {n: links.get(conn, account.id, "tracking", n).id for n in range(1, 6)}  # type: ignore[union-attr]
        tags.add(conn, account.team_id, pks[1], ["a"])
        tags.add(conn, account.team_id, pks[2], ["B"])
        assert links.mark_deleted(conn, account.id, "tracking", 5)

    def page(**how: object) -> list[int]:
        with store.read() as conn:
            return [link.link_id for link in links.page(conn, account.id, "tracking", **how)]  # type: ignore[arg-type]

    assert page() == [4, 3, 2, 1]
    assert page(limit=2, offset=1) == [3, 2]
    assert page(search="NAME 3%") == [3]
    assert page(search="%") == [4, 3, 2, 1]
    assert page(search="_") == []
    assert page(tags=["A", "b"]) == [2, 1]
    assert page(include_deleted=True) == [5, 4, 3, 2, 1]
    with store.write() as conn:
        assert links.forget(conn, account.id, "tracking", 1)
        assert not links.forget(conn, account.id, "tracking", 1)
        assert links.claims(conn, pks[1]) == []
        assert set(links.by_pks(conn, pks.values())) == {pks[n] for n in (2, 3, 4, 5)}
