"""Processes that end with the one that started them."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

END_S = 15.0
UNTIL_EOF = "OFAPI_UNTIL_STDIN_CLOSES"


def write_atomically(path: Path, text: str, *, mode: int = 0o600) -> None:
    """The whole text or nothing, even for a reader that looks at the same moment.

    A link or what is no file (`/dev/stdout`, a pipe) is written to, not replaced.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_symlink() or (path.exists() and not path.is_file()):
        path.write_text(text, encoding="utf-8")
        return
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w", encoding="utf-8") as file:
        file.write(text)
    draft.replace(path)


def drop_stale(path: Path) -> None:
    """Removes what an earlier run wrote, so that whoever waits for the file does not read that."""
    if path.is_file() and not path.is_symlink():
        path.unlink(missing_ok=True)


class Stopped(Exception):
    """We were told to end while we waited for a child."""


def end_with_parent() -> None:
    """In a child: SIGTERM to ourselves when the parent is gone, however it ended."""
    if os.environ.pop(UNTIL_EOF, None) != "1":
        return

    def wait() -> None:
        with contextlib.suppress(OSError):
            while os.read(0, 1024):
                pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, name="parent-watch", daemon=True).start()


class Child:
    """`python -m module args…`, ended by `stop()` or by our own end. `ready_file`: read when it appears."""

    def __init__(
        self,
        name: str,
        args: Sequence[str],
        *,
        ready_file: Path | None = None,
        output: IO[bytes] | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self._ready_file = ready_file
        if ready_file is not None:
            drop_stale(ready_file)
        self.process = subprocess.Popen(
            [sys.executable, *args],
            stdin=subprocess.PIPE,
            stdout=output or sys.stderr,
            stderr=output or sys.stderr,
            env={**os.environ, **(env or {}), UNTIL_EOF: "1", "PYTHONUNBUFFERED": "1"},
            start_new_session=True,  # Ctrl-C reaches the parent alone, which then ends its children in order
        )

    def wait_ready(self, timeout_s: float = 120.0, *, stop: threading.Event | None = None) -> dict[str, Any]:
        """What the child wrote to its ready file.

        Raises RuntimeError if it ends first or takes too long, Stopped when `stop` is set meanwhile.
        """
        assert self._ready_file is not None
        end = time.monotonic() + timeout_s
        while time.monotonic() < end:
            if stop is not None and stop.is_set():
                raise Stopped
            if self._ready_file.exists():
                found: dict[str, Any] = json.loads(self._ready_file.read_text(encoding="utf-8"))
                return found
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.name} ended with code {self.process.returncode} before it was ready")
            time.sleep(0.02)
        raise RuntimeError(f"{self.name} was not ready within {timeout_s:g} s")

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def kill(self) -> None:
        """SIGKILL, for tests of what survives it."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """SIGTERM, then SIGKILL if it does not end; returns its exit code."""
        if self.alive:
            self.process.terminate()
            try:
                self.process.wait(END_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
        if self.process.stdin is not None:
            self.process.stdin.close()
        return self.process.wait()
