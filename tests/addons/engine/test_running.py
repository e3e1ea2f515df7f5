"""Starting and stopping a master inside the event loop."""

from __future__ import annotations

import socket

import pytest
from mitmproxy import options

from addons.engine import options as engine_options
from addons.engine.master import GatewayMaster
from addons.engine.running import StartFailed, started
from tests.e2e.engine.harness import shared_ca_dir


def master(*modes: str) -> GatewayMaster:
    found = GatewayMaster(options.Options(confdir=shared_ca_dir()))
    engine_options.apply(found.options, {"mode": list(modes)})
    return found


async def test_real_ports_are_reported() -> None:
    """Port 0 is reported as what it became, and is free again after the block."""
    async with started(master("reverse:http://x@127.0.0.1:0")) as where:
        assert where.listen[1] > 0
        assert where.proxy is None
        with socket.create_connection(where.listen, 1):
            pass
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(where.listen, 1)


async def test_port_in_use() -> None:
    """A port that is taken is a sentence with the cause and what to do."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(StartFailed, match=r"in use.*config\.yaml"):
            async with started(master(f"reverse:http://x@127.0.0.1:{port}")):
                pass


async def test_no_listener() -> None:
    """A master without our listener does not count as started."""
    with pytest.raises(StartFailed, match="config `listen`"):
        async with started(master("regular@127.0.0.1:0")):
            pass
