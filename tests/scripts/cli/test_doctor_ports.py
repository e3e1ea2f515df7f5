"""scripts/cli/doctor_ports: whether the gateway can listen where the config says."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from addons.config import Config
from scripts.cli.doctor_ports import ports
from scripts.cli.findings import Finding


def looked(**listen: Any) -> list[Finding]:
    sections = {"listen": listen, "proxy": {"port": 0}, "web": {"enabled": False}}
    return list(ports(Config.model_validate(sections)))


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_free_ports_are_right(taken: int) -> None:
    """A port that nobody has, and port 0, are right."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        free = server.getsockname()[1]
    assert [f.status for f in looked(port=free)] == ["ok", "ok"]
    assert [f.status for f in looked(port=0)] == ["ok", "ok"]


def test_a_taken_port_is_wrong(taken: int) -> None:
    """Another program's port is wrong, and the mend says how to find that program."""
    found = looked(port=taken)[0]
    assert (found.status, f"127.0.0.1:{taken} is taken" in found.message) == ("wrong", True)
    assert f":{taken}'" in found.mend


def test_an_address_of_another_machine_is_wrong() -> None:
    """An address that this machine does not have is told before the start."""
    assert "no address of this machine" in looked(host="192.0.2.7", port=0)[0].message


def test_one_port_for_two_is_wrong(taken: int) -> None:
    """Two listeners cannot share one port."""
    config = Config.model_validate({"listen": {"port": 18099}, "proxy": {"port": 18099}})
    assert "listen.port and proxy.port are both 18099" in [f.message for f in ports(config)]


def test_a_running_gateway_is_no_stranger() -> None:
    """Where our own gateway answers, its ports are not taken; its health is told with its reasons."""

    class Health(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"status":"degraded","reasons":["rules: refused"],"rules":{}}')

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Health)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        (found,) = looked(port=server.server_port)
    finally:
        server.shutdown()
        server.server_close()
    assert (found.check, found.status) == ("gateway", "warning")
    assert "rules: refused" in found.message
