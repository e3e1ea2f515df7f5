"""addons/logins/mail: the creator's mail has a link that works, and is sent only where it makes sense."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from addons.logins import mail
from addons.logins.advance import advance
from addons.pipeline.errors import ApiError, Conflict
from ofapi_store import outbox
from ofapi_store.engine import Store
from ofapi_store.queries import auth_sessions
from scripts.simulator.mail import MailSink
from tests.addons.logins.conftest import Desk


@pytest.fixture
def sink() -> Iterator[MailSink]:
    with MailSink() as running:
        yield running


@pytest.fixture
def desk(sqlite_store: Store, desk_of: Callable[..., Desk], sink: MailSink, tmp_path: Path) -> Desk:
    (tmp_path / "smtp").write_text(sink.url)
    return desk_of(sqlite_store, auth={"smtp_url": {"file": "smtp"}, "mail_from": "us@agency.test"})


async def test_a_mail_with_a_link(desk: Desk, sink: MailSink) -> None:
    """To the e-mail of the login; the job's row holds no token and no address."""
    attempt = await desk.start("otp+")
    await advance(desk.services, attempt)
    await mail.enqueue(desk.services, desk.row(attempt), "https://gw.test")
    with desk.services.store.read() as conn:
        (job,) = outbox.list_jobs(conn, kind=mail.JOB)
    assert job.payload == {"attempt": attempt, "base_url": "https://gw.test"}
    await mail.send(desk.services, attempt, "https://gw.test")
    (sent,) = sink.mails
    assert (sent["To"], sent["From"]) == (f"otp+{desk.creator.email}", "us@agency.test")
    token = sent.get_content().partition("https://gw.test/connect/")[2].split()[0]
    with desk.services.store.read() as conn:
        session = auth_sessions.by_token(conn, token, desk.clock.now)
    assert session is not None
    assert session.attempt_id == attempt


async def test_no_mail_after_the_end(desk: Desk, sink: MailSink) -> None:
    """A login that ended while the mail waited needs none."""
    attempt = await desk.start()
    await advance(desk.services, attempt)
    await mail.send(desk.services, attempt, "https://gw.test")
    assert sink.mails == []


async def test_without_a_mail_server(sqlite_store: Store, desk_of: Callable[..., Desk]) -> None:
    """The error names the config key."""
    desk = desk_of(sqlite_store)
    attempt = await desk.start("otp+")
    with pytest.raises(ApiError, match=r"auth\.smtp_url"):
        await mail.enqueue(desk.services, desk.row(attempt), "https://gw.test")


async def test_without_an_address(desk: Desk) -> None:
    """A session has no e-mail."""
    row = await desk.attempts.start(desk.team_id, desk.session())
    with pytest.raises(Conflict):
        await mail.enqueue(desk.services, row, "https://gw.test")
