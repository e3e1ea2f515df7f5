"""Encryption of account logins, proxies and webhook secrets at rest (Fernet, with a key list for rotation)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from ofapi_store.errors import SecretKeyInvalid, SecretUnreadable


class SecretBox:
    """Encrypts with the first key, decrypts with any.

    Args:
        keys: Fernet keys (44 characters of URL-safe base64), newest first; the caller has resolved `{env: …}` and
            `{file: …}`. Blank ones are ignored. Raises SecretKeyInvalid if none is left or one is malformed.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        given = [key.strip() for key in keys if key.strip()]
        if not given:
            raise SecretKeyInvalid("no secret key: put one from `ofapi db new-key` where config's secrets.keys points")
        self._fernet = MultiFernet([_fernet(key, at) for at, key in enumerate(given)])

    @staticmethod
    def generate_key() -> str:
        """A new random key for the key list."""
        return Fernet.generate_key().decode()

    def encrypt(self, text: str) -> str:
        return self._fernet.encrypt(text.encode()).decode()

    def decrypt(self, token: str) -> str:
        """Raises SecretUnreadable when no key of the list opens it."""
        try:
            return self._fernet.decrypt(token.encode()).decode()
        except InvalidToken:
            raise _unreadable() from None

    def encrypt_json(self, value: Any) -> str:
        return self.encrypt(json.dumps(value, separators=(",", ":")))

    def decrypt_json(self, token: str) -> Any:
        return json.loads(self.decrypt(token))

    def rotate(self, token: str) -> str:
        """The same secret under the first key. Raises SecretUnreadable."""
        try:
            return self._fernet.rotate(token.encode()).decode()
        except InvalidToken:
            raise _unreadable() from None

    def __repr__(self) -> str:
        return "SecretBox(…)"


def _fernet(key: str, at: int) -> Fernet:
    try:
        return Fernet(key)
    except ValueError:
        raise SecretKeyInvalid(
            f"secrets.keys[{at}] is not a Fernet key (44 characters of URL-safe base64); make one with `ofapi db new-key`"
        ) from None


def _unreadable() -> SecretUnreadable:
    return SecretUnreadable(
        "a stored secret cannot be opened with any key in secrets.keys; add the key it was written with to the list"
    )
