"""The rules of this repository against the table of routes that the product promises."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest

from addons.config import Config
from addons.pipeline.check import Known
from addons.pipeline.credits import Prices
from addons.pipeline.loader import load_rules
from addons.pipeline.paths import canonical_path
from addons.pipeline.plan import CompiledRule, Plan
from ofapi_store.catalog import lookup_columns, observe_columns

ROOT = Path(__file__).parents[2]
RULES = ROOT / "rules"
ROUTES = list(csv.DictReader((Path(__file__).parent / "routes.tsv").open(), delimiter="\t"))
MAX_LINES = 400

SPELLINGS = [
    (row["method"], path, row)
    for row in ROUTES
    for path in dict.fromkeys((row["specification"], row["client"]))
    if path != "-"
]

PAGED = [
    "chats-list",
    "messages-list",
    "engagement-buyers",
    "engagement-direct-messages",
    "engagement-mass-messages",
    "fans-all",
    "fans-active",
    "fans-expired",
    "fans-latest",
    "following-all",
    "following-active",
    "following-expired",
    "release-forms-taggable-users",
    "shared-tracking-links-list",
    "shared-trial-links-list",
    "tracking-links-list",
    "trial-links-list",
    "transactions-list",
]
"""Live rules of contract 1.2; the four stored lists and the search page by their handlers."""


@pytest.fixture(scope="module")
def plan() -> Plan:
    return load_rules(RULES, known=Known(None, lookup_columns(), observe_columns()))


def example(template: str) -> str:
    """A path that a client would send for a template."""
    named = {"account": "acct_9f", "username": "someone", "cdn_url": "https%3A%2F%2Fcdn2.onlyfans.com%2Ffiles%2Fa.jpg"}
    return re.sub(r"\{(\w+)\}", lambda found: named.get(found[1], "123"), template)


def rule_of(plan: Plan, method: str, path: str) -> CompiledRule:
    found = plan.match(method, canonical_path(example(path)))
    assert found is not None, f"no rule for {method} {path}"
    return found.rule


@pytest.mark.parametrize(("method", "path", "row"), SPELLINGS, ids=[f"{m} {p}" for m, p, _ in SPELLINGS])
def test_every_spelling_of_every_route_has_its_source(plan: Plan, method: str, path: str, row: dict[str, str]) -> None:
    """Each route of the table is served by a rule of its class, in the specification's and in the client's spelling."""
    assert rule_of(plan, method, path).source == row["source"]


def test_both_spellings_are_one_rule(plan: Plan) -> None:
    """Where specification and client spell a route differently, the same rule answers both."""
    for row in ROUTES:
        if "-" not in (row["specification"], row["client"]):
            one, other = (rule_of(plan, row["method"], row[name]).id for name in ("specification", "client"))
            assert one == other, row


def test_every_rule_says_why(plan: Plan) -> None:
    """`why` is one useful sentence: it ends with a full stop and is no copy of the id."""
    for rule in plan.rules:
        why = rule.spec.why
        assert len(why) >= 20 and why.endswith("."), f"{rule.where}: {why}"
        assert why.lower() != rule.id.replace("-", " ") + "."


def test_guessed_upstream_paths_are_marked(plan: Plan) -> None:
    """A rule whose upstream path is the client's own path says so, unless that is upstream's path for certain."""
    marked = [rule for rule in plan.rules if "path not known" in rule.spec.why]
    assert marked
    for rule in marked:
        assert rule.upstream is not None
        assert rule.upstream.text.startswith(rule.templates[0][0])


def test_live_rules_ask_below_the_api(plan: Plan) -> None:
    """Every upstream template lies below `/api2/v2/`."""
    for rule in plan.rules:
        if rule.upstream is not None:
            assert rule.upstream.template.text.startswith("/api2/v2/"), rule.where


def test_the_twelve_hybrid_endpoints(plan: Plan) -> None:
    """There are twelve hybrid rules, each with at least one step, and none of them changes anything for `/api` alone."""
    hybrid = [rule for rule in plan.rules if rule.source == "hybrid"]
    assert len(hybrid) == 12
    assert all(rule.steps for rule in hybrid)


def test_paged_operations(plan: Plan) -> None:
    """Every live operation with `_pagination` in the client pages, and sends upstream the page size that it counts by."""
    for name in PAGED:
        rule = plan.by_id[name]
        page = rule.spec.present.page
        assert page is not None and page.kind != "none", name
        if page.kind == "offset":
            assert rule.spec.query.default["limit"] == str(page.limit) == str(rule.spec.params["limit"].default), name


def test_free_operations_cost_nothing(plan: Plan) -> None:
    """What the contract calls free is free (contract 3): stored lists, tags, accounts, webhooks, exports, status.

    Everything else costs, but for what is priced by size, or answered from the store as the contract's cached profiles.
    """
    otherwise_priced = {
        *("media-download", "media-scrape", "media-upload", "media-vault-upload"),
        *("profiles-get", "profiles-search", "fan-summary-get", "fan-summary-generate"),
        *("smart-links-delete", "smart-links-tags-list", "smart-links-tags-add", "smart-links-tags-remove"),
    }
    prefixes = ("stored-", "link-tags-", "postbacks-", "webhooks-", "data-exports-", "authenticate-", "accounts-")
    named = {"whoami", "media-upload-status", "client-sessions-create", "smart-links-spenders", "usage-credits"}
    prices = Prices(Config().credits)
    for rule in plan.rules:
        free = (rule.id.startswith(prefixes) or rule.id in named) and rule.id != "webhooks-redeliver"
        assert (prices.of(rule.id, rule.spec.credits) == 0) is (free or rule.id in otherwise_priced), rule.id


def test_files_name_their_schema_and_stay_short() -> None:
    """Each file begins with the schema hint for editors and has at most 400 lines."""
    for path in RULES.rglob("*.yaml"):
        lines = path.read_text().splitlines()
        assert lines[0] == "# yaml-language-server: $schema=schema.json", path.name
        assert len(lines) <= MAX_LINES, path.name


@pytest.mark.parametrize(
    ("target", "rule_id"),
    [
        ("users/anna", "users-get"),
        ("users/me", "me-get"),
        ("users/me/settings", "settings-get"),
        ("subscriptions/subscribers?type=active&limit=5", "fans-active"),
        ("subscriptions/subscribers?type=expired", "fans-expired"),
        ("subscriptions/subscribers?limit=5", "fans-all"),
        ("chats?limit=5", "chats-list"),
        ("chats/5/messages?id=9", "messages-list"),
        ("payouts/transactions", "transactions-list"),
        ("campaigns", "tracking-links-list"),
        ("trials", "trial-links-list"),
        ("users/me/stats/top/message", "engagement-top-message"),
    ],
)
def test_requests_straight_to_upstream_find_their_rule(plan: Plan, target: str, rule_id: str) -> None:
    """A client of the regular proxy gets the same enrichment and observing, whatever other rule asks the same path."""
    found = plan.match_upstream("GET", canonical_path(f"/api2/v2/{target}"))
    assert found is not None
    assert found.rule.id == rule_id
