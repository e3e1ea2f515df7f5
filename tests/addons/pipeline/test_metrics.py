"""Metrics say what happened and identify nobody."""

from __future__ import annotations

import pytest

from addons.pipeline.exchange import UpstreamFailure
from ofapi_store import outbox
from ofapi_store.errors import StoreUnavailable
from tests.addons.pipeline.harness import Bench, json_answer


async def test_metrics_have_bounded_labels(bench: Bench) -> None:
    """Rule ids and outcomes; never a path, an account or a key."""
    bench.upstream = lambda _: json_answer({"list": [{"id": 1}], "hasMore": False})
    await bench.raw("{a}/fans/active")
    await bench.raw("{a}/secret-path/123456789")
    bench.upstream = lambda _: UpstreamFailure("timeout", "")
    await bench.raw("{a}/x/y")
    text = (await bench.raw("_ofapi/metrics", token=None)).body.decode()
    assert 'ofapi_requests_total{dialect="raw",rule="fans-active",source="hybrid",status="200"} 1.0' in text
    assert 'rule="default",source="passthrough",status="504"' in text
    for private in ("secret-path", "123456789", bench.account.id, bench.token, bench.team.id):
        assert private not in text


async def test_work_that_waits_is_shown(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs and deliveries, from the store; while it is in trouble, the last figures stand."""
    with bench.store.write() as conn:
        outbox.enqueue(conn, "export.build", {})
    text = (await bench.raw("_ofapi/metrics", token=None)).body.decode()
    assert 'ofapi_jobs{kind="export.build",state="pending"} 1.0' in text
    assert 'ofapi_webhook_deliveries{state="new"} 0.0' in text
    assert 'ofapi_webhooks{state="paused"} 0.0' in text

    def fails(*_args: object, **_more: object) -> object:
        raise StoreUnavailable("locked")

    monkeypatch.setattr("ofapi_store.queries.backlog.count", fails)
    got = await bench.raw("_ofapi/metrics", token=None)
    assert (got.status, 'ofapi_jobs{kind="export.build",state="pending"} 1.0' in got.body.decode()) == (200, True)
