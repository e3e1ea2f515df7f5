"""addons/connect: the page's own calls, headers and limits, through the gateway."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from addons.connect.service import ConnectPage, opened
from ofapi_store.engine import Store
from ofapi_store.queries import accounts, auth, auth_sessions
from ofapi_store.secrets import SecretBox
from tests.addons.pipeline.harness import Bench, Got, make_bench

LOGIN = {"email": "new@example.test", "password": "planted-secret"}


@pytest.fixture
async def bench(sqlite_store: Store, secret_box: SecretBox, tmp_path: Path) -> AsyncIterator[Bench]:
    made = make_bench(sqlite_store, secret_box, tmp_path)
    async with opened(made.services):
        yield made
    await made.gateway.close()


def token_of(bench: Bench, minutes: float = 5) -> str:
    now = bench.services.clock()
    with bench.store.write() as conn:
        ends = now + timedelta(minutes=minutes)
        return auth_sessions.create(conn, bench.team.id, display_name="Anna", now=now, expires_at=ends)[1]


async def post(bench: Bench, path: str, body: Any, **headers: str) -> Got:
    fields = {"Content-Type": "application/json", **{k.replace("_", "-"): v for k, v in headers.items()}}
    return await bench.call("POST", f"/connect/{path}", body=json.dumps(body).encode(), headers=fields, token=None)


async def get(bench: Bench, path: str, method: str = "GET") -> Got:
    return await bench.call(method, f"/connect/{path}", token=None)


async def test_the_page_loads_nothing_from_elsewhere(bench: Bench) -> None:
    """Own scripts and styles only, in no frame, no Referer, not cached; what it names is there."""
    page = await get(bench, token_of(bench))
    policy = page.headers.get("content-security-policy") or ""
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert page.headers.get("referrer-policy") == "no-referrer"
    assert page.headers.get("cache-control") == "no-store"
    text = page.body.decode()
    links = re.findall(r'(?:src|href)="([^"#]+)"', text)
    assert links
    assert all(link.startswith("/connect/assets/") for link in links)
    assert "<script>" not in text
    assert " style=" not in text
    for link in links:
        asset = await bench.call("GET", link, token=None)
        assert (asset.status, asset.headers.get("x-content-type-options")) == (200, "nosniff")


async def test_sites_that_may_frame_it(sqlite_store: Store, secret_box: SecretBox, tmp_path: Path) -> None:
    """Those of `auth.embed_origins`."""
    config = {"auth": {"embed_origins": ["https://app.example.com/x"]}}
    bench = make_bench(sqlite_store, secret_box, tmp_path, config=config)
    bench.services.parts["mounts"] = {"connect": ConnectPage(bench.services)}
    page = await get(bench, token_of(bench))
    assert "frame-ancestors https://app.example.com" in (page.headers.get("content-security-policy") or "")
    assert page.headers.get("x-frame-options") is None
    await bench.gateway.close()


async def test_unknown_and_old_tokens(bench: Bench) -> None:
    """404 in every way, the same for one that never was and one whose time is over."""
    for token in ("ofapi_cs_none", token_of(bench, minutes=-1)):
        page, status = await get(bench, token), await get(bench, f"{token}/status")
        assert (page.status, status.status) == (404, 404)
        assert b"does not work" in page.body
        assert (await post(bench, f"{token}/start", LOGIN)).status == 404
    assert (await get(bench, "")).status == 404
    assert (await get(bench, "assets/page.html")).status == 404
    assert (await get(bench, f"{token_of(bench)}/other")).status == 404
    assert (await get(bench, f"{token_of(bench)}/a/b")).status == 404


async def test_a_login_from_the_page(bench: Bench) -> None:
    """An account of the session's team, an attempt with its secret encrypted, and a status without it."""
    token = token_of(bench)
    assert (await get(bench, f"{token}/status")).json["state"] == "new"
    started = await post(bench, f"{token}/start", LOGIN)
    assert (started.status, started.json["state"], started.json["progress"]) == (200, "authenticating", "started")
    assert b"planted" not in started.body
    with bench.store.read() as conn:
        row = accounts.list_for_team(conn, bench.team.id)[-1]
        attempt = auth.open_of_account(conn, row.id)
        assert attempt is not None
        assert "planted" not in str(conn.exec_driver_sql("SELECT * FROM auth_attempts").all())
    assert row.display_name == "Anna"
    assert (await post(bench, f"{token}/start", LOGIN)).json["error"] == "link_used"
    assert (await post(bench, f"{token}/code", {"code": "123456"})).json["error"] == "not_waiting"


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("start", {}, "email"),
        ("start", {"email": "a@b.test", "password": "x" * 20_000}, "password"),
        ("start", [], "body"),
        ("code", {}, "code"),
        ("code", {"code": "123456"}, "code"),
    ],
)
async def test_wrong_input(bench: Bench, path: str, body: Any, field: str) -> None:
    """422 naming the field."""
    got = await post(bench, f"{token_of(bench)}/{path}", body)
    assert (got.status, field in got.json["errors"]) == (422, True)


async def test_only_the_page_may_post(bench: Bench) -> None:
    """Forms and scripts of other sites are refused, as are other methods."""
    token = token_of(bench)
    assert (await post(bench, f"{token}/start", LOGIN, Origin="https://evil.test")).status == 403
    assert (await post(bench, f"{token}/start", LOGIN, Sec_Fetch_Site="cross-site")).status == 403
    assert (await post(bench, f"{token}/start", LOGIN, Content_Type="text/plain")).status == 415
    assert (await get(bench, f"{token}/start")).status == 405
    assert (await get(bench, token, "DELETE")).status == 405
    assert (await post(bench, f"{token}/start", LOGIN, Origin="http://gw.test:8080")).status == 200


async def test_behind_a_front_proxy(sqlite_store: Store, secret_box: SecretBox, tmp_path: Path) -> None:
    """A page that was opened at `public_url` may post, whatever Host the proxy sends on."""
    bench = make_bench(sqlite_store, secret_box, tmp_path, config={"public_url": "https://public.test"})
    bench.services.parts["mounts"] = {"connect": ConnectPage(bench.services)}
    assert (await post(bench, f"{token_of(bench)}/start", LOGIN, Origin="https://public.test")).status == 200
    await bench.gateway.close()


async def test_head(bench: Bench) -> None:
    """As GET."""
    assert (await get(bench, "auth.js", "HEAD")).status == 200
    assert (await get(bench, token_of(bench), "HEAD")).status == 200
