"""Metrics say what happened and identify nobody."""

from __future__ import annotations

from addons.pipeline.exchange import UpstreamFailure
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
