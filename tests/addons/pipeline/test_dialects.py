"""The envelope copies upstream's bytes; what it adds is contract 1.1."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.pipeline.dialects import Counters, envelope, is_json
from addons.pipeline.limits import RateState

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda c: st.lists(c) | st.dictionaries(st.text(), c)
)


@given(JSON, st.sampled_from(["", " ", "\n\t"]))
def test_any_json_is_spliced_unchanged(value: object, space: str) -> None:
    """Whitespace included."""
    body = (space + json.dumps(value) + space).encode()
    assert is_json(body)
    whole = envelope(body, {"m": 1}, {"next_page": None})
    assert whole.startswith(b'{"data":' + body + b",")
    assert msgspec.json.decode(whole)["_pagination"] == {"next_page": None}


@given(st.binary(max_size=40))
def test_is_json_agrees_with_a_json_parser(body: bytes) -> None:
    """On what is no JSON, envelopes are never made."""
    try:
        msgspec.json.decode(body)
        valid = True
    except (msgspec.DecodeError, UnicodeDecodeError):
        valid = False
    assert is_json(body) or not valid


@pytest.mark.parametrize("body", [rb'{"name":"\ud800"}', b'{"name":"\xff"}', b"9" * 5000, b'{"a":1,"a":2}'])
def test_odd_json_is_json(body: bytes) -> None:
    """Lone surrogates, bytes that are not UTF-8, long numbers and duplicate keys get their envelope."""
    assert is_json(body)
    assert envelope(body, {}).startswith(b'{"data":' + body)


@pytest.mark.parametrize("body", [b"", b" ", b"{", b"NaN", b"<h1>", b"1 2", b"\xef\xbb\xbf{}"])
def test_what_is_no_json_gets_no_envelope(body: bytes) -> None:
    """It passes as it is."""
    assert not is_json(body)


def test_counters_say_the_same_in_headers_and_meta() -> None:
    """Two views of one state; no rate, no rate fields."""
    counters = Counters(3, 7, RateState(10, 9))
    headers = dict(counters.headers())
    meta = counters.meta()
    assert headers["X-OFAPI-Credits-Used"] == str(meta["_credits"]["used"]) == "3"
    assert headers["X-Rate-Limit-Remaining-Minute"] == str(meta["_rate_limits"]["remaining_minute"]) == "9"
    assert "_rate_limits" not in Counters(0, 0, None).meta()
