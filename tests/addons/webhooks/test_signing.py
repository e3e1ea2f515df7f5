"""Signatures, checked against values computed by hand with the published algorithm."""

from __future__ import annotations

import base64
import hashlib
import hmac

from addons.webhooks.signing import hex_signature, standard_headers, standard_key

BODY = b'{"event":"tips.received"}'


def test_the_hex_signature_is_the_hmac_of_the_raw_body():
    """Lower-case hex over exactly the bytes that are sent."""
    assert hex_signature("s3cret", BODY) == hmac.new(b"s3cret", BODY, "sha256").hexdigest()
    assert hex_signature("s3cret", BODY) != hex_signature("s3cret", BODY + b" ")


def test_a_standard_verifier_accepts_the_three_headers():
    """id.timestamp.body is signed with the decoded whsec_ key and sent as `v1,<base64>`."""
    key = b"0123456789abcdef0123456789abcdef"
    secret = "whsec_" + base64.b64encode(key).decode()
    headers = dict(standard_headers(secret, "evt_1", 1_700_000_000, BODY))
    version, digest = headers["webhook-signature"].split(",")
    assert version == "v1"
    assert base64.b64decode(digest) == hmac.new(key, b"evt_1.1700000000." + BODY, hashlib.sha256).digest()
    assert headers["webhook-timestamp"] == "1700000000"


def test_without_a_secret_nothing_is_signed():
    """An endpoint without a secret gets id and timestamp only."""
    assert [name for name, _ in standard_headers(None, "evt_1", 1, BODY)] == ["webhook-id", "webhook-timestamp"]


def test_a_secret_that_only_looks_like_base64_is_used_as_it_is():
    """Any text works as a secret; `whsec_` with broken base64 is not an error."""
    assert standard_key("whsec_%%%") == b"whsec_%%%"
    assert standard_key("whsec_ü") == "whsec_ü".encode()
    assert standard_key("whsec_") == b"whsec_", "nobody signs with an empty key"
    assert standard_key("plain") == b"plain"
