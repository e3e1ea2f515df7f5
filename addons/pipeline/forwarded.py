"""Who a request came from and what was addressed, where a front proxy that we trust says so (`listen.trusted_proxies`).

X-Forwarded-For is read from its end: each proxy writes whom it heard behind what it was told, so the last address that is
no proxy of ours is the client, and whatever stands before it was claimed by the client itself.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from addons.pipeline.exchange import Entry, Headers

Address = IPv4Address | IPv6Address
Ranges = Sequence[IPv4Network | IPv6Network]
_PREFIX = "x-forwarded-"
_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]{1,253})(?::(\d{1,5}))?")


def believed(entry: Entry, headers: Headers, trusted: tuple[str, ...]) -> Entry:
    """`entry` as the front proxy tells it; unchanged where the peer is none of `trusted`, or says nothing."""
    told = [(name.lower(), value) for name, value in headers if name[:12].lower() == _PREFIX]
    if not told or not _is_trusted(_address(entry.client_ip), ranges := _ranges(trusted)):
        return entry
    hops = _values(told, "x-forwarded-for")
    proto = next(iter(_values(told, "x-forwarded-proto")), "").lower()
    host = next(iter(_values(told, "x-forwarded-host")), "")
    entry = replace(entry, client_ip=_client(entry.client_ip, hops, ranges))
    if proto in _PORTS and proto != entry.scheme:
        port = _PORTS[proto] if entry.port == _PORTS.get(entry.scheme) else entry.port
        entry = replace(entry, scheme=proto, port=port)
    if found := _HOST.fullmatch(host):
        port = int(found[2]) if found[2] else _PORTS.get(entry.scheme, entry.port)
        entry = replace(entry, host=found[1].strip("[]").lower(), port=port)
    return entry


def _values(told: Sequence[tuple[str, str]], name: str) -> list[str]:
    """The comma separated values of all headers of that name, in order."""
    return [part for key, value in told if key == name for one in value.split(",") if (part := one.strip())]


def _client(peer: str, hops: Sequence[str], ranges: Ranges) -> str:
    """The last address that is no trusted proxy; of proxies only, the first. What is no address ends the search."""
    found = peer
    for hop in reversed(hops):
        address = _address(hop)
        if address is None:
            break
        found = str(address)
        if not _is_trusted(address, ranges):
            break
    return found


def _address(text: str) -> Address | None:
    """`203.0.113.9`, with a port, in brackets; an IPv4 address within IPv6 is the IPv4 one."""
    text = text.strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        found = ip_address(text)
    except ValueError:
        return None
    return found.ipv4_mapped or found if isinstance(found, IPv6Address) else found


def _is_trusted(address: Address | None, ranges: Ranges) -> bool:
    return address is not None and any(address in one for one in ranges)


@lru_cache(maxsize=8)
def _ranges(texts: tuple[str, ...]) -> Ranges:
    return [ip_network(text, strict=False) for text in texts]
