"""Identifiers and tokens are random, prefixed and plain."""

from __future__ import annotations

import re

from ofapi_store import ids


def test_ids_are_prefixed_and_distinct() -> None:
    """`acct_` and 24 letters or digits."""
    made = {ids.new_id("acct") for _ in range(1000)}
    assert len(made) == 1000
    assert all(re.fullmatch(r"acct_[0-9a-z]{24}", one) for one in made)


def test_tokens_hold_32_bytes_and_are_stored_hashed() -> None:
    """43 digits of base 62 hold 256 bits; the hash is SHA-256 in hex and accepts any text."""
    token = ids.new_token()
    assert re.fullmatch(r"ofapi_[0-9A-Za-z]{43}", token)
    assert 62**43 > 2**256
    assert ids.token_hash("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert len(ids.token_hash("\udc80")) == 64
