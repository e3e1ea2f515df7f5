"""The regular proxy, upstream TLS, and accounts' own proxies."""

from __future__ import annotations

import asyncio
import json
import ssl
from pathlib import Path

import pytest

from addons.engine.policy import Policy
from tests.e2e.engine.certs import self_signed, server_context
from tests.e2e.engine.harness import Client, FakeGateway, client, engine, read_message, reply, shared_ca_dir, upstream


async def _tunnel(port: int, host: str, *, alpn: list[str] | None = None) -> Client:
    """A TLS connection to `host` through CONNECT, trusting the proxy's own authority only."""
    c = await Client.open(port)
    await c.send(f"CONNECT {host}:443 HTTP/1.1\r\nHost: {host}:443\r\n\r\n")
    assert (await c.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
    context = ssl.create_default_context(cafile=str(Path(shared_ca_dir()) / "mitmproxy-ca-cert.pem"))
    if alpn:
        context.set_alpn_protocols(alpn)
    await c.writer.start_tls(context, server_hostname=host)
    return c


@pytest.mark.parametrize(
    ("host", "kind"),
    [
        ("api.example.test", "proxy_api"),
        ("only.example.test", "proxy_upstream"),
        ("cdn2.only.example.test", "proxy_cdn"),
        ("CDN-x.only.example.test", "proxy_cdn"),
    ],
)
@pytest.mark.parametrize("door", ["proxy", "listen"])
async def test_connect_is_served(host: str, kind: str, door: str, tmp_path: Path) -> None:
    """CONNECT to a host of ours is answered by the gateway, with a certificate for that host; at both its doors."""
    async with upstream(lambda s: reply(b'{"ok":1}')) as up, engine(FakeGateway(up.url), tmp_path) as run:
        c = await _tunnel(run.proxy_port if door == "proxy" else run.port, host)
        got = await c.ask("GET", "/api2/v2/x", "Authorization: Bearer k")
        again = await c.ask("GET", "/api2/v2/x")
        c.close()
    assert (got.status, got.body, again.status) == (200, b'{"ok":1}', 200)
    entry = run.gateway.begun[0].entry
    assert (entry.kind, entry.scheme, entry.host, entry.port) == (kind, "https", host.lower(), 443)
    assert up.seen[0].header("authorization") is None


@pytest.mark.parametrize(
    "host", ["evil.test", "only.example.test.evil.test", "notonly.example.test", "169.254.169.254", "cdn.evil.test"]
)
async def test_no_open_proxy(host: str, tmp_path: Path) -> None:
    """Any other host is refused with 403 JSON, by CONNECT and by absolute URL, and nothing is connected."""
    async with upstream(lambda s: reply()) as up, engine(FakeGateway(up.url), tmp_path) as run:
        for raw in (f"CONNECT {host}:443 HTTP/1.1\r\n\r\n", f"GET http://{host}/x HTTP/1.1\r\nHost: {host}\r\n\r\n"):
            async with client(run.proxy_port) as c:
                await c.send(raw)
                got = await c.read()
                assert (got.status, json.loads(got.body)["error"]) == (403, "forbidden")
        assert not up.connections


@pytest.mark.parametrize("door", ["proxy", "listen"])
async def test_absolute_form_is_served(door: str, tmp_path: Path) -> None:
    """A plain-HTTP proxy request to a host of ours is served too; a Host header does not change where it goes."""
    async with (
        upstream(lambda s: reply()) as up,
        engine(FakeGateway(up.url), tmp_path) as run,
        client(run.proxy_port if door == "proxy" else run.port) as c,
    ):
        await c.send("GET http://api.example.test/api/x?y=1 HTTP/1.1\r\nHost: evil.test\r\n\r\n")
        assert (await c.read()).status == 200
        assert run.gateway.begun[0].entry.kind == "proxy_api"
        assert run.gateway.begun[0].request.target == "/api/x?y=1"


async def test_both_doors_serve_requests_and_tunnels(tmp_path: Path) -> None:
    """A path alone is for the gateway itself at either door, in HTTP/1.0 without a Host too, before and in no tunnel."""
    async with upstream(lambda s: reply()) as up, engine(FakeGateway(up.url), tmp_path) as run:
        for port in (run.port, run.proxy_port):
            async with client(port) as c:
                assert (await c.ask("GET", "/x")).status == 200
                assert (await c.ask("GET", f"http://127.0.0.1:{run.port}/y")).status == (
                    200 if port == run.port else 403
                )
            async with client(port) as c:
                await c.send(b"GET /z HTTP/1.0\r\n\r\n")
                assert (await c.read()).status == 200
        kinds = [(x.entry.kind, x.request.target) for x in run.gateway.begun]
        assert kinds == [("reverse", p) for p in ("/x", "/y", "/z", "/x", "/z")]


async def test_no_proxy_where_the_config_says_so(tmp_path: Path) -> None:
    """`proxy.enabled: false`: no tunnel, and a whole URL is as good as its path."""
    policy = Policy(proxying=False)
    async with upstream(lambda s: reply()) as up, engine(FakeGateway(up.url), tmp_path, policy) as run:
        async with client(run.port) as c:
            await c.send(b"CONNECT api.example.test:443 HTTP/1.1\r\n\r\n")
            assert (await c.read()).status == 405
        async with client(run.port) as c:
            await c.send(b"GET http://only.example.test/x HTTP/1.1\r\nHost: a\r\n\r\n")
            assert (await c.read()).status == 200
        assert [x.entry.kind for x in run.gateway.begun] == ["reverse"]


async def test_tunnel_carries_only_http(tmp_path: Path) -> None:
    """Bytes that are no HTTP inside a CONNECT are not passed on."""
    async with upstream(lambda s: reply()) as up, engine(FakeGateway(up.url), tmp_path) as run:
        async with client(run.proxy_port) as c:
            await c.send(b"CONNECT api.example.test:443 HTTP/1.1\r\n\r\n")
            await c.reader.readuntil(b"\r\n\r\n")
            await c.send(b"SSH-2.0-x\r\n\r\n")
            assert (await c.read()).status == 400
        assert not up.connections


async def test_http2_in_the_tunnel(tmp_path: Path) -> None:
    """A client that speaks HTTP/2 to the proxy is served; upstream is spoken to in HTTP/1.1."""
    import h2.config
    import h2.connection
    import h2.events

    async with upstream(lambda s: reply(b'{"two":2}')) as up, engine(FakeGateway(up.url), tmp_path) as run:
        c = await _tunnel(run.proxy_port, "api.example.test", alpn=["h2"])
        h2c = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
        h2c.initiate_connection()
        base = [(":method", "GET"), (":scheme", "https"), (":authority", "api.example.test")]
        for stream in (1, 3, 5):
            h2c.send_headers(stream, [*base, (":path", f"/{stream}")], end_stream=True)
        h2c.send_headers(7, [(":method", "BREW"), *base[1:], (":path", "/7")], end_stream=True)
        await c.send(h2c.data_to_send())
        bodies: dict[int, bytes] = {}
        status: dict[int, str] = {}
        ended: set[int] = set()
        async with asyncio.timeout(30):
            while len(ended) < 4:
                for event in h2c.receive_data(await c.reader.read(65_536)):
                    if isinstance(event, h2.events.ResponseReceived):
                        status[event.stream_id] = dict(event.headers)[b":status"].decode()
                    elif isinstance(event, h2.events.DataReceived):
                        bodies[event.stream_id] = bodies.get(event.stream_id, b"") + event.data
                    elif isinstance(event, h2.events.StreamEnded):
                        ended.add(event.stream_id)
                await c.send(h2c.data_to_send())
        c.close()
    assert status == {1: "200", 3: "200", 5: "200", 7: "405"}
    assert all(bodies[i] == b'{"two":2}' for i in (1, 3, 5))
    assert all(s.line.endswith("HTTP/1.1") for s in up.seen)
    assert up.seen[0].header("host") == up.url.removeprefix("http://")


async def test_large_heads_in_http2_reach_the_gateway(tmp_path: Path) -> None:
    """Which refuses them by a 431 of that request; the connection and its other requests go on."""
    import h2.config
    import h2.connection
    import h2.events

    async with upstream(lambda s: reply()) as up, engine(FakeGateway(up.url), tmp_path) as run:
        c = await _tunnel(run.proxy_port, "api.example.test", alpn=["h2"])
        h2c = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
        h2c.initiate_connection()
        head = [(":method", "GET"), (":scheme", "https"), (":authority", "api.example.test"), (":path", "/")]
        h2c.send_headers(1, [*head, ("x", "y" * 70_000)], end_stream=True)
        await c.send(h2c.data_to_send())
        async with asyncio.timeout(30):
            while not any(isinstance(e, h2.events.StreamEnded) for e in h2c.receive_data(await c.reader.read(65_536))):
                await c.send(h2c.data_to_send())
        c.close()
    assert len(run.gateway.begun[0].request.headers.get("x") or "") == 70_000


async def test_upstream_certificate_is_verified(tmp_path: Path) -> None:
    """A certificate that nobody vouches for is refused; with its authority in ca_file it is accepted."""
    async with upstream(lambda s: reply(b'{"tls":1}'), ssl=server_context()) as up:
        async with engine(FakeGateway(up.url), tmp_path) as run, client(run.port) as c:
            got = await c.ask("GET", "/")
            assert (got.status, json.loads(got.body)["error"]) == (502, "upstream_unreachable")
            assert not up.seen
        async with engine(FakeGateway(up.url), tmp_path, ca_file=self_signed()) as run, client(run.port) as c:
            assert (await c.ask("GET", "/")).body == b'{"tls":1}'


class _HttpProxy:
    """A CONNECT proxy that wants credentials, and counts tunnels by them."""

    def __init__(self) -> None:
        self.tunnels: list[str | None] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen = await read_message(reader)
        self.tunnels.append(seen.header("proxy-authorization"))
        if seen.header("proxy-authorization") is None:
            writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            writer.close()
            return
        host, port = seen.line.split()[1].rsplit(":", 1)
        up_reader, up_writer = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        await asyncio.gather(self._pipe(reader, up_writer), self._pipe(up_reader, writer))

    async def _pipe(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            writer.write(data)
        writer.close()


async def test_each_account_leaves_through_its_own_proxy(tmp_path: Path) -> None:
    """An account's proxy is used with its credentials; two accounts never share a tunnel, and none leaks to the next."""
    proxy = _HttpProxy()
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    at = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with upstream(lambda s: reply()) as up, engine(FakeGateway(up.url), tmp_path) as run, client(run.port) as c:
        for credentials in ("ann:1@", "ann:1@", "bob:2@"):
            run.gateway.via = f"http://{credentials}{at}"
            assert (await c.ask("GET", "/")).status == 200
        assert proxy.tunnels == ["Basic YW5uOjE=", "Basic Ym9iOjI="]
        run.gateway.via = None
        assert (await c.ask("GET", "/")).status == 200
        assert len(proxy.tunnels) == 2
        assert up.connections == 3
        run.gateway.via = f"http://{at}"
        got = await c.ask("GET", "/")
        assert (got.status, len(up.seen)) == (502, 4)
        assert all(s.header("proxy-authorization") is None for s in up.seen)
    server.close()


@pytest.mark.parametrize("kind", ["application/json", "multipart/form-data; boundary=b"])
async def test_a_proxy_that_is_none_never_lets_a_request_out(kind: str, tmp_path: Path) -> None:
    """An account whose proxy cannot be used is a 502, held and streamed bodies alike; nothing leaves without it."""
    async with upstream(lambda s: reply()) as up, engine(FakeGateway(up.url), tmp_path) as run, client(run.port) as c:
        run.gateway.via = "socks5://127.0.0.1:9"
        for _ in range(2):
            got = await c.ask("POST", "/", f"Content-Type: {kind}", body=b"{}")
            assert (got.status, json.loads(got.body)["error"]) == (502, "upstream_unreachable")
        assert [f.kind for f in run.gateway.failures] == ["connect", "connect"]
        assert not up.connections
