"""mitmweb starts on loopback and with an argon2 password, or it does not start."""

from __future__ import annotations

import argon2
import pytest

from addons.inspect.web import WebRefused, access

HASH = argon2.PasswordHasher(time_cost=1, memory_cost=64).hash("secret")


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_loopback_with_a_hash(host: str) -> None:
    """The password never becomes an option in plain text."""
    options = access(host, 8083, HASH).options()
    assert (options["web_host"], options["web_password"], options["web_open_browser"]) == (host, HASH, False)
    assert "comment" in options["web_columns"]


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "::", "example.test"])
def test_other_hosts_are_refused(host: str) -> None:
    """Access to mitmweb is access to the machine."""
    with pytest.raises(WebRefused, match="loopback"):
        access(host, 8083, HASH)


@pytest.mark.parametrize("password", ["secret", "", "$2b$12$abc", "$argon2id$broken"])
def test_no_argon2_no_start(password: str) -> None:
    """Anything but an argon2 hash is refused, and the text says how to make one."""
    with pytest.raises(WebRefused, match=r"argon2\.PasswordHasher"):
        access("127.0.0.1", 8083, password)


def test_made_password_is_hashed() -> None:
    """Without one, each start makes a password; only its hash goes to mitmweb."""
    found = access("127.0.0.1", 8083, None)
    assert found.password
    assert found.password not in str(found.options())
    argon2.PasswordHasher().verify(found.password_hash, found.password)
