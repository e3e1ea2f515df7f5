"""The creators' mail server: keeps what it gets, and with a folder writes each mail there as `<number>.eml`."""

from __future__ import annotations

import socketserver
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from threading import Lock, Thread
from typing import Self


class _Session(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        self.wfile.write(b"220 sink\r\n")
        while line := self.rfile.readline():
            word = line.strip().upper()
            if word == b"DATA":
                self.wfile.write(b"354 go on\r\n")
                self._data()
            elif word == b"QUIT":
                self.wfile.write(b"221 bye\r\n")
                return
            else:
                self.wfile.write(b"250 ok\r\n")

    def _data(self) -> None:
        lines = []
        while (line := self.rfile.readline()) not in (b".\r\n", b""):
            lines.append(line)
        sink: _Server = self.server  # type: ignore[assignment]
        parsed = message_from_bytes(b"".join(lines), policy=policy.default)
        assert isinstance(parsed, EmailMessage)
        sink.keep(parsed)
        self.wfile.write(b"250 kept\r\n")


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, folder: Path | None) -> None:
        super().__init__(("127.0.0.1", 0), _Session)
        self.mails: list[EmailMessage] = []
        self._folder = folder
        self._lock = Lock()

    def keep(self, mail: EmailMessage) -> None:
        with self._lock:
            self.mails.append(mail)
            if self._folder is not None:
                self._folder.mkdir(parents=True, exist_ok=True)
                (self._folder / f"{len(self.mails)}.eml").write_bytes(mail.as_bytes())


class MailSink:
    """`with MailSink() as sink: sink.url, sink.mails`."""

    def __init__(self, folder: Path | None = None) -> None:
        self._server = _Server(folder)
        self._thread = Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self._server.server_address[1]}"

    @property
    def mails(self) -> list[EmailMessage]:
        return self._server.mails

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)
