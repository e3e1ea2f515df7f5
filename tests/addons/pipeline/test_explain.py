"""addons/pipeline/explain: why a request is served the way it is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

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
  query: {rename: {first_id: id}, drop: [fresh]}
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
    assert found["upstream"] == {"method": "GET", "target": "/api2/v2/subs?type=active&limit=5&id=9"}
    assert found["steps"]["steps"][0]["tables"] == {"fans": ["fan_id", "last_reply_at"]}
    json.dumps(found)


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
    found = explain(plan, "GET", "/acct_x/fan/active")
    assert found["winner"] is None
    assert found["nearest"][0]["rule"] == "fans-active"
    assert found["default"].startswith("passthrough to /api2/v2/fan/active")
    assert explain(plan, "POST", "/whoami")["default"] == "405 method_not_allowed; allowed: GET, HEAD"
    assert explain(plan, "GET", "/nothing")["default"] == "404 route_not_found"


def test_unsafe_path(plan: Plan) -> None:
    """A path that is refused says so."""
    assert explain(plan, "GET", "/acct_x/../y")["error"]["status"] == 400
