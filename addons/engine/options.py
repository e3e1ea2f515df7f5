"""mitmproxy's options, each set on purpose."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from mitmproxy import options as moptions

from addons.engine.policy import Policy

if TYPE_CHECKING:
    from addons.config import Config

WEB_COLUMNS = ["icon", "comment", "path", "method", "status", "size", "time"]


class FreePorts:
    """TCP ports that the system gives to nobody else until the block ends.

    Each is bound by a socket that never listens, so that a listener of ours can take it (both reuse addresses, as
    asyncio and tornado do) while programs that ask for any free port get another one.
    """

    def __init__(self) -> None:
        self._held: list[socket.socket] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        while self._held:
            self._held.pop().close()

    def take(self, host: str) -> int:
        """A port of that address. Raises OSError where the address is not ours."""
        holder = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        self._held.append(holder)
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind((host, 0))
        port: int = holder.getsockname()[1]
        return port


def listen_modes(config: Config, ports: FreePorts) -> list[str]:
    """The listeners: ours for API clients, and the regular proxy."""
    listen, proxy = config.listen, config.proxy
    # `placeholder` is never connected to: every flow names its own destination. `reverse:https` would also bind UDP.
    modes = [f"reverse:http://placeholder@{listen.host}:{listen.port}"]
    if proxy.enabled:
        # mitmproxy takes port 0 once only: two listeners on "0" count as one address
        port = proxy.port or (ports.take(proxy.host) if listen.port == 0 else 0)
        modes.append(f"regular@{proxy.host}:{port}")
    return modes


def serving_options(policy: Policy, ca_file: Path | None) -> dict[str, Any]:
    """What the engine relies on, also where mitmdump was started by hand."""
    return {
        "connection_strategy": "lazy",  # eager would open an upstream connection for computed answers too
        "keep_host_header": True,  # the client's Host is read; what goes up is set per request
        "block_global": False,  # clients may have public addresses; what listens where is the operator's choice
        "block_private": False,
        "onboarding": False,  # would answer Host: mitm.it
        "validate_inbound_headers": True,  # refuses request smuggling
        "normalize_outbound_headers": True,
        "http2": True,
        "http3": False,
        "rawtcp": False,  # what is no HTTP inside a CONNECT is not tunnelled
        "websocket": False,
        "ssl_insecure": False,
        "ssl_verify_upstream_trusted_ca": str(ca_file) if ca_file else None,
        "upstream_cert": False,  # the certificate for a client is made without asking upstream for its own
        "store_streamed_bodies": False,
        "stream_large_bodies": None,  # decided per flow, so that an editable body is never streamed by its size alone
        "body_size_limit": None,  # limits are per content type, and answered as JSON
        "anticomp": False,
        "anticache": False,
        "tcp_timeout": int(max(600, 2 * policy.read_timeout_s)),
    }


def apply(options: moptions.Options, values: dict[str, Any]) -> None:
    """Set what this set of addons knows; the rest belongs to addons that are not loaded."""
    options.update(**{name: value for name, value in values.items() if name in options})
