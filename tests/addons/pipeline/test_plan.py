"""addons/pipeline/plan: upstream templates, requests sent straight to upstream, near misses."""

from __future__ import annotations

from pathlib import Path

import pytest

from addons.pipeline.check import Known
from addons.pipeline.loader import load_rules
from addons.pipeline.paths import canonical_path
from addons.pipeline.plan import Plan, parse_upstream

RULES = """\
- {id: fans-all, match: 'GET /{account}/fans/all', source: passthrough, why: x, upstream: GET /api2/v2/subs?type=all&format=infinite}
- {id: fans-active, match: 'GET /{account}/fans/active', source: passthrough, why: x, upstream: GET /api2/v2/subs?type=active&format=infinite}
- {id: chat, match: 'GET /{account}/chats/{chat_id}/messages', source: passthrough, why: x, upstream: 'GET /api2/v2/chats/{chat_id}/messages'}
- {id: mine, match: 'GET /{account}/posts', source: passthrough, why: x, upstream: 'GET /api2/v2/users/{account.onlyfans_id}/posts'}
- {id: any, match: '* /{account}/any', source: passthrough, why: x, upstream: '* /api2/v2/any'}
- {id: who, match: GET /whoami, source: computed, why: x, handler: accounts.whoami}
"""


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    (tmp_path / "r.yaml").write_text(RULES)
    return load_rules(tmp_path, known=Known())


@pytest.mark.parametrize(
    ("target", "rule"),
    [
        # the fixed query tells rules of one upstream path apart
        ("/api2/v2/subs?type=active&format=infinite&limit=5", "fans-active"),
        ("/api2/v2/subs?limit=5&type=all", "fans-all"),
        ("/api2/v2/chats/12/messages", "chat"),
        ("/api2/v2/any", "any"),
        # a contradicting query is no match
        ("/api2/v2/subs?type=expired", None),
        ("/api2/v2/other", None),
    ],
)
def test_match_upstream(plan: Plan, target: str, rule: str | None) -> None:
    """A request sent straight to upstream is served by the rule whose upstream request it is."""
    match = plan.match_upstream("GET", canonical_path(target))
    assert (match.rule.id if match else None) == rule


def test_upstream_parameters_are_bound(plan: Plan) -> None:
    """Parameters of the upstream path are those of the rule."""
    match = plan.match_upstream("GET", canonical_path("/api2/v2/chats/12/messages"))
    assert match is not None
    assert match.params == {"chat_id": "12"}


def test_upstream_target_is_encoded() -> None:
    """Parameters cannot leave their segment, whatever they hold."""
    upstream = parse_upstream("GET /api2/v2/users/{username}?view={account.username}&x=")
    params = {"username": "a/../b?c", "account.username": "eve"}
    assert upstream.path(params) == "/api2/v2/users/a%2F..%2Fb%3Fc"
    assert upstream.fixed_query(params) == [("view", "eve"), ("x", "")]


def test_allowed_methods(plan: Plan) -> None:
    """For a 405: the methods that rules take on a path, HEAD beside GET."""
    assert plan.allowed(canonical_path("/whoami")) == ["GET", "HEAD"]
    assert plan.allowed(canonical_path("/acct/chats/1/messages"), sources=("computed",)) == []
    assert "PATCH" in plan.allowed(canonical_path("/acct/any"))


def test_nearest(plan: Plan) -> None:
    """The nearest route comes first and says what differs."""
    near = plan.nearest("GET", canonical_path("/acct/fan/all"))
    assert near[0].route.owner.id == "fans-all"
    assert len({n.route.owner.id for n in near}) == len(near)
    assert near[0].reason == "`fan` is not `fans`"
    wrong_method = plan.nearest("POST", canonical_path("/whoami"))[0]
    assert wrong_method.reason == "its method is GET"


def test_counts(plan: Plan) -> None:
    """Active rules by source."""
    assert plan.counts == {"passthrough": 5, "computed": 1}
