"""Observed rows: idempotent, in any order, exact, and `last_reply_at` never moves back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select

from ofapi_store.engine import Store
from ofapi_store.models.observed import Fan, Message
from ofapi_store.queries import accounts, fans, ingest, messages, transactions
from ofapi_store.queries.accounts import AccountRow
from ofapi_store.queries.ingest import Observed
from ofapi_store.queries.links import CLAIMS
from ofapi_store.queries.links import get as get_link

NOW = datetime(2025, 6, 1, tzinfo=UTC)


def at(minutes: float) -> datetime:
    return NOW + timedelta(minutes=minutes)


def _observe(
    store: Store, account: AccountRow, table: str, *rows: dict[str, Any], when: float = 0, **how: Any
) -> Observed:
    with store.write() as conn:
        return ingest.observe(conn, table, account.id, rows, observed_at=at(when), **how)


def _fan(store: Store, account: AccountRow, fan_id: int = 7) -> fans.FanRow | None:
    with store.read() as conn:
        return fans.by_ids(conn, account.id, [fan_id]).get(fan_id)


def _message(number: int, minute: float, *, fan: int = 7, sender: int | None = None) -> dict[str, Any]:
    sent = at(minute).isoformat()
    return {"message_id": number, "fan_id": fan, "from_user_id": fan if sender is None else sender, "created_at": sent}


def test_fan_is_stored_with_exact_values(store: Store, account: AccountRow) -> None:
    """Ids as text or number, money as text, number or Decimal, times with any offset."""
    row = {
        "fan_id": "7",
        "username": "u7",
        "is_active": True,
        "subscribed_at": "2025-01-01T03:01:01+02:00",
        "expired_at": None,
        "total_spent": Decimal("1234.56"),
        "subscription_price": 9.99,
        "extra.notice": "hello",
    }
    result = _observe(store, account, "fans", row)
    assert (result.stored, result.inserted, result.problems) == (1, [7], [])
    fan = _fan(store, account)
    assert fan is not None
    assert (fan.total_spent, fan.subscription_price, fan.expired_at) == (123456, 999, None)
    assert fan.subscribed_at == datetime(2025, 1, 1, 1, 1, 1, tzinfo=UTC)
    assert fan.extra == {"notice": "hello"}


def test_newer_wins_and_missing_columns_stay(store: Store, account: AccountRow) -> None:
    """An older observation that comes late changes nothing; a newer one changes what it has, nulls included."""
    _observe(store, account, "fans", {"fan_id": 7, "username": "old", "name": "N", "expired_at": "2025-01-01"}, when=1)
    _observe(store, account, "fans", {"fan_id": 7, "username": "new", "expired_at": None}, when=3)
    again = _observe(store, account, "fans", {"fan_id": 7, "username": "late", "name": "L"}, when=2)
    fan = _fan(store, account)
    assert fan is not None
    assert (fan.username, fan.name, fan.expired_at) == ("new", "N", None)
    assert again.inserted == []


def test_extra_is_merged(store: Store, account: AccountRow) -> None:
    """Unknown columns of two rules stand side by side, and keep numbers exact."""
    _observe(store, account, "fans", {"fan_id": 7, "extra.a": 1, "extra.b": Decimal("1.10")}, when=1)
    _observe(store, account, "fans", {"fan_id": 7, "extra.a": 2, "extra.c": ["x"]}, {"fan_id": 7, "extra.d": 4}, when=2)
    fan = _fan(store, account)
    assert fan is not None
    assert fan.extra == {"a": 2, "b": Decimal("1.10"), "c": ["x"], "d": 4}
    assert str(fan.extra["b"]) == "1.10"


def test_last_reply_is_the_fans_own_newest_message(store: Store, account: AccountRow) -> None:
    """The creator's messages do not count; a late older message never moves it back."""
    _observe(store, account, "messages", _message(1, 10), _message(2, 30, sender=1), when=60)
    assert _fan(store, account).last_reply_at == at(10)  # type: ignore[union-attr]
    _observe(store, account, "messages", _message(3, 5), when=61)
    assert _fan(store, account).last_reply_at == at(10)  # type: ignore[union-attr]
    _observe(store, account, "messages", _message(4, 20), when=10)
    fan = _fan(store, account)
    assert fan is not None
    assert (fan.last_reply_at, fan.observed_at) == (at(20), None)
    _observe(store, account, "fans", {"fan_id": 7, "username": "u"}, when=1)
    fan = _fan(store, account)
    assert fan is not None
    assert (fan.username, fan.last_reply_at) == ("u", at(20))


