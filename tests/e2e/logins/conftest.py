"""A gateway of its own for logins: an upstream whose passwords and sessions are planted, a mail server, a browser."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import httpx
import pytest
from onlyfansapi import OnlyFansAPI

from scripts.cli.stack import Stack
from scripts.simulator import Simulator
from scripts.simulator.mail import MailSink
from scripts.simulator.model import Creator
from tests.e2e.client.conftest import strict
from tests.e2e.logins.browser import Browser, chromium

PASSWORD = "planted-Passw0rd-äöü-7f3a91"
CODE = "83517293"
USER_AGENT = "Planted/1.0"


@dataclass
class Bed:
    """What the tests of logins share. `owner` is in no account of the first team when a test begins."""

    sim: Simulator
    stack: Stack
    mails: MailSink
    host: str
    folder: Path

    @property
    def owner(self) -> Creator:
        return self.sim.world.creators[1]

    @property
    def api(self) -> httpx.Client:
        return httpx.Client(base_url=f"{self.stack.base_url}/api", headers=self.stack.auth, timeout=20)

    def session(self) -> dict[str, str]:
        """A browser session of the owner, as the creator would copy it."""
        headers = {"User-Agent": USER_AGENT, "x-bc": "planted-xbc-51c0"}
        body = {"email": self.owner.email, "password": self.owner.password}
        answer = httpx.post(f"{self.sim.api_url}/api2/v2/users/login", json=body, headers=headers)
        cookies = "; ".join(f"{k}={v}" for k, v in answer.cookies.items())
        return {"auth_id": str(self.owner.id), "cookies": cookies, "user_agent": USER_AGENT, "xbc": "planted-xbc-51c0"}

    def clear(self) -> None:
        """Disconnects whatever of the owner the first team has."""
        for row in self.api.get("/accounts").json():
            if row["id"] != self.stack.account:
                self.api.delete(f"/accounts/{row['id']}")


class _HostPage(BaseHTTPRequestHandler):
    """A site of the team: its page opens ours in a frame."""

    def do_GET(self) -> None:
        body = b"<!doctype html><meta charset=utf-8><title>Team</title><h1>Our app</h1>"
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture(scope="session")
def host_site() -> Iterator[str]:
    """The origin of another site."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _HostPage)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join(5)


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory, host_site: str) -> Iterator[Bed]:
    folder = tmp_path_factory.mktemp("logins")
    small = {"fans": 6, "chats": 2, "messages": 10, "transactions": 5, "posts": 1, "media": 1}
    with Simulator.start(**small) as sim, MailSink() as mails, (folder / "processes.log").open("wb") as output:
        owner = sim.world.creators[1]
        owner.password, owner.otp_code = PASSWORD, CODE
        (folder / "smtp").write_text(mails.url)
        config = {
            "auth": {
                "embed_origins": [host_site],
                "smtp_url": {"file": str(folder / "smtp")},
                "keep_credentials": True,
                "auto_reauthenticate": True,
                "max_code_tries": 3,
            }
        }
        started = Stack.start(
            folder, upstream=sim.api_url, cdn=sim.cdn_url, logins=sim.creators, config=config, output=output
        )
        with started as stack:
            yield Bed(sim, stack, mails, host_site, folder)


@pytest.fixture
def bed(running: Bed) -> Iterator[Bed]:
    running.clear()
    yield running
    running.sim.faults.clear()


@pytest.fixture
def client(bed: Bed) -> Iterator[OnlyFansAPI]:
    """The official client, strict."""
    with strict(bed.stack.base_url, bed.stack.api_key) as opened:
        yield opened


@pytest.fixture(scope="session")
def chromium_path() -> str:
    return chromium()


@pytest.fixture
async def browser(chromium_path: str, tmp_path: Path) -> AsyncIterator[Browser]:
    """A phone."""
    async with Browser.start(chromium_path, tmp_path / "profile") as opened:
        yield opened
