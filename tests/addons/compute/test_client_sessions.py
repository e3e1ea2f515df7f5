"""addons/compute/client_sessions: tokens of the hosted page."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from ofapi_store import testing
from ofapi_store.engine import Store
from ofapi_store.secrets import SecretBox
from tests.addons.pipeline.harness import Bench, Got, make_bench

RULES = (Path(__file__).resolve().parents[3] / "rules" / "accounts.yaml").read_text(encoding="utf-8")


@pytest.fixture
async def bench(sqlite_store: Store, secret_box: SecretBox, tmp_path: Path) -> AsyncIterator[Bench]:
    config = {"auth": {"proxies": {"us": "http://us.proxy.test:1"}}, "public_url": "https://gw.test"}
    made = make_bench(sqlite_store, secret_box, tmp_path, rules=RULES, config=config)
    yield made
    await made.gateway.close()


async def create(bench: Bench, body: Any, **options: Any) -> Got:
    return await bench.call("POST", "/api/client-sessions", body=json.dumps(body).encode(), **options)


async def test_a_token_and_its_page(bench: Bench) -> None:
    """Contract 9.6, with the page's URL and when the token ends beside it."""
    body = {"display_name": "Anna", "client_reference_id": "crm-1", "proxy_country": "us"}
    data = (await create(bench, body)).json["data"]
    assert data["token"].startswith("ofapi_cs_")
    assert (data["display_name"], data["client_reference_id"]) == ("Anna", "crm-1")
    assert data["connect_url"] == f"https://gw.test/connect/{data['token']}"
    assert data["expires_at"].endswith("+00:00")
    assert (await create(bench, {"display_name": "Anna"})).json["data"]["client_reference_id"] is None


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "display_name"),
        ({"display_name": "  "}, "display_name"),
        ({"display_name": "x" * 256}, "display_name"),
        ({"display_name": "A\x00"}, "display_name"),
        ({"display_name": "A", "client_reference_id": "a\nb"}, "client_reference_id"),
        ({"display_name": "A", "client_reference_id": 5}, "client_reference_id"),
        ({"display_name": "A", "proxy_country": "fr"}, "proxy_country"),
        ({"display_name": "A", "proxy_country": "gb"}, "proxy_country"),
    ],
)
async def test_wrong_fields_are_named(bench: Bench, body: Any, field: str) -> None:
    """422; a country without a configured proxy, too."""
    got = await create(bench, body)
    assert (got.status, list(got.json["errors"])) == (422, [field])


async def test_restricted_keys(bench: Bench) -> None:
    """A key for some accounts cannot invite others."""
    with bench.store.write() as conn:
        key = testing.make_key(conn, bench.team.id, account_ids=[])
    assert (await create(bench, {"display_name": "A"}, token=key.token)).status == 403
