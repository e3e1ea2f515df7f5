"""Uploads and the credits that they hold, on both databases."""

from __future__ import annotations

from datetime import timedelta

import pytest

from ofapi_store import outbox
from ofapi_store.engine import Store
from ofapi_store.errors import InsufficientCredits
from ofapi_store.queries import credits, uploads
from ofapi_store.queries.accounts import AccountRow
from ofapi_store.types import now_utc


def create(store: Store, account: AccountRow, price: int | None = 3, name: str = "ofapi_media_1") -> uploads.UploadRow:
    values = {"id": name, "team_id": account.team_id, "account_id": account.id, "target": "media", "kind": "default",
              "file_name": "a.jpg", "content_type": "image/jpeg", "size": 5, "md5": "m", "spool": "s"}  # fmt: skip
    with store.write() as conn:
        return uploads.create(conn, values, price=price, endpoint="media-upload", at=now_utc(), now=now_utc())


def balance(store: Store, account: AccountRow) -> int:
    with store.read() as conn:
        return credits.balance(conn, account.team_id)


def test_row_job_and_credits_are_one_transaction(store: Store, account: AccountRow) -> None:
    """All or nothing: without credits there is neither row nor job."""
    with store.write() as conn:
        credits.give(conn, account.team_id, 5 - credits.balance(conn, account.team_id))
    with pytest.raises(InsufficientCredits):
        create(store, account, price=6)
    with store.read() as conn:
        assert uploads.by_id(conn, "ofapi_media_1") is None
        assert outbox.live(conn, uploads.JOB, "ofapi_media_1") is None
    assert create(store, account, price=5).state == "pending"
    assert balance(store, account) == 0
    with store.read() as conn:
        assert outbox.live(conn, uploads.JOB, "ofapi_media_1") is not None
        assert uploads.spools(conn) == {"s"}


@pytest.mark.parametrize(("end", "cost"), [("complete", 3), ("fail", 0)])
def test_the_end_settles(store: Store, account: AccountRow, end: str, cost: int) -> None:
    """Completed: booked. Failed: given back. Only the first end counts."""
    before = balance(store, account)
    create(store, account)
    with store.write() as conn:
        assert uploads.start(conn, "ofapi_media_1") is not None
        if end == "complete":
            done = uploads.complete(conn, "ofapi_media_1", {"processId": "p"}, now_utc())
        else:
            done = uploads.fail(conn, "ofapi_media_1", "broken", now_utc())
        assert done is not None
        assert (done.credits_used, done.spool) == (cost, None)
        assert uploads.fail(conn, "ofapi_media_1", "again", now_utc()) is None
        assert uploads.start(conn, "ofapi_media_1") is None
        credits.release_expired(conn, now=now_utc() + timedelta(days=9))
    assert before - balance(store, account) == cost


def test_a_file_url_is_paid_once_fetched(store: Store, account: AccountRow) -> None:
    """Its size shows later; fetching twice holds credits once."""
    before = balance(store, account)
    create(store, account, price=None)
    for _ in range(2):
        with store.write() as conn:
            uploads.fetched(conn, "ofapi_media_1", {"size": 9, "spool": "t"}, price=4, endpoint="e", now=now_utc())
    assert before - balance(store, account) == 4


def test_only_the_account_sees_it(store: Store, account: AccountRow) -> None:
    """Another account's upload is as unknown; results are of completed ones."""
    create(store, account)
    with store.write() as conn:
        assert uploads.for_account(conn, account.id, "ofapi_media_1") is not None
        assert uploads.for_account(conn, "acct_other", "ofapi_media_1") is None
        assert uploads.results(conn, account.id, ["ofapi_media_1"]) == {}
        uploads.complete(conn, "ofapi_media_1", {"processId": "p"}, now_utc())
        assert uploads.results(conn, account.id, ["ofapi_media_1", "x"]) == {"ofapi_media_1": {"processId": "p"}}
        assert uploads.results(conn, "acct_other", ["ofapi_media_1"]) == {}