def test_who_sent_a_message(store: Store, account: AccountRow) -> None:
    """The sender is told by the chat's fan, by isSentByMe, or by the account's own id; else the row is refused."""
    own = int(account.onlyfans_id or 0)
    created = {"created_at": at(0).isoformat()}
    rows = [
        {"message_id": 1, "fan_id": 7, "from_user_id": 7, **created},
        {"message_id": 2, "fan_id": 7, "from_user_id": own, **created},
        {"message_id": 3, "fan_id": 7, "is_sent_by_me": True, **created},
        {"message_id": 4, "from_user_id": 9, **created},
        {"message_id": 5, "from_user_id": own, **created},
        {"message_id": 6, "fan_id": 7, **created},
        {"message_id": 7, "fan_id": 7, "from_fan": True, **created},
    ]
    result = _observe(store, account, "messages", *rows)
    assert (result.stored, result.refused) == (5, 2)
    with store.read() as conn:
        found = messages.by_ids(conn, account.id, range(10))
        assert messages.sent_by_fans(conn, account.id, [7, 9, 11]) == {7: 2, 9: 1}
        assert messages.newest_id(conn, account.id, 7) == 7
    assert {n: (m.fan_id, m.from_fan) for n, m in found.items()} == {
        1: (7, True),
        2: (7, False),
        3: (7, False),
        4: (9, True),
        7: (7, True),
    }


def test_message_text_is_kept_only_if_asked(store: Store, account: AccountRow) -> None:
    """Without `keep_message_text` no text reaches the store."""
    _observe(store, account, "messages", {**_message(1, 0), "text": "<p>secret</p>"})
    _observe(store, account, "messages", {**_message(2, 0), "text": "<p>kept</p>"}, keep_message_text=True)
    with store.read() as conn:
        found = messages.by_ids(conn, account.id, [1, 2])
    assert (found[1].text, found[2].text) == (None, "<p>kept</p>")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"amount": Decimal("9.999")}, "two decimals"),
        ({"net": 3.992}, "two decimals"),
        ({"amount": "NaN"}, "amount"),
        ({"amount": True}, "amount"),
        ({"amount": "1e999999999"}, "amount"),
        ({"amount": None}, "amount is missing"),
        ({"transaction_id": None}, "transaction_id is missing"),
        ({"transaction_id": "x" * 65}, "64 characters"),
        ({"created_at": "yesterday"}, "expected a time"),
    ],
)
def test_row_that_cannot_be_held_exactly_is_refused(
    store: Store, account: AccountRow, change: dict[str, Any], problem: str
) -> None:
    """Money is never rounded; the other rows of the batch are stored, and the reason is told."""
    good = {"transaction_id": "a", "amount": 10, "net": "8.00", "created_at": "2025-01-01T00:00:00+00:00"}
    result = _observe(store, account, "transactions", good, {**good, "transaction_id": "b", **change})
    assert (result.stored, result.refused) == (1, 1)
    assert problem in result.problems[0]
    with store.read() as conn:
        (row,) = transactions.page(conn, account.id)
    assert (row.transaction_id, row.amount, row.net) == ("a", 1000, 800)


def test_optional_bad_value_costs_only_its_column(store: Store, account: AccountRow) -> None:
    """A date that is none leaves the fan stored without it, and is told."""
    result = _observe(
        store, account, "fans", {"fan_id": 7, "last_seen_at": "soon", "is_active": "maybe", "username": "u"}
    )
    fan = _fan(store, account)
    assert fan is not None
    assert (fan.username, fan.last_seen_at, fan.is_active) == ("u", None, None)
    assert len(result.problems) == 2


def test_odd_text_is_stored_on_both_databases(store: Store, account: AccountRow) -> None:
    """NUL and lone surrogates, which PostgreSQL refuses, become U+FFFD; emoji stay."""
    _observe(store, account, "fans", {"fan_id": 7, "name": "a\x00b\ud800c 😀", "extra.x": "\x00\ud800"})
    fan = _fan(store, account)
    assert fan is not None
    assert fan.name == "a\ufffdb\ufffdc 😀"


def test_duplicates_in_one_batch(store: Store, account: AccountRow) -> None:
    """The same row twice in one body is one row; the last stands."""
    result = _observe(store, account, "fans", {"fan_id": 7, "username": "a"}, {"fan_id": "7", "username": "b"})
    fan = _fan(store, account)
    assert fan is not None
    assert (fan.username, result.inserted) == ("b", [7])


def test_links_and_claims(store: Store, account: AccountRow) -> None:
    """Claims of a link that was never seen make its row, which the first sight of the link then fills."""
    claim = {"link_id": "5", "fan_id": 7, "claimed_at": at(0).isoformat()}
    first = _observe(store, account, "tracking_link_claims", claim, when=1)
    _observe(store, account, "tracking_link_claims", {**claim, "ended_at": at(9).isoformat()}, when=2)
    again = _observe(store, account, "tracking_link_claims", claim, when=3)
    assert (len(first.inserted), again.inserted) == (1, [])
    row = {"link_id": 5, "name": "Promo", "clicks_count": "12", "owner": {"id": 1}, "is_deleted": None}
    assert _observe(store, account, "tracking_links", row).inserted == []
    assert _observe(store, account, "trial_links", {"link_id": 5, "claims_count": 3}).inserted == [5]
    with store.read() as conn:
        link, trial = get_link(conn, account.id, "tracking", 5), get_link(conn, account.id, "trial", 5)
        (stored,) = conn.execute(select(CLAIMS)).all()
    assert link is not None and trial is not None
    assert (link.name, link.clicks_count, link.owner, link.is_deleted) == ("Promo", 12, {"id": 1}, False)
    assert trial.subscribers_count == 3
    assert (stored.link_pk, stored.fan_id, stored.ended_at) == (link.id, 7, at(9))


