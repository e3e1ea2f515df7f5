"""Sample payloads are valid delivery bodies."""

from __future__ import annotations

import json

import pytest

from addons.webhooks.catalogue import EVENTS
from addons.webhooks.examples import FAN_DATA, example
from ofapi_store.types import to_json


@pytest.mark.parametrize("event", list(EVENTS))
def test_each_sample_is_exact_json(event: str) -> None:
    """Serialised as real ones are."""
    body = json.loads(to_json(example(event)))
    assert body["event"] == event
    if "fanData" in body["payload"]:
        assert body["payload"]["fanData"].keys() == FAN_DATA.keys()
        assert isinstance(body["payload"]["fan"]["id"], str)
