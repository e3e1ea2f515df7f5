"""Random identifiers and API tokens."""

from __future__ import annotations

import hashlib
import re
import secrets
from datetime import datetime

from ofapi_store.types import to_micros

_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"
_TOKEN_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"  # noqa: S105 (the digits of base 62)
_TOKEN_BYTES = 32
_TOKEN_LENGTH = 43  # base 62 digits that hold 32 bytes

TOKEN_PREFIX = "ofapi_"  # noqa: S105
TOKENS = re.compile(rf"{TOKEN_PREFIX}(?:cs_)?[0-9A-Za-z]{{{_TOKEN_LENGTH}}}")
"""Keys and tokens of ours in a text that is going to be written down."""


def new_id(prefix: str, length: int = 24) -> str:
    """`<prefix>_<lower-case letters and digits>`, 124 random bits at the default length."""
    return f"{prefix}_{''.join(secrets.choice(_ALPHABET) for _ in range(length))}"


def new_token(prefix: str = TOKEN_PREFIX) -> str:
    """A bearer token: the prefix and 32 random bytes in base 62. Shown once, never stored."""
    number = int.from_bytes(secrets.token_bytes(_TOKEN_BYTES))
    digits = []
    for _ in range(_TOKEN_LENGTH):
        number, digit = divmod(number, 62)
        digits.append(_TOKEN_ALPHABET[digit])
    return prefix + "".join(digits)


def token_hash(token: str) -> str:
    """What is stored of a token: SHA-256, hex."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


_BASE32 = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def ulid_at(at: datetime) -> str:
    """The smallest ULID of that millisecond: ids compare with it as their times compare with `at`."""
    ms = max(0, to_micros(at) // 1000)
    digits = []
    for _ in range(10):
        ms, digit = divmod(ms, 32)
        digits.append(_BASE32[digit])
    return "".join(reversed(digits)) + "0" * 16
