"""Profiles from the store, on both databases."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ofapi_store import testing
from ofapi_store.engine import Store
from ofapi_store.queries import accounts
from ofapi_store.secrets import SecretBox
from tests.addons.compute.beyond import beyond_bench, put
from tests.addons.pipeline.harness import Bench


@pytest.fixture
async def bench(store: Store, secret_box: SecretBox, tmp_path: Path) -> AsyncIterator[Bench]:
    made = beyond_bench(store, secret_box, tmp_path)
    names = [(5, "anna", "Anna B"), (6, "bert_1", "Bert"), (7, "hannah", "H 100%")]
    put(made, "fans", [{"fan_id": i, "username": u, "name": n} for i, u, n in names])
    yield made
    await made.gateway.close()


async def test_a_fan_by_name(bench: Bench) -> None:
    """In any case; free of charge."""
    got = (await bench.api("profiles/ANNA")).json
    assert (got["data"]["id"], got["data"]["name"]) == (5, "Anna B")
    assert got["_meta"]["_credits"]["used"] == 0
    assert (await bench.api("profiles/nobody")).status == 404


async def test_an_own_creator_without_what_is_private(bench: Bench) -> None:
    """Mail, tokens and balances of `users/me` never show."""
    private = {"email": "a@example.test", "csrf": "c", "wsAuthToken": "w", "creditBalance": 5}
    with bench.store.write() as conn:
        accounts.change(conn, bench.account.id, user_data={"id": 1, "username": bench.account.username, **private})
    got = (await bench.api(f"profiles/{bench.account.username}")).json["data"]
    assert got == {"id": 1, "username": bench.account.username}


async def test_search_pages_by_cursor(bench: Bench) -> None:
    """Part of a username or name; wildcards of the database are plain characters."""
    first = (await bench.api("search?query=ann&limit=1")).json
    assert [row["username"] for row in first["data"]] == ["anna"]
    cursor = first["_pagination"]["next_cursor"]
    url = f"http://gw.test:8080/api/search?query=ann&limit=1&cursor={cursor}"
    assert first["_pagination"] == {"next_page": url, "next_cursor": cursor, "next_page_url": url}
    second = (await bench.api(url.partition("/api/")[2])).json
    assert [row["username"] for row in second["data"]] == ["hannah"]
    assert set(second["_pagination"].values()) == {None}
    assert [row["onlyfans_id"] for row in (await bench.api("search?query=00%25")).json["data"]] == [7]
    assert (await bench.api("search?query=t_1")).json["data"][0]["username"] == "bert_1"


async def test_bad_cursor(bench: Bench) -> None:
    """422 naming the field."""
    got = await bench.api("search?cursor=x")
    assert (got.status, list(got.json["errors"])) == (422, ["cursor"])


async def test_other_teams_fans_are_not_found(bench: Bench) -> None:
    """One team never learns whom another has seen."""
    with bench.store.write() as conn:
        other = testing.make_account(conn, testing.make_team(conn).id).id
    put(bench, "fans", [{"fan_id": 9, "username": "secret"}], other)
    assert (await bench.api("profiles/secret")).status == 404
    assert (await bench.api("search?query=secret")).json["data"] == []
