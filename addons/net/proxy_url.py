"""The address of an account's own HTTP proxy: `http://user:password@host:port`."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class ProxyUrl:
    """`credentials` is `user:password`, None where the proxy wants none."""

    scheme: str
    host: str
    port: int
    credentials: str | None = field(default=None, repr=False)


def read_proxy_url(text: str) -> ProxyUrl:
    """Raises ValueError with what is wrong; the text itself may hold a password and is not repeated."""
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ValueError("an upstream proxy is a URL such as http://user:password@host:port") from None
    if parts.scheme not in PORTS:
        raise ValueError(f"an upstream proxy is http://… or https://…, not {parts.scheme[:20] or 'a bare name'}")
    if not host or parts.path.strip("/") or parts.query or parts.fragment or any(c.isspace() for c in parts.netloc):
        raise ValueError("an upstream proxy is a URL such as http://user:password@host:port, and nothing after it")
    login = parts.netloc.rpartition("@")[0]
    return ProxyUrl(parts.scheme, host, port or PORTS[parts.scheme], unquote(login) if login else None)
