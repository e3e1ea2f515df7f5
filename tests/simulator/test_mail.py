"""The creators' mail server."""

from __future__ import annotations

import smtplib
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from urllib.parse import urlsplit

from scripts.simulator.mail import MailSink


def test_mails_are_kept_and_written(tmp_path: Path) -> None:
    """In memory, and as numbered files where a folder is named."""
    mail = EmailMessage()
    mail["To"], mail["From"], mail["Subject"] = "anna@example.test", "gw@example.test", "Hello"
    mail.set_content("a link")
    with MailSink(tmp_path / "mails") as sink:
        for _ in range(2):
            with smtplib.SMTP("127.0.0.1", urlsplit(sink.url).port or 0) as client:
                client.send_message(mail)
        assert [one["To"] for one in sink.mails] == ["anna@example.test"] * 2
    files = sorted((tmp_path / "mails").iterdir())
    assert [file.name for file in files] == ["1.eml", "2.eml"]
    assert message_from_bytes(files[0].read_bytes(), policy=policy.default)["Subject"] == "Hello"
