"""What goes upstream for what the client sends: path, query and body."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from ofapi_store.engine import Store
from ofapi_store.secrets import SecretBox
from tests.addons.pipeline.harness import Bench, make_bench

RULES = Path(__file__).parents[2] / "rules"
JSON = {"Content-Type": "application/json"}

# rule file, client's method and path, client's body → upstream's method, path and query, body
CASES: list[tuple[str, str, Any, str, Any]] = [
    # queries
    ("chats.yaml", "GET chats?filter=with_tips&limit=5", None, "GET chats?filter=who_tipped&limit=5", None),
    ("chats.yaml", "GET chats", None, "GET chats?limit=10", None),
    ("messages.yaml", "GET chats/5/messages?first_id=9&limit=3", None, "GET chats/5/messages?id=9&limit=3", None),
    (
        "fans.yaml",
        "GET fans/active?type=expired&limit=3",
        None,
        "GET subscriptions/subscribers?type=active&format=infinite&limit=3",
        None,
    ),
    (
        "fans.yaml",
        "GET fans/latest?start_date=2025-01-01&end_date=2025-01-02",
        None,
        "GET subscriptions/subscribers/latest?limit=10&startDate=2025-01-01&endDate=2025-01-02",
        None,
    ),
    (
        "statistics.yaml",
        "GET statistics/subscriber-metrics?start_date=2025-01-01&end_date=2025-01-02&detailed=true&detailed_type=new",
        None,
        "GET subscriptions/subscribers/chart?startDate=2025-01-01&endDate=2025-01-02",
        None,
    ),
    ("users.yaml", "GET users/list?ids=1,2", None, "GET users/list?m[]=1&m[]=2", None),
    (
        "notifications.yaml",
        "GET notifications?type=tips&limit=2",
        None,
        "GET users/notifications?format=infinite&type=tip&limit=2",
        None,
    ),
    ("tracking-links.yaml", "GET tracking-links/3/subscribers?limit=2", None, "GET campaigns/3/claimers?limit=2", None),
    # bodies that upstream wants and the client does not send
    ("messages.yaml", "DELETE chats/5/messages/9", None, "DELETE messages/9", {"withUserId": 5}),
    ("messages.yaml", "POST chats/5/messages/9/like", None, "POST messages/9/like", {"withUserId": 5}),
    ("fans.yaml", "DELETE fans/5/notes", None, "PUT subscriptions/5", {"notice": ""}),
    (
        "posts.yaml",
        "POST posts/3/comments?text=hi&answerTo=4",
        None,
        "POST posts/3/comments",
        {"text": "hi", "answerTo": 4},
    ),
    (
        "promotions.yaml",
        "POST bundles?discount=10&duration=3",
        None,
        "POST subscriptions/bundles",
        {"discount": 10, "duration": 3},
    ),
    # names in bodies
    ("fans.yaml", "PUT fans/5/notes", {"notes": "x"}, "PUT subscriptions/5", {"notice": "x"}),
    ("tracking-links.yaml", "POST tracking-links", {"name": "x"}, "POST campaigns", {"campaignName": "x"}),
    (
        "trial-links.yaml",
        "POST trial-links",
        {"name": "x", "duration": 7, "offerLimit": 5, "offerExpiration": 0},
        "POST trials",
        {"trialLinkName": "x", "subscribeDays": 7, "subscribeCounts": 5, "expiredAt": None},
    ),
    (
        "settings.yaml",
        "PATCH settings/welcome-message",
        {"enabled": True},
        "PATCH users/me",
        {"replyOnSubscribe": True},
    ),
    # methods
    ("chats.yaml", "POST chats/5/mark-as-unread", None, "DELETE chats/5/mark-as-read", None),
    ("vault.yaml", "DELETE media/vault/delete-media", {"mediaIds": [1]}, "PUT vault/media/hidden", {"mediaIds": [1]}),
    (
        "user-lists.yaml",
        "PUT user-lists/8",
        {"name": "x", "is_pinned_to_feed": True},
        "PATCH lists/8",
        {"name": "x", "isPinnedToFeed": True},
    ),
]


@pytest.fixture
async def bench(
    request: pytest.FixtureRequest, sqlite_store: Store, secret_box: SecretBox, tmp_path: Path
) -> AsyncIterator[Bench]:
    made = make_bench(sqlite_store, secret_box, tmp_path, rules=(RULES / request.param).read_text())
    yield made
    await made.gateway.close()


@pytest.mark.parametrize(
    ("bench", "asked", "body", "target", "sent"), CASES, ids=[asked for _, asked, *_ in CASES], indirect=["bench"]
)
async def test_the_upstream_request(bench: Bench, asked: str, body: Any, target: str, sent: Any) -> None:
    """The method, path, query and body that upstream understands."""
    method, _, path = asked.partition(" ")
    raw = json.dumps(body).encode() if body is not None else None
    await bench.call(method, "/{a}/" + path, body=raw, headers=JSON if raw else None)
    (request,) = bench.sent
    wanted_method, _, wanted = target.partition(" ")
    path, _, query = request.url.removeprefix("https://up.test/api2/v2/").partition("?")
    assert (request.method, path) == (wanted_method, wanted.partition("?")[0])
    assert sorted(query.split("&")) == sorted(wanted.partition("?")[2].split("&"))
    assert (json.loads(request.body) if request.body else None) == sent
