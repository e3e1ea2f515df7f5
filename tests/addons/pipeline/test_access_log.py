"""One line per request, and nothing secret in it."""

from __future__ import annotations

from structlog.testing import capture_logs

from tests.addons.pipeline.harness import Bench, json_answer


async def test_the_line_says_how_the_request_went(bench: Bench) -> None:
    """Request id, rule, account, times, credits."""
    bench.upstream = lambda _: json_answer({"list": [{"id": 1}], "hasMore": False})
    with capture_logs() as lines:
        got = await bench.api("{a}/fans/active?limit=5")
    line = next(entry for entry in lines if entry["event"] == "request")
    assert line["request_id"] == got.exchange.id == got.headers.get("X-OFAPI-Request-Id")
    assert (line["rule"], line["status"], line["dialect"], line["edits"]) == ("fans-active", 200, "envelope", 1)
    assert (line["account"], line["team"], line["credits"]) == (bench.account.id, bench.team.id, 1)


async def test_no_key_cookie_query_or_token_is_logged(bench: Bench) -> None:
    """Headers and queries stay out; token mounts hide their path."""

    async def page(_: object) -> object:
        return json_answer({})

    bench.services.parts["mounts"] = {"connect": page, "embed": page, "redirect": page, "internal/exports": page}
    with capture_logs() as lines:
        await bench.raw("{a}/x/y?password=hunter2", headers={"Cookie": "sess=abc123"})
        await bench.raw("connect/ofapi_cs_secret", token=None)
        await bench.raw("embed-auth/ofapi_cs_secret", token=None)
        await bench.raw(f"elsewhere/{bench.token}", token=None)
        await bench.raw("_ofapi/exports/f00.signature/team/file.csv", token=None)
        await bench.raw("whoami", token="wrongkey")
    text = repr(lines)
    for secret in (bench.token, "hunter2", "abc123", "ofapi_cs_secret", "f00.signature", "wrongkey"):
        assert secret not in text
