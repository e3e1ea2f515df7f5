"""How far an upload got, as its team is told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ofapi_store import testing
from ofapi_store.engine import Store
from ofapi_store.queries import uploads
from ofapi_store.secrets import SecretBox
from tests.addons.pipeline.harness import Bench, make_bench

RULES = (Path(__file__).parents[3] / "rules" / "media-routes.yaml").read_text()
NOW = datetime(2026, 1, 31, 23, 59, 59, tzinfo=UTC)
NAME = "ofapi_media_1"


@pytest.fixture
async def bench(store: Store, secret_box: SecretBox, tmp_path: Path) -> AsyncIterator[Bench]:
    """One upload is pending."""
    made = make_bench(store, secret_box, tmp_path, rules=RULES)
    values: dict[str, Any] = {
        "id": NAME, "team_id": made.team.id, "account_id": made.account.id, "target": "cdn", "kind": "photo",
        "file_name": "p.jpg", "content_type": "image/jpeg", "size": 5, "md5": "m", "spool": None, "source_url": None,
    }  # fmt: skip
    with store.write() as conn:
        uploads.create(conn, values, price=3, endpoint="media-upload", at=NOW, now=NOW)
    yield made
    await made.gateway.close()


async def status(bench: Bench) -> Any:
    """What the status endpoint shows; it costs nothing and asks nobody."""
    got = await bench.api(f"{{a}}/media/uploads/{NAME}/status")
    assert (got.status, bench.sent) == (200, [])
    return got.json


async def test_each_state_is_told(bench: Bench) -> None:
    """Pending, processing, then completed with the medium and its credits; bare, as the contract shows it (10.2)."""
    assert await status(bench) == {"prefixed_id": NAME, "status": "pending"}
    with bench.store.write() as conn:
        uploads.start(conn, NAME)
    assert await status(bench) == {"prefixed_id": NAME, "status": "processing"}
    with bench.store.write() as conn:
        uploads.complete(conn, NAME, {"processId": "p1"}, NOW)
    done = await status(bench)
    assert (done["status"], done["credits_used"]) == ("completed", 3)
    assert (done["media"]["processId"], done["media"]["file_name"]) == ("p1", "p.jpg")


async def test_a_failure_says_why(bench: Bench) -> None:
    """And names no credits: they were given back."""
    with bench.store.write() as conn:
        uploads.fail(conn, NAME, "The upload failed: no such file", NOW)
    assert await status(bench) == {
        "prefixed_id": NAME,
        "status": "failed",
        "error": "The upload failed: no such file",
    }


async def test_both_spellings_and_only_the_own_account(bench: Bench) -> None:
    """`media/upload/…` is the specification's; an upload of another account is as unknown as none."""
    assert (await bench.api(f"{{a}}/media/upload/{NAME}/status")).json["status"] == "pending"
    with bench.store.write() as conn:
        other = testing.make_account(conn, bench.team.id, box=bench.box)
    for path in (f"{other.id}/media/uploads/{NAME}/status", "{a}/media/uploads/ofapi_media_2/status"):
        got = await bench.api(path)
        assert (got.status, got.json["error"]) == (404, "not_found")
