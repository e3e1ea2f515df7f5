"""mitmproxy's options, each set on purpose."""

from __future__ import annotations

import asyncio
import socket

import pytest
from mitmproxy import options

from addons.config import Config
from addons.engine.gateway import GatewayAddon
from addons.engine.master import GatewayMaster
from addons.engine.options import FreePorts, apply, listen_modes, serving_options
from addons.engine.policy import Hosts, Policy


def test_two_listeners_from_one_config() -> None:
    """Our listener and the regular proxy; `reverse:https` would bind UDP, so it is never used."""
    config = Config.build({"listen": {"port": 1}, "proxy": {"port": 2}})
    with FreePorts() as ports:
        assert listen_modes(config, ports) == ["reverse:http://placeholder@127.0.0.1:1", "regular@127.0.0.1:2"]
        assert len(listen_modes(Config.build({"proxy": {"enabled": False}}), ports)) == 1


def test_any_free_port_for_both() -> None:
    """mitmproxy takes two zeros for one address: the second is made a real port."""
    with FreePorts() as ports:
        first, second = listen_modes(Config.build({"listen": {"port": 0}, "proxy": {"port": 0}}), ports)
    assert first.endswith(":0")
    assert not second.endswith(":0")


async def test_a_free_port_stays_ours_until_we_listen() -> None:
    """Other programs can neither take nor reach it; a listener of ours can."""
    with FreePorts() as ports:
        port = ports.take("127.0.0.1")
        with socket.socket() as other, pytest.raises(OSError, match="in use"):
            other.bind(("127.0.0.1", port))
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)
        server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", port)
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.close()
        server.close()


async def test_every_known_option_is_set(tmp_path: object) -> None:
    """Options of addons that are loaded are set; those of others are left out, not an error."""
    master = GatewayMaster(options.Options(), GatewayAddon(None, Policy(), Hosts(frozenset(), frozenset())))  # type: ignore[arg-type]
    values = serving_options(Policy(), None)
    apply(master.options, values)
    assert master.options.connection_strategy == "lazy"
    assert master.options.rawtcp is False
    assert "onboarding" not in master.options
    assert all(getattr(master.options, k) == v for k, v in values.items() if k in master.options)
