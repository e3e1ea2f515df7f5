"""Whether the gateway can listen where the config says, or does so already."""

from __future__ import annotations

import errno
import json
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from scripts.cli.findings import Finding

if TYPE_CHECKING:
    from addons.config import Config

PROBE_S = 3.0
REASONS = {
    errno.EACCES: ("needs more rights", "take a port from 1024 on, or let nginx listen there"),
    errno.EADDRNOTAVAIL: ("is no address of this machine", "set it to an address of this machine"),
}


def ports(config: Config) -> Iterator[Finding]:
    """One finding for each listener; a port that a gateway of ours has already is right, and its health is told."""
    parts = {"listen": config.listen, "proxy": config.proxy, "web": config.web}
    wanted = {n: (p.host, p.port) for n, p in parts.items() if getattr(p, "enabled", True)}
    running = _health(*wanted["listen"]) if config.listen.port else None
    if running is not None:
        yield _gateway(*wanted["listen"], running)
    seen: dict[int, str] = {}
    for name, (host, port) in wanted.items():
        if port in seen:
            mend = f"give {name}.port another number"
            yield Finding("ports", "wrong", f"{seen[port]}.port and {name}.port are both {port}", mend)
        elif running is None:
            yield _port(name, host, port)
        if port:
            seen[port] = name


def _gateway(host: str, port: int, health: dict[str, Any]) -> Finding:
    where, reasons = f"the gateway answers at {host}:{port}", "; ".join(health["reasons"])
    if reasons:
        return Finding("gateway", "warning", f"{where} and is {health['status']}: {reasons}", "see the reasons")
    return Finding("gateway", "ok", where)


def _port(name: str, host: str, port: int) -> Finding:
    problem = bind_problem(host, port)
    if problem is None:
        return Finding("ports", "ok", f"{name}: {host}:{port} is free" if port else f"{name}: {host}, any free port")
    mend = f"end that program (`ss -ltnp 'sport = :{port}'` names it), or set {name}.port to another one"
    text, mend = REASONS.get(problem.errno or 0, ("is taken by another program", mend))
    if problem.errno not in (*REASONS, errno.EADDRINUSE):
        text, mend = f"cannot be listened on: {problem.strerror or problem}", f"mend {name}.host and {name}.port"
    return Finding("ports", "wrong", f"{name}: {host}:{port} {text}", mend)


def bind_problem(host: str, port: int) -> OSError | None:
    """Why nothing can listen there now; None: it can."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, kind, proto, _, address in found:
            with socket.socket(family, kind, proto) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
    except OSError as e:
        return e
    return None


def _health(host: str, port: int) -> dict[str, Any] | None:
    """The health report of a gateway that listens there; None where nothing of ours does."""
    named = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    shown = f"[{named}]" if ":" in named else named
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(f"http://{shown}:{port}/_ofapi/health", timeout=PROBE_S) as answer:
            found = json.loads(answer.read())
    except urllib.error.HTTPError as e:  # 503: down
        found = _json(e.read())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and isinstance(found.get("reasons"), list) and "rules" in found else None


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None
