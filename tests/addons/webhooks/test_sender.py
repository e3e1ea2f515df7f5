"""One POST: addresses that must not be reached, and what answers mean."""

from __future__ import annotations

import asyncio
import socket
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from addons.config import Config
from addons.webhooks.sender import Message, Outcome, Sender, retry_after_s
from tests.addons.webhooks.receiver import Receiver
from tests.e2e.engine.certs import server_context

MESSAGE = Message("tips.received", "acct_a", "evt_" + "0" * 40, '{"n":1.10}', "uuid")


class Rebinding(AbstractResolver):
    """A name server of an attacker: public when asked first, loopback ever after."""

    def __init__(self) -> None:
        self.asked = 0

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self.asked += 1
        return [ResolveResult(hostname=host, host="127.0.0.1", port=port, family=socket.AF_INET, proto=0, flags=0)]

    async def close(self) -> None:
        return None


async def send(url: str, *, resolver: AbstractResolver | None = None, **sections: Any) -> Outcome:
    sender = Sender(Config.build(sections))
    if resolver is not None:
        sender._session.connector._resolver = resolver  # type: ignore[union-attr]
    try:
        return await sender.send(url, "s", MESSAGE, 1)
    finally:
        await sender.close()


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:{port}/ok",
        "http://0.0.0.0:{port}/ok",
        "http://127.1:{port}/ok",
        "http://2130706433:{port}/ok",
        "http://localhost:{port}/ok",
        "http://[::1]:{port}/ok",
        "http://[::ffff:127.0.0.1]:{port}/ok",
        "http://10.0.0.1/",
        "http://169.254.169.254/latest/meta-data",
        "http://[fd00:ec2::254]/",
        "http://100.64.0.1/",
    ],
)
async def test_private_addresses_are_never_reached(receiver: Receiver, url: str) -> None:
    """Loopback, private, link-local and metadata addresses, in both families and any spelling."""
    outcome = await send(url.format(port=receiver.port))
    assert (outcome.error_type, outcome.status_code) in {("address", None), ("connect", None), ("protocol", None)}
    assert receiver.got == []


async def test_a_name_that_rebinds_to_loopback_is_refused(receiver: Receiver) -> None:
    """What counts is the address that is connected to, not what the name was when the webhook was made."""
    outcome = await send(f"http://rebinds.test:{receiver.port}/ok", resolver=Rebinding())
    assert outcome.error_type == "address"
    assert "127.0.0.1" in (outcome.error_message or "")
    assert receiver.got == []


async def test_the_allow_list_opens_what_it_names(receiver: Receiver) -> None:
    """For intranets and tests, by network or by name."""
    for allowed in ("127.0.0.0/8", "rebinds.test"):
        network = {"allow_private": [allowed]}
        outcome = await send(f"http://rebinds.test:{receiver.port}/ok", resolver=Rebinding(), network=network)
        assert outcome.ok, outcome
    assert len(receiver.got) == 2


async def test_the_payloads_bytes_are_sent_as_they_are(receiver: Receiver) -> None:
    """Numbers keep their text."""
    await send(receiver.url(), network={"allow_private": ["127.0.0.0/8"]})
    assert receiver.got[0].raw == b'{"event":"tips.received","account_id":"acct_a","payload":{"n":1.10}}'


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (b"", "protocol"),
        (b"not http at all\r\n\r\n", "protocol"),
        (b"HTTP/1.1 999999 what\r\n\r\n", "protocol"),
        (b"HTTP/1.1 500 no\r\nContent-Length: 3\r\n\r\nbad", "status"),
        (b"HTTP/1.1 302 go\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n", "status"),
        (b"HTTP/1.1 200 ok\r\nContent-Length: 100\r\n\r\ncut", None),
        (b"HTTP/1.1 200 ok\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\n\x1f\x8b\x00", None),
        (b"HTTP/1.1 200 ok\r\nContent-Length: 100000\r\n\r\n" + b"x" * 100_000, None),
    ],
)
async def test_what_comes_back_is_judged_by_its_status(answer: bytes, kind: str | None) -> None:
    """A broken body does not undo a 2xx; garbage is a failed try, never an exception; little of a body is kept."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"}}")
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    outcome = await send(f"http://127.0.0.1:{port}/", network={"allow_private": ["127.0.0.0/8"]})
    server.close()
    assert outcome.error_type == kind, outcome
    assert len(outcome.response or "") <= 4096


async def test_a_connection_that_was_closed_meanwhile_is_no_failed_try() -> None:
    """An endpoint that answers and closes without saying so: the next delivery goes out anew, and is tried once more only."""
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await reader.readuntil(b"}}")
        if connections < 4:
            writer.write(b"HTTP/1.1 200 ok\r\nContent-Length: 2\r\n\r\nok")
            await writer.drain()
            await reader.readuntil(b"}}")  # the next request is on its way when the connection goes
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    sender = Sender(Config.build({"network": {"allow_private": ["127.0.0.0/8"]}}))
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    outcomes = [await sender.send(url, None, MESSAGE, 1) for _ in range(5)]
    await sender.close()
    server.close()
    assert [outcome.error_type for outcome in outcomes] == [None, None, None, "protocol", "protocol"]
    assert connections == 5


async def test_a_body_that_never_ends_is_left_alone_in_time() -> None:
    """The whole try is bounded by `total_timeout_s`, and its 2xx counts."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"}}")
        writer.write(b"HTTP/1.1 200 ok\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
        await writer.drain()
        await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    config = {"network": {"allow_private": ["127.0.0.0/8"]}, "webhooks": {"total_timeout_s": 1.5}}
    outcome = await send(f"http://127.0.0.1:{port}/", **config)
    server.close()
    assert outcome.ok
    assert outcome.duration_ms < 9000  # the default would be ten seconds


async def test_a_try_ends_when_its_time_is_over() -> None:
    """Not up to a second later, to which times of five seconds and more are rounded by default."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    loop = asyncio.get_running_loop()
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    await asyncio.sleep(1.05 - loop.time() % 1)  # rounded, the end would be 0.9 s late
    config = {"network": {"allow_private": ["127.0.0.0/8"]}, "webhooks": {"total_timeout_s": 5.05}}
    outcome = await send(f"http://127.0.0.1:{port}/", **config)
    server.close()
    assert outcome.error_type == "timeout"
    assert 5050 <= outcome.duration_ms < 5800


async def test_a_certificate_that_nobody_vouches_for_is_refused() -> None:
    """https is verified."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=server_context())
    port = server.sockets[0].getsockname()[1]
    outcome = await send(f"https://127.0.0.1:{port}/", network={"allow_private": ["127.0.0.0/8"]})
    server.close()
    assert outcome.error_type == "tls"


@pytest.mark.parametrize(
    ("value", "seconds"), [(None, None), ("", None), ("7", 7), ("-7", None), ("soon", None), ("9" * 400, None)]
)
def test_retry_after_is_a_number_or_nothing(value: str | None, seconds: float | None) -> None:
    """What says nothing usable is ignored."""
    found = retry_after_s(value)
    assert found == seconds or (value == "9" * 400 and found in (None, float("inf")))


def test_retry_after_may_be_a_date() -> None:
    """HTTP's other form; one in the past is no wait."""
    now = datetime.now(UTC)
    assert 50 < (retry_after_s(format_datetime(now + timedelta(minutes=1), usegmt=True)) or 0) <= 60
    assert retry_after_s(format_datetime(now - timedelta(minutes=1), usegmt=True)) == 0
