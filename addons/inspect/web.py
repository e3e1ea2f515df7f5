"""Starting mitmweb safely: loopback and an argon2 password, or not at all."""

from __future__ import annotations

import ipaddress
import secrets
from dataclasses import dataclass
from typing import Any

import argon2

COLUMNS = ["icon", "comment", "path", "method", "status", "size", "time"]
HOW_TO = (
    "make one with `python -c 'import argon2, getpass; print(argon2.PasswordHasher().hash(getpass.getpass()))'`, "
    "store it in a file or environment variable and name that in config `web.password`"
)


class WebRefused(RuntimeError):
    """mitmweb must not start like this; the text says what to do."""


@dataclass(frozen=True, slots=True)
class WebAccess:
    """`password` is set where it was made for this start, to be shown once."""

    host: str
    port: int
    password_hash: str
    password: str | None = None

    def options(self) -> dict[str, Any]:
        return {
            "web_host": self.host,
            "web_port": self.port,
            "web_password": self.password_hash,
            "web_open_browser": False,
            "web_columns": COLUMNS,
        }


def access(host: str, port: int, password_hash: str | None) -> WebAccess:
    """Checked access to mitmweb. Raises WebRefused: access to mitmweb is access to the machine."""
    if not _is_loopback(host):
        raise WebRefused(f"web.host {host} is not a loopback address; mitmweb listens on 127.0.0.1 or ::1 only")
    if password_hash is None:
        password = secrets.token_urlsafe(18)
        return WebAccess(host, port, argon2.PasswordHasher().hash(password), password)
    if not password_hash.startswith("$argon2"):
        raise WebRefused(f"web.password is not an argon2 hash (`$argon2…`): {HOW_TO}")
    try:
        argon2.extract_parameters(password_hash)
    except argon2.exceptions.InvalidHashError:
        raise WebRefused(f"web.password is a broken argon2 hash: {HOW_TO}") from None
    return WebAccess(host, port, password_hash)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
