"""Refuses to connect to addresses that a URL from a client must not reach (design 7).

The check sits in the socket factory of the connector, so it sees the very address that is about to be connected to:
names that resolve to something else the second time (DNS rebinding), IP literals in any spelling and every address of
a dual-stack name all pass through it. A URL that goes through an HTTP proxy is checked at the proxy's address, unless
that proxy was judged when it was named.

    policy = AddressPolicy.of(config.network.allow_private)     # networks and host names
    async with aiohttp.ClientSession(connector=GuardedConnector(policy)) as session: ...
"""

from __future__ import annotations

import errno
import ipaddress
import socket
import unicodedata
from collections.abc import Iterable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import aiohttp
from aiohttp.connector import AddrInfoType, Connection

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

NAT64 = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("64:ff9b:1::/48"))
# is_global of the standard library calls these global, or changed its mind between Python versions.
ALSO_REFUSED: tuple[IPNetwork, ...] = (
    ipaddress.ip_network("0.0.0.0/8"),
    ipaddress.ip_network("100.64.0.0/10"),  # carrier NAT; cloud metadata at 100.100.100.200
    ipaddress.ip_network("168.63.129.16/32"),  # Azure's metadata and DNS
    ipaddress.ip_network("192.0.0.0/24"),
    ipaddress.ip_network("192.88.99.0/24"),  # 6to4 relay
    ipaddress.ip_network("198.18.0.0/15"),
    ipaddress.ip_network("240.0.0.0/4"),
    ipaddress.ip_network("100::/64"),
    ipaddress.ip_network("2001::/23"),  # Teredo, ORCHID, benchmarking
    ipaddress.ip_network("2001:db8::/32"),
    ipaddress.ip_network("3fff::/20"),
    ipaddress.ip_network("5f00::/16"),
    ipaddress.ip_network("fec0::/10"),
    ipaddress.ip_network("::/96"),  # IPv4-compatible
)


_ANYWHERE = "*"
_connecting_to: ContextVar[str | None] = ContextVar("connecting_to", default=None)


class AddressRefused(OSError):
    """The address is not public and not on the allow-list `network.allow_private`."""

    def __init__(self, address: str) -> None:
        super().__init__(errno.EACCES, f"{address} is not a public address")
        self.address = address


@dataclass(frozen=True, slots=True)
class AddressPolicy:
    """Which addresses may be connected to: all public ones, `allowed` networks, and what names in `hosts` resolve to."""

    allowed: tuple[IPNetwork, ...] = ()
    hosts: frozenset[str] = frozenset()

    @classmethod
    def of(cls, allow_private: Iterable[str] = ()) -> AddressPolicy:
        """From config: networks (`10.0.0.0/8`, `::1`) and host names (`hooks.corp.test`, `*.corp.test`)."""
        networks, hosts = [], set()
        for text in allow_private:
            try:
                networks.append(ipaddress.ip_network(text))
            except ValueError:
                hosts.add(text.lower().rstrip("."))
        return cls(tuple(networks), frozenset(hosts))

    def trusts(self, host: str | None) -> bool:
        """Whether the allow-list names `host`, itself or by `*.parent`."""
        if not host or not self.hosts:
            return False
        name = host.lower().rstrip(".")
        return name in self.hosts or any(name.endswith(h[1:]) for h in self.hosts if h.startswith("*."))

    def refuses(self, address: str) -> bool:
        """True when `address` (an IP literal) must not be reached. Text that is no IP literal is refused."""
        try:
            parsed = ipaddress.ip_address(address.split("%", 1)[0])
        except ValueError:
            return True
        if any(parsed in network for network in self.allowed):
            return False
        inner = _embedded(parsed)
        if inner is not None:
            return not any(inner in network for network in self.allowed) and _not_public(inner)
        return _not_public(parsed)

    def check(self, address: str) -> None:
        """Raises AddressRefused."""
        if self.refuses(address):
            raise AddressRefused(address)


def literal(host: str) -> str | None:
    """The address that a host is, None for a name: resolvers also take `127.1`, `2130706433`, `0x7f.1` and wide digits."""
    text = unicodedata.normalize("NFKC", host).rstrip(".")
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        pass
    try:
        return socket.inet_ntoa(socket.inet_aton(text))
    except (OSError, ValueError):  # ValueError: NUL
        return None


def _embedded(address: IPAddress) -> IPAddress | None:
    """The IPv4 address that an IPv6 one stands for: mapped, NAT64 or 6to4."""
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if any(address in network for network in NAT64):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return None


def _not_public(address: IPAddress) -> bool:
    return (
        not address.is_global
        or address.is_multicast
        or address.is_reserved
        or any(address.version == network.version and address in network for network in ALSO_REFUSED)
    )


class GuardedConnector(aiohttp.TCPConnector):
    """Opens no socket to an address that `policy` refuses; `options` go to `aiohttp.TCPConnector`.

    `check_proxies`: whether that holds for the proxies of requests, too.
    """

    def __init__(self, policy: AddressPolicy, *, check_proxies: bool = True, **options: Any) -> None:
        super().__init__(socket_factory=self._open, **options)
        self._policy = policy
        self._check_proxies = check_proxies

    async def connect(self, req: Any, traces: Any, timeout: Any) -> Connection:  # noqa: ASYNC109 (the signature of aiohttp)
        unchecked = req.proxy is not None and not self._check_proxies
        token = _connecting_to.set(_ANYWHERE if unchecked else (req.proxy or req.url).host)
        try:
            return await super().connect(req, traces, timeout)
        finally:
            _connecting_to.reset(token)

    def _open(self, info: AddrInfoType) -> socket.socket:
        family, kind, proto, _, address = info
        name = _connecting_to.get()
        if name != _ANYWHERE and not self._policy.trusts(name):
            self._policy.check(str(address[0]))
        return socket.socket(family=family, type=kind, proto=proto)


def refused(error: BaseException | None) -> AddressRefused | None:
    """The AddressRefused behind an error of aiohttp, or None when the cause is another."""
    seen: set[int] = set()
    pending: list[BaseException | None] = [error]
    while pending:
        current = pending.pop()
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        if isinstance(current, AddressRefused):
            return current
        if isinstance(current, BaseExceptionGroup):
            pending.extend(current.exceptions)
        pending += [current.__cause__, current.__context__, getattr(current, "os_error", None)]
    return None
