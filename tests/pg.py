"""A real PostgreSQL for the tests: one server per test process, one database per test, copied from a template."""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
from psycopg import sql

TEMPLATE = "ofapi_template"
_numbers = itertools.count(1)
_START_S = 30
_PDEATHSIG = 1
_NEEDED = (
    "the store's tests need PostgreSQL: install it (Debian: `apt-get install postgresql`) or put its bin folder on PATH"
)


class Server:
    """A running server that listens on a Unix socket in `socket_dir` only."""

    def __init__(self, socket_dir: Path, user: str) -> None:
        self.socket_dir = socket_dir
        self.user = user

    def url(self, database: str) -> str:
        return f"postgresql+psycopg://{self.user}@/{database}?host={self.socket_dir}"

    def create(self, template: str | None = None) -> str:
        """A new database, a copy of `template` where given; returns its name."""
        name = f"t{os.getpid()}_{next(_numbers)}"
        self.create_named(name, template)
        return name

    def create_named(self, name: str, template: str | None = None) -> None:
        copy = sql.SQL(" TEMPLATE {}").format(sql.Identifier(template)) if template else sql.SQL("")
        self._admin(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)) + copy)

    def drop(self, name: str) -> None:
        self._admin(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def _admin(self, statement: sql.Composed) -> None:
        with psycopg.connect(host=str(self.socket_dir), user=self.user, dbname="postgres", autocommit=True) as conn:
            conn.execute(statement)


@contextlib.contextmanager
def running() -> Iterator[Server]:
    """Starts a server in a folder of its own and stops it at the end. Raises where PostgreSQL is not installed."""
    binaries = _binaries()
    account = _account()
    folder = Path(tempfile.mkdtemp(prefix="ofapi-pg-"))  # a short path: socket names are limited to 107 bytes
    process = None
    try:
        if account is not None:
            os.chown(folder, account.pw_uid, account.pw_gid)
        _run(
            [binaries / "initdb", "-D", folder / "data", "-U", "ofapi", "-A", "trust", "-E", "UTF8", "--no-sync"],
            account,
        )
        process = _start(binaries, folder, account)
        server = Server(folder, "ofapi")
        _wait(server, process, folder)
        yield server
    finally:
        if process is not None:
            process.send_signal(signal.SIGQUIT)  # at once: nothing here needs to survive
            process.wait(_START_S)
        shutil.rmtree(folder, ignore_errors=True)


def _binaries() -> Path:
    """The newest installation: the folders of Debian first, since wrappers on PATH may leave out the share folder."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if found:
        return found[-1].parent
    on_path = shutil.which("initdb")
    if on_path is None:
        raise RuntimeError(_NEEDED)
    return Path(on_path).resolve().parent


def _account() -> pwd.struct_passwd | None:
    """Whom to run as: PostgreSQL refuses root. None: ourselves."""
    if os.getuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise RuntimeError("PostgreSQL does not run as root, and there is no user postgres or nobody to run it as; add one")


def _as(account: pwd.struct_passwd | None) -> dict[str, object]:
    return {} if account is None else {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


def _run(command: list[object], account: pwd.struct_passwd | None) -> None:
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, cwd="/", check=False, **_as(account)
    )
    if done.returncode:
        raise RuntimeError(f"initdb failed; {_NEEDED}\n{done.stdout}\n{done.stderr}")


def _start(binaries: Path, folder: Path, account: pwd.struct_passwd | None) -> subprocess.Popen[bytes]:
    settings = {
        "listen_addresses": "",
        "unix_socket_directories": str(folder),
        "fsync": "off",
        "synchronous_commit": "off",
        "full_page_writes": "off",
        "max_connections": "200",
        "shared_buffers": "64MB",
        "autovacuum": "off",
    }
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(
            [str(binaries / "postgres"), "-D", str(folder / "data"), *options],
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd="/",
            preexec_fn=_end_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509 (one prctl call, no locks)
            **_as(account),
        )


def _end_with_parent() -> None:
    """A test run that is killed leaves no server behind."""
    ctypes.CDLL(None).prctl(_PDEATHSIG, signal.SIGQUIT)


def _wait(server: Server, process: subprocess.Popen[bytes], folder: Path) -> None:
    end = time.monotonic() + _START_S
    while True:
        try:
            psycopg.connect(host=str(server.socket_dir), user=server.user, dbname="postgres").close()
            return
        except psycopg.OperationalError as error:
            if process.poll() is not None or time.monotonic() > end:
                log = (folder / "log").read_text(errors="replace")[-2000:]
                raise RuntimeError(f"PostgreSQL did not start: {error}\n{log}") from error
            time.sleep(0.02)
