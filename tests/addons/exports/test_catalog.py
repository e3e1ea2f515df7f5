"""Types, columns and options; bad ones are covered through the API in tests/addons/compute/test_data_exports.py."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from addons.exports.catalog import TYPES, check_columns, check_options
from addons.exports.walks import WALKS
from addons.pipeline.errors import ValidationFailed
from ofapi_store.queries.exports_rows import LISTINGS

NOW = datetime(2025, 7, 1, tzinfo=UTC)
RULES = Path(__file__).parents[3] / "rules" / "data-exports.yaml"


def test_every_type_of_the_contract_has_rows_from_somewhere() -> None:
    """All but Fansly's; from the store, from upstream, or both."""
    create = next(rule for rule in yaml.safe_load(RULES.read_text()) if rule["id"] == "data-exports-create")
    assert set(create["body"]["type"]["enum"]) - set(TYPES) == {"fansly_chat_messages"}
    for kind in TYPES.values():
        assert kind.walk == (kind.name in WALKS)
        assert kind.walk or kind.name in LISTINGS
        assert len(set(kind.columns)) == len(kind.columns)


def test_columns_keep_the_order_asked_for() -> None:
    """None or an empty list is all of them."""
    kind = TYPES["transactions"]
    assert check_columns(kind, ["created_at", "amount"]) == ["created_at", "amount"]
    assert check_columns(kind, None) == check_columns(kind, []) == list(kind.columns)


def test_options_are_converted() -> None:
    """Ids may be text, dates become UTC, absent ones stay absent."""
    messages = check_options(TYPES["chat_messages"], {"maxMessages": "5", "chatIds": ["7", 8]}, NOW)
    assert messages == {"maxMessages": 5, "chatIds": [7, 8]}
    profiles = check_options(TYPES["public_profiles"], {"minLastSeenAt": "2025-01-02T03:04:05+02:00"}, NOW)
    assert profiles == {"minLastSeenAt": "2025-01-02T01:04:05+00:00"}


def test_all_wrong_options_are_named_at_once() -> None:
    """The unknown one with what is known."""
    with pytest.raises(ValidationFailed) as e:
        check_options(TYPES["chat_messages"], {"maxChats": 0, "max": 1}, NOW)
    errors = e.value.errors or {}
    assert set(errors) == {"options.maxMessages", "options.maxChats", "options.max"}
    assert "maxMessages, maxChats" in errors["options.max"][0]
