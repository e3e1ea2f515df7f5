"""addons/pipeline/explain: why a request is served the way it is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from addons.config import Config
from addons.pipeline.check import Known
from addons.pipeline.explain import explain
from addons.pipeline.loader import load_rules
from addons.pipeline.plan import Plan

RULES = """\
- id: fans-active
  match: GET /{account}/fans/active
  source: hybrid
  why: Fans.
  upstream: GET /api2/v2/subs?type=active
  params: {limit: {type: int, max: 20}, most: {type: number}}
  index: {when: most, handler: fan_index.spenders, upstream: 'GET /api2/v2/list?of={account.onlyfans_id}', ids: 'm[]'}
  query: {rename: {first_id: id}, drop: [fresh]}
  observe: [{into: fans, each: '$.list[*]', columns: {fan_id: id}}]
  steps: [{addon: lookup, table: fans, each: '$.list[*]', by: {fan_id: id}, set: {lastReplyAt: last_reply_at}}]
- {id: fan, match: 'GET /{account}/fans/{id}', source: passthrough, why: x, upstream: 'GET /api2/v2/users/{id}'}
- {id: any, match: '* /{account}/fans/{id}', source: passthrough, why: x, upstream: '* /api2/v2/users/{id}'}
- {id: first, match: 'POST /{account}/fans/active', source: passthrough, why: x, upstream: 'POST /api2/v2/y'}
- {id: mine, match: 'GET /{account}/mine', source: passthrough, why: x, upstream: 'GET /api2/v2/users/{account.onlyfans_id}'}
- {id: file, match: 'GET /{account}/dl/{url+}', source: media, why: x, handler: media.download}
- {id: who, match: GET /whoami, source: computed, why: x, handler: accounts.whoami}
"""


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    (tmp_path / "r.yaml").write_text(RULES)
    return load_rules(tmp_path, known=Known())


def test_winner_and_losers(plan: Plan) -> None:
    """The winner comes first; each loser says in which measure it loses."""
    found = explain(plan, "GET", "/api/acct_x/fans/active?limit=5&fresh=1&first_id=9")
    assert found["winner"]["id"] == "fans-active"
    assert [(c["rule"], c["reason"]) for c in found["candidates"]] == [
        ("fans-active", "it wins"),
        ("fan", "literal segments: 1, the winner has 2"),
        ("any", "literal segments: 1, the winner has 2"),
        ("first", "its method is POST"),
    ]
    target = "/api2/v2/subs?type=active&limit=5&id=9"
    assert found["upstream"] == {"method": "GET", "target": target, "url": f"https://onlyfans.com{target}"}
    assert found["dialect"] == "envelope"
    assert found["steps"]["steps"][0]["tables"] == {"fans": ["fan_id", "last_reply_at"]}
    json.dumps(found)


def test_an_index_says_where_the_rows_come_from(plan: Plan) -> None:
    """Where the request asks for it: upstream is asked for each id that the store names."""
    found = explain(plan, "GET", "/acct_x/fans/active?limit=5&most=1")
    assert found["index"] == {"handler": "fan_index.spenders", "when": "most"}
    assert found["upstream"]["target"] == "/api2/v2/list?of={account.onlyfans_id}&m[]={id}"
    assert found["winner"]["observes"] == []
    plain = explain(plan, "GET", "/acct_x/fans/active?limit=5")
    assert "index" not in plain
    assert plain["winner"]["observes"] == ["fans: fan_id"]


def test_method_decides_last(plan: Plan) -> None:
    """With all else equal, a named method wins over `*`."""
    reasons = {c["rule"]: c["reason"] for c in explain(plan, "GET", "/acct_x/fans/7")["candidates"]}
    assert reasons == {"fan": "it wins", "any": "the winner names the method GET, this one is for *"}


def test_account_parts_stay_names(plan: Plan) -> None:
    """What only the account knows is shown by its name."""
    assert explain(plan, "GET", "/acct_x/mine")["upstream"]["target"] == "/api2/v2/users/{account.onlyfans_id}"


def test_rest_is_shown_as_sent(plan: Plan) -> None:
    """A `{rest+}` keeps its text."""
    found = explain(plan, "GET", "/acct_x/dl/https://c/../x?y=1")
    assert found["params"]["url"] == "https://c/../x?y=1"
    assert found["canonical"] == "/acct_x/dl/https://c/../x?y=1"


def test_no_rule(plan: Plan) -> None:
    """Without a match: the nearest rules, and what happens without a rule."""
    found = explain(plan, "GET", "/acct_x/fan/activ?x=1")
    assert found["winner"] is None
    assert found["nearest"][0]["rule"] == "fans-active"
    assert found["default"].startswith("passthrough")
    assert found["upstream"]["target"] == "/api2/v2/fan/activ?x=1"
    for method, target, default in (
        ("POST", "/whoami", "405 method_not_allowed; allowed: GET, HEAD"),
        ("GET", "/nothing", "404 route_not_found"),
    ):
        found = explain(plan, method, target)
        assert (found["default"], found["upstream"]) == (default, None)


@pytest.mark.parametrize(
    ("method", "target", "status", "code"),
    [
        ("GET", "/acct_x/../y", 400, "bad_request"),
        ("GET", "http://[::1", 400, "bad_request"),
        ("BREW", "/acct_x/fans/active", 405, "method_not_allowed"),
        ("GET", "https://onlyfans.com/my/x", 404, "route_not_found"),
        ("GET", "/acct_x/fans/active?limit=21", 422, "VALIDATION_ERROR"),
    ],
)
def test_what_is_refused(plan: Plan, method: str, target: str, status: int, code: str) -> None:
    """What never reaches upstream says why, as the gateway would."""
    found = explain(plan, method, target)
    assert (found["error"]["status"], found["error"]["code"]) == (status, code)
    assert found["upstream"] is None


@pytest.mark.parametrize(
    ("target", "winner", "dialect"),
    [
        ("http://127.0.0.1:8080/acct_x/fans/7", "fan", "raw"),
        ("https://api.fansapi.com/api/acct_x/fans/7", "fan", "envelope"),
        ("https://onlyfans.com/api2/v2/subs?type=active", "fans-active", "raw"),
        ("http://127.0.0.1:9999/api2/v2/y", None, "raw"),
        ("http://127.0.0.1:7777/api2/v2/subs", "fans-active", "raw"),
    ],
)
def test_urls(plan: Plan, target: str, winner: str | None, dialect: str) -> None:
    """A URL of ours is explained by its path; one of upstream's by its upstream path, as the regular proxy does."""
    config = Config.model_validate({"upstream": {"base_url": "http://127.0.0.1:7777"}})
    found = explain(plan, "GET", target, config)
    assert ((found["winner"] or {}).get("id"), found["dialect"]) == (winner, dialect)


def test_straight_to_upstream(plan: Plan) -> None:
    """What a client sends straight to upstream goes there as it is; without a rule, upstream paths are near."""
    found = explain(plan, "GET", "https://onlyfans.com/api2/v2/subs?limit=99")
    assert found["upstream"]["target"] == "/api2/v2/subs?limit=99"
    found = explain(plan, "GET", "https://onlyfans.com/api2/v2/sub")
    assert found["nearest"][0]["match"] == "GET /api2/v2/subs"


def test_what_the_gateway_answers_itself(plan: Plan) -> None:
    """Health, redirects, files and the hosted page belong to no rule."""
    for target in ("/_ofapi/health", "/go/abc", "/cdn/x", "/connect/x"):
        assert explain(plan, "GET", target)["default"].startswith("the gateway itself")
    config = Config.model_validate({"mounts": {"envelope": "/v1"}})
    assert explain(plan, "GET", "/v1/acct_x/fans/7", config)["winner"]["id"] == "fan"
