"""An export's life through the official client: each state, its money, and who may know of it."""

from __future__ import annotations

from collections.abc import Iterator

import onlyfansapi
import pytest
from onlyfansapi import OnlyFansAPI

from ofapi_store.engine import Store
from ofapi_store.ids import token_hash
from ofapi_store.queries import credits as ledger
from ofapi_store.queries import keys
from scripts.cli.stack import Stack
from tests.e2e.client.conftest import strict
from tests.e2e.exports.test_types import PERIOD, ended


@pytest.fixture(scope="module")
def client(stack: Stack) -> Iterator[OnlyFansAPI]:
    with strict(stack.base_url, stack.api_key) as opened:
        yield opened


def credits(stack: Stack) -> int:
    """What the team has left, by the store."""
    store = Store.open(stack.store_url)
    with store.read() as conn:
        found = keys.by_token_hash(conn, token_hash(stack.api_key))
        assert found is not None
        left = ledger.balance(conn, found.team.id)
    store.close()
    return left


def test_each_step_by_hand(client: OnlyFansAPI, stack: Stack) -> None:
    """Create, wait, start, wait; cancel and start are refused once it is over; the balance has moved by the cost."""
    made = client.data_exports.create(type="payouts", file_type="csv", account_ids=[stack.account], **PERIOD).data
    assert made is not None
    assert made.id
    assert (made.status, made.requires_scraping) == ("calculating_credits", True)
    counted = ended(client, made.id)
    assert counted.status == "calculating_credits_completed"
    assert counted.model_extra["download_url"] is None
    started = client.data_exports.start(made.id)
    assert started.api_meta is not None
    assert started.api_meta.api_credits is not None
    assert started.api_meta.api_credits.used == counted.credit_cost
    assert ended(client, made.id).status == "completed"
    for again in (client.data_exports.start, client.data_exports.cancel, client.data_exports.retry):
        with pytest.raises(onlyfansapi.ConflictError):
            again(made.id)
    listed = client.data_exports.list(type="payouts", per_page=100).data
    assert listed is not None
    assert made.id in {row.id for row in listed.data or []}


def test_cancel_a_long_walk_and_retry_it(client: OnlyFansAPI, stack: Stack) -> None:
    """While upstream is asked day by day; nothing was charged; the retry is a new export of the same kind."""
    cancelled = client.data_exports.create(
        type="profile_visitors",
        file_type="csv",
        account_ids=[stack.account],
        start_date="2024-01-01",
        end_date="2025-06-30",
        auto_start=True,
    ).data
    assert cancelled is not None
    assert cancelled.id
    before = credits(stack)
    gone = client.data_exports.cancel(cancelled.id).data
    assert gone is not None
    assert gone.status == "cancelled"
    retried = client.data_exports.retry(cancelled.id).data
    assert retried is not None
    assert retried.id
    assert (retried.original_id, retried.type) == (cancelled.id, "profile_visitors")
    assert client.data_exports.cancel(retried.id).data is not None
    assert credits(stack) == before


def test_another_team_cannot_tell_that_it_exists(client: OnlyFansAPI, stack: Stack) -> None:
    """404 as for one that never was; its account is no account of theirs."""
    made = client.data_exports.create(type="payouts", file_type="csv", account_ids=[stack.account], **PERIOD).data
    assert made is not None
    assert made.id
    with strict(stack.base_url, stack.seeded.other_api_key) as other:
        texts = []
        for export_id in (made.id, made.id[:-1] + "_"):
            with pytest.raises(onlyfansapi.NotFoundError) as e:
                other.data_exports.retrieve(export_id)
            texts.append(str(e.value).replace(export_id, "ID"))
        assert texts[0] == texts[1]
        with pytest.raises(onlyfansapi.UnprocessableEntityError):
            other.data_exports.create(type="payouts", file_type="csv", account_ids=[stack.account], **PERIOD)
