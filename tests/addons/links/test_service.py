"""`synchronous=true` of the live lists, through the whole gateway."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from addons.links.service import opened
from ofapi_store import outbox
from ofapi_store.engine import Store
from ofapi_store.queries import links
from ofapi_store.secrets import SecretBox
from tests.addons.pipeline.harness import json_answer, make_bench

RULES = (Path(__file__).parents[3] / "rules" / "shared-links.yaml").read_text()


@pytest.mark.parametrize("dialect", ["", "/api"])
@pytest.mark.parametrize(
    ("path", "kind"), [("shared-tracking-links", "shared_tracking"), ("shared-trial-links", "shared_trial")]
)
async def test_a_list_without_revenue_waits_for_no_sync(
    store: Store, secret_box: SecretBox, tmp_path: Path, path: str, kind: links.Kind, dialect: str
) -> None:
    """It answers at once and starts no sync; the rows that it shows are stored by then."""
    (tmp_path / "key").write_text(SecretBox.generate_key())
    config = {
        "upstream": {"base_url": "https://up.test"},
        "links": {"spool_dir": str(tmp_path / "clicks")},
        "secrets": {"keys": [{"file": str(tmp_path / "key")}]},
    }
    bench = make_bench(store, secret_box, tmp_path, rules=RULES, config=config)
    bench.upstream = lambda _: json_answer({"list": [{"id": 5, "trialLinkName": "n"}], "hasMore": False})
    async with opened(bench.services), asyncio.timeout(10):
        got = await bench.call("GET", f"{dialect}/{{a}}/{path}?synchronous=true", settle=False)
        with store.read() as conn:
            assert (got.status, links.get(conn, bench.account.id, kind, 5) is not None) == (200, True)
            assert outbox.counts(conn) == {}
    await bench.gateway.close()
