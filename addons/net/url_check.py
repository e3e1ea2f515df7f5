"""What is wrong with a URL that a client wants us to call, before anything connects (design 7).

Names are judged when they are connected to (`address_check`); here only what can never work is refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from yarl import URL

from addons.net.address_check import AddressPolicy, literal

if TYPE_CHECKING:
    from addons.config.working import Network


def problem(url: str, network: Network) -> str | None:
    """The rest of a sentence that begins with "The … field", None where nothing is wrong."""
    schemes = ("https", "http") if network.allow_http else ("https",)
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
        URL(url)
    except ValueError:
        return "must be a valid URL."
    if parts.scheme not in schemes or not host or not url.isprintable() or " " in parts.netloc:
        return f"must be a URL that begins with {' or '.join(f'{scheme}://' for scheme in schemes)}."
    if parts.username is not None or parts.password is not None:
        return "must not contain a user or password."
    if port == 0:
        return "must have a port between 1 and 65535, or none."
    policy, address = AddressPolicy.of(network.allow_private), literal(host)
    if address is not None and policy.refuses(address) and not policy.trusts(host):
        return "must not lead to a private address."
    return None
