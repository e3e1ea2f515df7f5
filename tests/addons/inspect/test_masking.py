"""Secrets never show: header values, query values, body fields, log texts."""

from __future__ import annotations

import json

import pytest

from addons.inspect.masking import mask_body, mask_fields, mask_target, mask_text, mask_value


def test_headers() -> None:
    """Credentials go, everything else stays, in any case of the name."""
    fields = [
        (b"AUTHORIZATION", b"Bearer k"),
        (b"Cookie", b"a=b"),
        (b"X-BC", b"1"),
        (b"Accept", b"*/*"),
        (b"set-cookie", b"x"),
    ]
    assert mask_fields(fields) == [
        (b"AUTHORIZATION", b"***"),
        (b"Cookie", b"***"),
        (b"X-BC", b"***"),
        (b"Accept", b"*/*"),
        (b"set-cookie", b"***"),
    ]


@pytest.mark.parametrize(
    ("target", "shown"),
    [
        ("/a?limit=5", "/a?limit=5"),
        ("/a?password=x&limit=5", "/a?password=***&limit=5"),
        ("/a?limit=5&api_key=k%20k", "/a?limit=5&api_key=***"),
        ("/cdn/x?Policy=p&Signature=s&Key-Pair-Id=k", "/cdn/x?Policy=***&Signature=***&Key-Pair-Id=***"),
        ("/connect/tok_123?x=1", "/connect/***?x=1"),
        ("/a/token/b", "/a/token/b"),
        ("/a?x=\udcff&token=\udcfe", "/a?x=\udcff&token=***"),  # bytes that are no UTF-8, as the engine shows them
        (f"/elsewhere/ofapi_cs_{'a1B' * 14}x/status", "/elsewhere/***/status"),
        (f"/x/ofapi_{'a1B' * 14}x", "/x/***"),
        (
            "/media/uploads/ofapi_media_0123456789abcdef0123456789abcdef",
            "/media/uploads/ofapi_media_0123456789abcdef0123456789abcdef",
        ),
    ],
)
def test_targets(target: str, shown: str) -> None:
    """Query values under secret names go; the rest of the target is as sent."""
    assert mask_target(target) == shown


@pytest.mark.parametrize(
    ("body", "path", "shown"),
    [
        (b'{"email": "a@b", "password": "p\\"w", "n": 1}', "/x", b'{"email": "a@b", "password": "***", "n": 1}'),
        (b'{"code": "123456"}', "/api/authenticate/at_1", b'{"code": "***"}'),
        (b'{"code": 123456}', "/api/authenticate/at_1", b'{"code": "***"}'),
        (b'{"code": "DE"}', "/acct_1/countries", b'{"code": "DE"}'),
        (
            b'[{"cookies": "a=b; c=d", "xbc": "z", "auth_id": "1"}]',
            "/x",
            b'[{"cookies": "***", "xbc": "***", "auth_id": "1"}]',
        ),
        (b'{"proxy": {"password" : "x"}, broken', "/x", b'{"proxy": {"password" : "***"}, broken'),
        (b"email=a&password=p", "/x", b"email=a&password=***"),
        (b"plain text", "/x", b"plain text"),
        (b"", "/x", b""),
    ],
)
def test_bodies(body: bytes, path: str, shown: bytes) -> None:
    """JSON and form fields under secret names go, whatever surrounds them; `code` only where it is a login's."""
    assert mask_body(body, path) == shown


def test_large_bodies_are_masked_in_time() -> None:
    """A megabyte of JSON is masked without going quadratic."""
    body = json.dumps([{"name": "x" * 50, "token": "t" * 30} for _ in range(10_000)]).encode()
    assert b"ttt" not in mask_body(body, "/x")


def test_edited_values() -> None:
    """An edit of a secret field shows no value."""
    assert mask_value("/list/0/token", '"abc"') == "***"
    assert mask_value("/list/0/lastReplyAt", '"2025"') == '"2025"'


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Authorization: Bearer abcdef123", "Authorization: ***"),
        ("got 'Bearer abcdef123' here", "got 'Bearer ***' here"),
        ("b'Cookie: sess=1; auth=2'", "b'Cookie: ***'"),
        ("postgresql://u:pw@host/db", "postgresql://u:***@host/db"),
        ("x-bc: 1234 next", "x-bc: *** next"),
        ("hash $argon2id$v=19$m=1 end", "hash *** end"),
        ("nothing to hide: 5 requests", "nothing to hide: 5 requests"),
    ],
)
def test_texts(text: str, shown: str) -> None:
    """A log line loses what looks like a credential and nothing else."""
    assert mask_text(text) == shown
