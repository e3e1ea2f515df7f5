"""mitmproxy's options, each set on purpose."""

from __future__ import annotations

from mitmproxy import options

from addons.config import Config
from addons.engine.gateway import GatewayAddon
from addons.engine.master import GatewayMaster
from addons.engine.options import apply, free_port, listen_modes, serving_options
from addons.engine.policy import Hosts, Policy


def test_two_listeners_from_one_config() -> None:
    """Our listener and the regular proxy; `reverse:https` would bind UDP, so it is never used."""
    config = Config.build({"listen": {"port": 1}, "proxy": {"port": 2}})
    assert listen_modes(config) == ["reverse:http://placeholder@127.0.0.1:1", "regular@127.0.0.1:2"]
    assert len(listen_modes(Config.build({"proxy": {"enabled": False}}))) == 1


def test_any_free_port_for_both() -> None:
    """mitmproxy takes two zeros for one address: the second is made a real port."""
    first, second = listen_modes(Config.build({"listen": {"port": 0}, "proxy": {"port": 0}}))
    assert first.endswith(":0")
    assert not second.endswith(":0")
    assert free_port("127.0.0.1") > 0


async def test_every_known_option_is_set(tmp_path: object) -> None:
    """Options of addons that are loaded are set; those of others are left out, not an error."""
    master = GatewayMaster(options.Options(), GatewayAddon(None, Policy(), Hosts.of((), ())))  # type: ignore[arg-type]
    values = serving_options(Policy(), None)
    apply(master.options, values)
    assert master.options.connection_strategy == "lazy"
    assert master.options.rawtcp is False
    assert "onboarding" not in master.options
    assert all(getattr(master.options, k) == v for k, v in values.items() if k in master.options)
