"""Outgoing connections reach public addresses only, whatever the URL or the name server says."""

from __future__ import annotations

import socket

import aiohttp
import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult

from addons.net.address_check import AddressPolicy, AddressRefused, GuardedConnector, refused

REFUSED = [
    # private, loopback, unspecified, link-local, carrier NAT
    "10.0.0.1", "172.16.5.4", "192.168.1.1", "127.0.0.1", "127.9.9.9", "0.0.0.0", "0.1.2.3", "169.254.1.1", "100.64.0.1",
    # metadata services
    "169.254.169.254", "100.100.100.200", "168.63.129.16", "fd00:ec2::254",
    # multicast, broadcast, reserved, documentation, benchmarking
    "224.0.0.1", "239.255.255.255", "255.255.255.255", "240.0.0.1", "192.0.2.1", "198.51.100.7", "203.0.113.9", "198.18.0.1",
    "192.0.0.8",
    # IPv6
    "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "fd12::1", "ff02::1", "fec0::1", "2001:db8::1", "100::1", "3fff::1",
    # IPv4 inside IPv6: mapped, compatible, NAT64, 6to4, Teredo
    "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::a00:1",
    "2002:7f00:1::", "2002:a00:1::1", "2001:0:53aa:64c:0:5efe:7f00:1",
    # no address at all
    "localhost", "", "1.2.3", "0x7f.1",
]  # fmt: skip
PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "2606:4700::1111",
    "2a00:1450:4001::200e",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
    "2002:808:808::1",
]


@pytest.mark.parametrize("address", REFUSED)
def test_refuses_addresses_that_are_not_public(address: str) -> None:
    """Private, local, metadata, multicast and reserved ranges are refused in both families and in every embedding."""
    assert AddressPolicy.of().refuses(address)
    with pytest.raises(AddressRefused):
        AddressPolicy.of().check(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_lets_public_addresses_through(address: str) -> None:
    """What is public stays reachable, also behind NAT64."""
    assert not AddressPolicy.of().refuses(address)


def test_allow_list_opens_only_the_named_networks() -> None:
    """`network.allow_private` takes networks; an IPv4 network also covers the mapped spelling."""
    policy = AddressPolicy.of(["127.0.0.0/8", "fd00::/8"])
    assert not policy.refuses("127.0.0.1")
    assert not policy.refuses("::ffff:127.0.0.1")
    assert not policy.refuses("fd00::5")
    assert policy.refuses("10.0.0.1")
    assert not AddressPolicy.of(["10.0.0.1"]).refuses("10.0.0.1")


class Rebinding(AbstractResolver):
    """A name server of an attacker: every name is loopback."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [ResolveResult(hostname=host, host="127.0.0.1", port=port, family=socket.AF_INET, proto=0, flags=0)]

    async def close(self) -> None:
        return None


async def serve() -> tuple[web.AppRunner, int, list[str]]:
    seen: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append(request.path)
        return web.Response(text="secret")

    app = web.Application()
    app.router.add_get("/{rest:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    return runner, runner.addresses[0][1], seen


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:{port}/", "http://rebinds.test:{port}/", "http://[::ffff:127.0.0.1]:{port}/"]
)
async def test_no_connection_leaves_for_a_refused_address(url: str) -> None:
    """Literals and names alike are judged by the address that is connected to; the server never sees a byte."""
    runner, port, seen = await serve()
    connector = GuardedConnector(AddressPolicy.of(), resolver=Rebinding(), use_dns_cache=False)
    try:
        async with aiohttp.ClientSession(connector=connector) as session:
            with pytest.raises(aiohttp.ClientError) as caught:
                await session.get(url.format(port=port))
        assert refused(caught.value) is not None
        assert seen == []
    finally:
        await runner.cleanup()


async def test_an_allowed_address_is_reached() -> None:
    """The allow-list makes a private service reachable, as tests and private deployments need."""
    runner, port, seen = await serve()
    connector = GuardedConnector(AddressPolicy.of(["127.0.0.0/8"]))
    try:
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            session.get(f"http://127.0.0.1:{port}/x") as got,
        ):
            assert await got.text() == "secret"
        assert seen == ["/x"]
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(
    ("host", "reached"), [("hooks.corp.test", True), ("a.inner.test", True), ("inner.test", False)]
)
async def test_an_allowed_host_is_reached_at_whatever_address_it_has(host: str, reached: bool) -> None:
    """The allow-list takes names too; a name that it does not cover stays refused on the same address."""
    runner, port, seen = await serve()
    policy = AddressPolicy.of(["hooks.corp.test", "*.inner.test"])
    connector = GuardedConnector(policy, resolver=Rebinding(), use_dns_cache=False)
    try:
        async with aiohttp.ClientSession(connector=connector) as session:
            try:
                async with session.get(f"http://{host}:{port}/y") as got:
                    assert got.status == 200
            except aiohttp.ClientError as e:
                assert refused(e) is not None
        assert seen == (["/y"] if reached else [])
    finally:
        await runner.cleanup()


async def test_other_failures_are_not_taken_for_refusals() -> None:
    """A closed port is a failure of the network, not of the policy."""
    connector = GuardedConnector(AddressPolicy.of(["127.0.0.0/8"]))
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
        async with aiohttp.ClientSession(connector=connector) as session:
            with pytest.raises(aiohttp.ClientError) as caught:
                await session.get(f"http://127.0.0.1:{port}/")
    assert refused(caught.value) is None
    assert refused(None) is None
