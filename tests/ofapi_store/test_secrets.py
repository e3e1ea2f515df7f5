"""Secrets at rest: any key of the list opens, the first one closes, and errors say which config to mend."""

from __future__ import annotations

import pytest

from ofapi_store.errors import SecretKeyInvalid, SecretUnreadable
from ofapi_store.secrets import SecretBox

OLD, NEW = SecretBox.generate_key(), SecretBox.generate_key()


def test_round_trip() -> None:
    """Text and JSON come back as they were; the token does not show them."""
    box = SecretBox([NEW])
    assert box.decrypt(box.encrypt("pässword")) == "pässword"
    assert box.decrypt_json(box.encrypt_json({"cookies": "a=b"})) == {"cookies": "a=b"}
    assert "password" not in box.encrypt("password")


def test_rotation() -> None:
    """With a new key in front the old secrets open, and rotated ones open without the old key."""
    token = SecretBox([OLD]).encrypt("x")
    both = SecretBox([NEW, OLD])
    assert both.decrypt(token) == "x"
    assert SecretBox([NEW]).decrypt(both.rotate(token)) == "x"
    with pytest.raises(SecretUnreadable, match=r"secrets\.keys"):
        SecretBox([NEW]).decrypt(token)
    with pytest.raises(SecretUnreadable):
        SecretBox([NEW]).rotate(token)


@pytest.mark.parametrize(
    ("keys", "words"), [([], "no secret key"), ([" "], "no secret key"), ([NEW, "abc"], r"keys\[1\]")]
)
def test_unusable_keys(keys: list[str], words: str) -> None:
    """A missing or malformed key is named without showing it."""
    with pytest.raises(SecretKeyInvalid, match=words):
        SecretBox(keys)


def test_damaged_token_and_repr() -> None:
    """Garbage is SecretUnreadable, never a traceback of the library; a box in a log shows no key."""
    with pytest.raises(SecretUnreadable):
        SecretBox([NEW]).decrypt("garbage")
    assert NEW not in repr(SecretBox([NEW]))
