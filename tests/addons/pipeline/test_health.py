"""`/_ofapi/health` and `/_ofapi/metrics` answer without a key and say what is wrong."""

from __future__ import annotations

import pytest

from tests.addons.pipeline.harness import Bench


async def test_all_well_is_ok(bench: Bench) -> None:
    """No key needed; the rules in force are named."""
    got = await bench.raw("_ofapi/health", token=None)
    assert (got.status, got.json["status"], got.json["reasons"]) == (200, "ok", [])
    assert got.json["rules"]["version"] == bench.gateway.parts.plan().version


async def test_a_refused_reload_is_degraded_and_says_why(bench: Bench) -> None:
    """Invariant 8: the state can be queried; requests are still served, so it is a 200."""
    bench.services.parts["rules_state"] = lambda: {"ok": False, "errors": ["rules/x.yaml:1:1: unknown key"]}
    got = await bench.raw("_ofapi/health", token=None)
    assert (got.status, got.json["status"]) == (200, "degraded")
    assert got.json["rules"]["last_reload"]["errors"] == ["rules/x.yaml:1:1: unknown key"]
    assert "ofapi_rules_reload_ok 0.0" in (await bench.raw("_ofapi/metrics", token=None)).body.decode()


async def test_changes_that_wait_are_told(bench: Bench) -> None:
    """An edit that is not taken because the file is held open is no riddle."""
    bench.services.parts["rules_state"] = lambda: {"ok": True, "errors": [], "waiting_for": ["rules/x.yaml"]}
    got = await bench.raw("_ofapi/health", token=None)
    assert (got.json["status"], got.json["reasons"][0].endswith("rules/x.yaml")) == ("degraded", True)


async def test_other_parts_add_their_reasons(bench: Bench) -> None:
    """`services.parts["health"]` maps a name to a check."""

    async def worker() -> str | None:
        return "no worker has polled for 120 s"

    bench.services.parts["health"] = {"worker": worker}
    got = await bench.raw("_ofapi/health", token=None)
    assert got.json["reasons"] == ["worker: no worker has polled for 120 s"]


async def test_without_a_store_it_is_down(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """503, so that a balancer takes this process out."""

    async def broken(*_: object) -> None:
        raise OSError("gone")

    monkeypatch.setattr(bench.services.store, "aread_slow", broken)
    got = await bench.raw("_ofapi/health", token=None)
    assert (got.status, got.json["status"]) == (503, "down")
