"""What the store knows about a fan, on both databases."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ofapi_store.engine import Store
from ofapi_store.secrets import SecretBox
from tests.addons.compute.beyond import beyond_bench, paid, post, put
from tests.addons.pipeline.harness import Bench


@pytest.fixture
async def bench(store: Store, secret_box: SecretBox, tmp_path: Path) -> AsyncIterator[Bench]:
    made = beyond_bench(store, secret_box, tmp_path)
    put(made, "fans", [{"fan_id": 5, "username": "anna", "name": "Anna"}, {"fan_id": 6}])
    put(made, "transactions", [paid(n, f"2025-01-{n:02}T00:00:00+00:00", 10) for n in (1, 11, 21)])
    yield made
    await made.gateway.close()


async def test_what_is_known(bench: Bench) -> None:
    """Name, spending and counts from the store; what only reading the chat could tell is null."""
    got = (await bench.api("{a}/fans/5/summary")).json
    assert got["status"] == "completed"
    assert got["summary_data"]["name"] == "Anna"
    assert got["summary_data"]["spend_cadence"] == "3 payments, one every 10 days"
    assert got["summary_data"]["hobbies"] is None
    assert (got["last_buy_date"], got["analyzed_message_count"]) == ("2025-01-21T00:00:00+00:00", 0)


async def test_a_fan_who_never_paid(bench: Bench) -> None:
    """No cadence and no date, not a zero."""
    got = (await bench.api("{a}/fans/6/summary")).json
    assert (got["summary_data"]["spend_cadence"], got["last_buy_date"]) == (None, None)


async def test_generating_is_not_needed(bench: Bench) -> None:
    """POST says so at once and costs nothing."""
    got = await post(bench, f"{bench.account.id}/fans/5/summary", regenerate=True)
    assert (got.status, got.json["status"]) == (200, "completed")
    assert got.headers.get("X-OFAPI-Credits-Used") == "0"


@pytest.mark.parametrize(("fan", "status"), [("99", 404), ("x", 422), ("9" * 30, 422)])
async def test_unknown_fans(bench: Bench, fan: str, status: int) -> None:
    """404 for one who was never seen, 422 for what is no id."""
    assert (await bench.api(f"{{a}}/fans/{fan}/summary")).status == status