def test_account_is_updated_only_by_its_own_profile(store: Store, account: AccountRow) -> None:
    """`users/me` of another user, by a mixed-up login, does not overwrite the account."""
    _observe(store, account, "accounts", {"onlyfans_id": 1, "username": "other"})
    _observe(
        store, account, "accounts", {"onlyfans_id": int(account.onlyfans_id or 0), "user_data": {"a": Decimal("1.10")}}
    )
    with store.read() as conn:
        found = accounts.by_id(conn, account.id)
        assert found is not None and found.username == account.username
        assert accounts.user_data(conn, [account.id]) == {account.id: {"a": Decimal("1.10")}}


def test_chargebacks(store: Store, account: AccountRow) -> None:
    """Chargebacks are stored with the payment that they take back."""
    row = {"chargeback_id": 3, "transaction_id": "t", "fan_id": 7, "amount": "5", "created_at": at(0).isoformat()}
    _observe(store, account, "chargebacks", row)
    with store.read() as conn:
        (found,) = transactions.chargebacks_page(conn, account.id)
    assert (found.chargeback_id, found.amount, found.transaction_id) == ("3", 500, "t")


def test_only_news_about_money_names_its_fan(store: Store, account: AccountRow) -> None:
    """What links earn is worked out anew for rows that are new or say something else, not for rows seen again."""
    paid = {
        "transaction_id": "t",
        "fan_id": 7,
        "amount": 5,
        "net": 4,
        "status": "loading",
        "created_at": at(0).isoformat(),
    }
    assert _observe(store, account, "transactions", paid).payers == {7}
    assert _observe(store, account, "transactions", {**paid, "description": "x"}, when=1).payers == set()
    assert _observe(store, account, "transactions", {**paid, "status": "undo"}, when=2).payers == {7}
    assert _observe(store, account, "transactions", {**paid, "status": "undo", "fan_id": 8}, when=3).payers == {7, 8}
    claim = {"link_id": 5, "fan_id": 9, "claimed_at": at(0).isoformat()}
    assert _observe(store, account, "tracking_link_claims", claim).payers == {9}
    assert _observe(store, account, "tracking_link_claims", claim, when=1).payers == set()
    ended = {**claim, "ended_at": at(5).isoformat()}
    assert _observe(store, account, "tracking_link_claims", ended, when=2).payers == {9}
    assert _observe(store, account, "tracking_link_claims", ended, when=3).payers == set()
    back = {"chargeback_id": 3, "transaction_id": "t", "fan_id": 7, "amount": "5", "created_at": at(0).isoformat()}
    assert _observe(store, account, "chargebacks", back).payers == {7}
    assert _observe(store, account, "chargebacks", back, when=1).payers == set()


_SIGHTS = st.lists(
    st.tuples(st.integers(1, 6), st.integers(1, 2), st.booleans()),  # message, fan, sent by the fan
    min_size=1,
    max_size=12,
    unique_by=lambda sight: sight[0],
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_SIGHTS, st.randoms(use_true_random=False))
def test_order_and_repetition_do_not_matter(store: Store, account: AccountRow, sights: list[Any], random: Any) -> None:
    """Any order, batching and repetition of the same observations ends in the same rows."""
    rows = [
        (n, {**_message(n, n * 7 % 5, fan=fan, sender=None if mine else 1), "price": n})
        for n, (_, fan, mine) in enumerate(sights)
    ] + [
        (n, {**_message(n, n * 7 % 5, fan=sights[n][1]), "from_fan": sights[n][2], "price": n + 50})
        for n in range(len(sights))
    ]
    observations = [(row, when) for when, (_, row) in enumerate(rows)]
    states = []
    for _ in range(2):
        shuffled = observations * 2
        random.shuffle(shuffled)
        for row, when in shuffled:
            _observe(store, account, "messages", row, when=when)
        states.append(_state(store))
    assert states[0] == states[1]
    newest: dict[int, datetime] = {}
    for _, row in rows:
        if row.get("from_fan", row["from_user_id"] == row["fan_id"]):
            sent = datetime.fromisoformat(row["created_at"])
            newest[row["fan_id"]] = max(sent, newest.get(row["fan_id"], sent))
    assert states[0][1] == sorted(newest.items())


def _state(store: Store) -> tuple[list[Any], list[Any]]:
    """All messages and last replies, and an empty store again."""
    with store.write() as conn:
        c = Message.__table__.c
        stored = conn.execute(
            select(c.message_id, c.fan_id, c.from_fan, c.created_at, c.price).order_by(c.message_id)
        ).all()
        replies = conn.execute(select(Fan.fan_id, Fan.last_reply_at).order_by(Fan.fan_id)).all()
        conn.execute(delete(Message))
        conn.execute(delete(Fan))
    return [tuple(row) for row in stored], [tuple(row) for row in replies]
