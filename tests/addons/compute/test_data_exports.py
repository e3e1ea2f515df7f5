"""`/data-exports` on both databases: its life, its money, its errors, who sees what."""

from __future__ import annotations

import csv
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from ofapi_store import testing
from ofapi_store.engine import Store
from ofapi_store.queries import credits as ledger
from ofapi_store.queries import exports
from ofapi_store.secrets import SecretBox
from tests.addons.exports.bench import create, done, export_bench, file_of, put, request, run_jobs, show, transactions
from tests.addons.pipeline.harness import Bench


@pytest.fixture
async def bench(store: Store, secret_box: SecretBox, tmp_path: Path) -> AsyncIterator[Bench]:
    made = export_bench(store, secret_box, tmp_path)
    put(made, "transactions", transactions(45))
    yield made
    await made.gateway.close()


@pytest.fixture
async def empty(sqlite_store: Store, secret_box: SecretBox, tmp_path: Path) -> AsyncIterator[Bench]:
    """For what is refused before the store matters."""
    made = export_bench(sqlite_store, secret_box, tmp_path)
    yield made
    await made.gateway.close()


def balance(bench: Bench) -> int:
    with bench.store.read() as conn:
        return ledger.balance(conn, bench.team.id)


async def test_create_calculate_start_build(bench: Bench) -> None:
    """Nothing is charged before the start; 45 rows cost 3 credits; the file holds them in order, amounts exact."""
    before = balance(bench)
    made = (await create(bench, export_columns=["transaction_id", "amount", "created_at", "description"])).json["data"]
    assert (made["status"], made["requires_scraping"]) == ("calculating_credits", False)
    await run_jobs(bench)
    shown = await show(bench, made["id"])
    assert (shown["status"], shown["total_rows"], shown["credit_cost"]) == ("calculating_credits_completed", 45, 3)
    assert balance(bench) == before
    answer = await request(bench, "POST", f"data-exports/{made['id']}/start")
    assert answer.headers.get("x-ofapi-credits-used") == "3"
    assert answer.headers.get("x-ofapi-credits-balance") == str(before - 3)
    started = answer.json
    assert started["data"]["status"] == "pending"
    assert started["_meta"]["_credits"] | {"note": ""} == {"used": 3, "balance": before - 3, "note": ""}
    await run_jobs(bench)
    shown = await show(bench, made["id"])
    assert (shown["status"], shown["rows_processed"], shown["progress_percentage"]) == ("completed", 45, 100)
    with file_of(bench, shown).open(encoding="utf-8-sig", newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["transaction_id", "amount", "created_at", "description"]
    assert rows[0] == ["t000000", "0.50", "2025-06-01T00:00:00+00:00", "'=cmd|' /C calc'!A0"]
    assert len(rows) == 45


async def test_xlsx_opens_with_a_real_reader(bench: Bench) -> None:
    """Numbers are numbers, text is text."""
    shown = await done(bench, file_type="xlsx")
    sheet = openpyxl.load_workbook(file_of(bench, shown)).active
    names = [cell.value for cell in sheet[1]]
    assert names == shown["export_columns"]
    second = dict(zip(names, (cell.value for cell in sheet[3]), strict=True))
    assert (second["amount"], second["account_id"]) == (28.5, bench.account.id)
    assert sheet.max_row == 46


async def test_an_export_without_rows_is_free_and_has_a_header(bench: Bench) -> None:
    """The period chooses rows: outside of it there are none."""
    shown = await done(bench, start_date="2020-01-01", end_date="2020-01-02")
    assert (shown["status"], shown["total_rows"], shown["credit_cost"]) == ("completed", 0, 0)
    assert file_of(bench, shown).read_text(encoding="utf-8-sig").startswith("transaction_id,")


async def test_profiles_are_those_of_all_accounts_or_of_some(bench: Bench) -> None:
    """`account_ids` is not required for public_profiles; where it is given it narrows."""
    with bench.store.write() as conn:
        second = testing.make_account(conn, bench.team.id)
    put(bench, "fans", [{"fan_id": n, "username": f"u{n}"} for n in (1, 2, 3)])
    counts = [
        (await done(bench, type="public_profiles", account_ids=ids))["total_rows"]
        for ids in (None, [bench.account.id], [second.id])
    ]
    assert counts == [3, 3, 0]


@pytest.mark.parametrize(
    ("end", "shown"),
    [("2025-12-31", "2025-12-31T23:59:59+00:00"), ("2025-12-31T10:00:00+02:00", "2025-12-31T08:00:00+00:00")],
)
async def test_the_period_is_shown_as_it_was_asked_for(bench: Bench, end: str, shown: str) -> None:
    """A day ends with its last second; whoever compares dates finds the day that was given."""
    made = (await create(bench, end_date=end)).json["data"]
    assert made["end_date"] == shown == (await show(bench, made["id"]))["end_date"]


BAD: list[tuple[dict[str, Any], str]] = [
    ({"type": "nothing"}, "type"),
    ({"type": "fansly_chat_messages", "options": {"maxMessages": 1}}, "type"),
    ({"type": "media_vault"}, "file_type"),
    ({"file_type": "zip"}, "file_type"),
    ({"file_type": "pdf"}, "file_type"),
    ({"start_date": None}, "start_date"),
    ({"end_date": "2024-01-01"}, "end_date"),
    ({"account_ids": None}, "account_ids"),
    ({"account_ids": ["acct_unknown"]}, "account_ids.0"),
    ({"export_columns": ["amount", "secret"]}, "export_columns.1"),
    ({"export_columns": ["amount", "amount"]}, "export_columns.1"),
    ({"options": {"x": 1}}, "options.x"),
    ({"type": "fans"}, "options.type"),
    ({"type": "fans", "options": {"type": "best"}}, "options.type"),
    ({"type": "chat_messages", "options": {"maxMessages": 10_000_001}}, "options.maxMessages"),
    ({"type": "chat_messages", "options": {"maxMessages": 5, "chatIds": ["x"]}}, "options.chatIds"),
    ({"type": "media_vault", "file_type": "zip", "options": {"mediaType": "all"}, "export_columns": ["a"]}, "export_columns"),
    ({"type": "public_profiles", "options": {"gender": "male"}}, "options.gender"),
    ({"type": "public_profiles", "options": {"query": "a\x00"}}, "options.query"),
    ({"type": "profile_visitors", "start_date": "2010-01-01"}, "end_date"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "field"), BAD)
async def test_bad_input_names_its_field(empty: Bench, body: dict[str, Any], field: str) -> None:
    """422 in Laravel's shape, and no export is made."""
    got = await create(empty, **body)
    assert (got.status, got.json["error"]) == (422, "VALIDATION_ERROR"), got.body
    assert field in got.json["errors"]
    assert (await request(empty, "GET", "data-exports")).json["data"]["meta"]["total"] == 0


async def test_the_ends_of_time_and_of_lists(bench: Bench) -> None:
    """The last day that can be written, and a page beyond all, are no errors."""
    got = await create(bench, start_date="0001-01-01", end_date="9999-12-31")
    assert got.status == 200
    await run_jobs(bench)
    assert (await show(bench, got.json["data"]["id"]))["total_rows"] == 45
    last = (await request(bench, "GET", f"data-exports?per_page=100&page={10**18 - 1}")).json["data"]
    assert (last["data"], last["meta"]["total"]) == ([], 1)


async def test_start_needs_credits(bench: Bench) -> None:
    """402, and the export can be started once there are some. With auto_start it waits and says why."""
    made = (await create(bench)).json["data"]
    auto = (await create(bench, auto_start=True)).json["data"]
    with bench.store.write() as conn:
        ledger.take(conn, bench.team.id, balance(bench))
    await run_jobs(bench)
    got = await request(bench, "POST", f"data-exports/{made['id']}/start")
    assert (got.status, got.json["error"]) == (402, "insufficient_credits")
    shown = await show(bench, auto["id"])
    assert shown["status"] == "calculating_credits_completed"
    assert "3 credits" in shown["failed_reason"]
    with bench.store.write() as conn:
        ledger.grant(conn, bench.team.id, 3)
    bench.gateway.parts.meter.clock = lambda: 1e9
    assert (await request(bench, "POST", f"data-exports/{made['id']}/start")).status == 200
    assert balance(bench) == 0


async def test_cancel_gives_the_credits_back(bench: Bench) -> None:
    """A started export that is cancelled costs nothing and is not built."""
    before = balance(bench)
    made = (await create(bench)).json["data"]
    await run_jobs(bench)
    await request(bench, "POST", f"data-exports/{made['id']}/start")
    got = await request(bench, "DELETE", f"data-exports/{made['id']}")
    assert (got.status, got.json["data"]["status"]) == (200, "cancelled")
    assert balance(bench) == before
    await run_jobs(bench)
    shown = await show(bench, made["id"])
    assert (shown["status"], shown["download_url"]) == ("cancelled", None)


async def test_steps_out_of_order_are_conflicts(bench: Bench) -> None:
    """409 that says the state and what is needed; clients are told not to try again."""
    made = (await create(bench)).json["data"]
    for method, path in (("POST", "/start"), ("POST", "/retry")):
        got = await request(bench, method, f"data-exports/{made['id']}{path}")
        assert (got.status, got.json["error"]) == (409, "conflict")
        assert "calculating_credits" in got.json["message"]
        assert got.headers.get("x-should-retry") == "false"
    await run_jobs(bench)
    assert (await request(bench, "DELETE", f"data-exports/{made['id']}")).status == 409


async def test_a_failed_export_is_refunded_and_its_retry_is_a_new_one(bench: Bench) -> None:
    """The retry is charged again and has an id of its own."""
    before = balance(bench)
    made = (await create(bench)).json["data"]
    await run_jobs(bench)
    with bench.store.write() as conn:
        exports.start(conn, made["id"])
        assert exports.failed(conn, made["id"], "the disk was full") is not None
        assert exports.failed(conn, made["id"], "again") is None
    assert balance(bench) == before
    got = (await request(bench, "POST", f"data-exports/{made['id']}/retry")).json["data"]
    assert (got["original_id"], got["status"]) == (made["id"], "calculating_credits")
    assert got["id"] != made["id"]
    await run_jobs(bench)
    assert (await show(bench, got["id"]))["status"] == "completed"
    assert balance(bench) == before - 3
    assert (await show(bench, made["id"]))["failed_reason"] == "the disk was full"


async def test_lists_are_paged_and_filtered(bench: Bench) -> None:
    """Newest first, with the vendor's own `meta`."""
    ids = [(await create(bench)).json["data"]["id"] for _ in range(3)]
    await create(bench, type="fans", options={"type": "all"})
    got = (await request(bench, "GET", "data-exports?per_page=2&page=2&type=transactions")).json["data"]
    assert [row["id"] for row in got["data"]] == ids[:1]
    assert got["meta"] == {"current_page": 2, "last_page": 2, "per_page": 2, "total": 3}
    assert got["data"][0]["accounts"] == [{"id": bench.account.id, "display_name": bench.account.display_name}]
    assert (await request(bench, "GET", "data-exports?status=failed")).json["data"]["meta"]["total"] == 0
    assert (await request(bench, "GET", "data-exports?status=lost")).status == 422


async def test_other_teams_and_restricted_keys_see_nothing(bench: Bench) -> None:
    """Another team's export and account are as unknown ones; a key sees exports of its own accounts only."""
    made = (await create(bench)).json["data"]
    with bench.store.write() as conn:
        other = testing.make_team(conn)
        foreign = testing.make_key(conn, other.id).token
        second = testing.make_account(conn, bench.team.id)
        narrow = testing.make_key(conn, bench.team.id, account_ids=[second.id]).token
    for token in (foreign, narrow):
        for method, path in (("GET", ""), ("POST", "/start"), ("DELETE", ""), ("POST", "/retry")):
            got = await request(bench, method, f"data-exports/{made['id']}{path}", token=token)
            assert (got.status, got.json["error"]) == (404, "not_found")
        assert (await request(bench, "GET", "data-exports", token=token)).json["data"]["meta"]["total"] == 0
        body = {"type": "transactions", "file_type": "csv", "start_date": "2025-01-01", "end_date": "2025-02-01"}
        got = await request(bench, "POST", "data-exports", body | {"account_ids": [bench.account.id]}, token=token)
        assert (got.status, list(got.json["errors"])) == (422, ["account_ids.0"])


async def test_columns_of_every_type_are_listed(bench: Bench) -> None:
    """The documented columns of transactions come first."""
    kinds = {row["type"]: row for row in (await request(bench, "GET", "data-exports/columns")).json["data"]}
    documented = ["transaction_id", "type", "amount", "net_amount", "currency", "created_at"]
    assert kinds["transactions"]["columns"][:6] == documented
    assert len(kinds) == 12
    assert kinds["media_vault"]["file_types"] == ["zip"]
    one = (await request(bench, "GET", "data-exports/columns?type=fans")).json["data"]
    assert [row["type"] for row in one] == ["fans"]
    assert (await request(bench, "GET", "data-exports/columns?type=fansly_chat_messages")).status == 422
