"""Every type of export, with the official client, strict, against the simulated upstream's own figures."""

from __future__ import annotations

import csv
import io
import time
import zipfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import openpyxl
import pytest
from onlyfansapi import OnlyFansAPI

from scripts.cli.stack import Stack
from scripts.simulator import Simulator
from scripts.simulator.model import Creator
from tests.e2e.client.conftest import strict

PERIOD: dict[str, Any] = {"start_date": "2016-01-01", "end_date": f"{datetime.now(UTC) + timedelta(days=2):%Y-%m-%d}"}
Export = Callable[..., tuple[Any, bytes]]


@pytest.fixture(scope="module")
def client(stack: Stack) -> Iterator[OnlyFansAPI]:
    with strict(stack.base_url, stack.api_key) as opened:
        yield opened


@pytest.fixture(scope="module")
def creator(simulator: Simulator) -> Creator:
    return simulator.world.creators[0]


@pytest.fixture(scope="module")
def export(client: OnlyFansAPI, stack: Stack) -> Export:
    """Makes an export, waits for it, downloads its file: (as retrieved, bytes)."""

    def run(kind: str, file_type: str = "csv", **more: Any) -> tuple[Any, bytes]:
        body = {**PERIOD, "account_ids": [stack.account], "auto_start": True, **more}
        made = client.data_exports.create(type=kind, file_type=file_type, **body).data  # type: ignore[arg-type]
        assert made is not None
        assert made.id
        shown = ended(client, made.id)
        assert shown.status == "completed", shown
        url = shown.model_extra["download_url"]
        answer = httpx.get(url, timeout=30)
        assert answer.status_code == 200, answer.text
        return shown, answer.content

    return run


def ended(client: OnlyFansAPI, export_id: str, within_s: float = 60) -> Any:
    """Polls as clients do."""
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        shown = client.data_exports.retrieve(export_id).data
        assert shown is not None
        if shown.status not in ("calculating_credits", "pending", "in_progress"):
            return shown
        time.sleep(0.2)
    raise AssertionError(f"still {shown.status} after {within_s} s")


def table(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline="")))


def test_transactions_to_the_cent(export: Export, creator: Creator) -> None:
    """Every transaction of upstream's, amounts exact, in csv and in xlsx; 1 credit per 20 rows."""
    shown, content = export("transactions")
    rows = table(content)
    truth = {t.id: t for t in creator.transactions}
    assert {row["transaction_id"] for row in rows} == set(truth)
    assert sum(round(float(row["amount"]) * 100) for row in rows) == sum(t.amount_cents for t in truth.values())
    assert shown.credit_cost == -(-len(truth) // 20)
    _, book = export("transactions", "xlsx", export_columns=["transaction_id", "amount"])
    sheet = openpyxl.load_workbook(io.BytesIO(book), read_only=True).active
    cells = list(sheet.iter_rows(min_row=2, values_only=True))
    assert {str(values[0]) for values in cells} == set(truth)


def test_chat_messages_with_their_text(export: Export, creator: Creator) -> None:
    """The store keeps no text by default, so the job asks upstream; `maxMessages`, `maxChats`, `chatIds` hold."""
    shown, content = export("chat_messages", options={"maxMessages": 100_000, "maxChats": 8})
    rows = table(content)
    chats = [chat for chat in creator.chats.values() if chat.messages and not chat.hidden]
    newest = sorted(chats, key=lambda chat: chat.messages[-1].id)[-8:]
    wanted = {m.id: m for chat in newest for m in chat.messages}
    assert {int(row["message_id"]) for row in rows} == set(wanted)
    one = next(row for row in rows if wanted[int(row["message_id"])].mine)
    assert one["from_fan"] == "false"
    assert all(row["text"] for row in rows if wanted[int(row["message_id"])].text)
    chat = chats[0]
    _, some = export("chat_messages", options={"maxMessages": 7, "chatIds": [chat.fan_id]})
    assert len(table(some)) == min(7, len(chat.messages))
    assert {row["chat_id"] for row in table(some)} == {str(chat.fan_id)}
    assert shown.total_rows == len(wanted)


@pytest.mark.parametrize("kind", ["all", "active", "expired", "latest"])
def test_fans(export: Export, kind: str) -> None:
    """Each fan once; active ones are active."""
    rows = table(export("fans", options={"type": kind})[1])
    assert len({row["fan_id"] for row in rows}) == len(rows) > 0
    if kind in ("active", "expired"):
        assert {row["is_active"] for row in rows} == {"true" if kind == "active" else "false"}


@pytest.mark.parametrize(
    ("kind", "options"),
    [("followings", {"type": "all"}), ("trial_links", {}), ("tracking_links", {}), ("payouts", {}), ("chargebacks", {}),
     ("public_profiles", {"maxResults": 5})],
)  # fmt: skip
def test_types_that_are_lists(export: Export, creator: Creator, kind: str, options: dict[str, Any]) -> None:
    """As many rows as upstream has."""
    rows = table(export(kind, options=options)[1])
    want = {
        "followings": len(creator.following),
        "payouts": len(creator.payouts),
        "chargebacks": sum(t.chargeback_at is not None for t in creator.transactions),
        "public_profiles": 5,
    }
    assert len(rows) == want.get(kind, len(rows)) > 0


def test_smart_links_may_be_none(export: Export) -> None:
    """A team without smart links gets a header."""
    assert export("smart_links")[1].startswith(b"\xef\xbb\xbfsmart_link_id,")


def test_profile_visitors_day_by_day(export: Export) -> None:
    """One row per day, with that day's figures."""
    rows = table(export("profile_visitors", start_date="2025-03-01", end_date="2025-03-05")[1])
    assert [row["date"] for row in rows] == [f"2025-03-0{n}" for n in range(1, 6)]
    assert len({row["total_visitors"] for row in rows}) > 1
    assert all(int(row["total_visitors"]) > 0 and row["average_view_duration"] for row in rows)


def test_the_media_vault_as_a_zip(export: Export, creator: Creator) -> None:
    """Every photo of the vault, whole."""
    shown, content = export("media_vault", "zip", options={"mediaType": "photo"})
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
    photos = [m for m in creator.vault.values() if m.kind == "photo" and not m.hidden]
    assert len(names) + shown.failed_downloads == len(photos)
    assert shown.failed_downloads == 0


def test_downloads_resume_and_end(export: Export, client: OnlyFansAPI, stack: Stack) -> None:
    """Range gives a part, a changed link gives nothing, no API key is needed; each read mints a new end."""
    shown, content = export("transactions", export_columns=["transaction_id"])
    url = shown.model_extra["download_url"]
    part = httpx.get(url, headers={"Range": "bytes=5-9"})
    assert (part.status_code, part.content) == (206, content[5:10])
    assert part.headers["content-range"] == f"bytes 5-9/{len(content)}"
    head = httpx.head(url)
    assert (head.status_code, head.headers["content-length"]) == (200, str(len(content)))
    assert "attachment" in head.headers["content-disposition"]
    broken = url.replace("/exports/", "/exports/f", 1)
    assert httpx.get(broken).status_code == 404
    assert httpx.get(url.rsplit("/", 2)[0] + "/team_x/data_export_x.csv").status_code == 404
    assert httpx.post(url).status_code == 405
    later = client.data_exports.retrieve(shown.id, download_url_expires_in=60).data
    assert later is not None
    assert later.model_extra["download_url_expires_at"] > shown.model_extra["download_url_expires_at"]
    assert stack.base_url in url
