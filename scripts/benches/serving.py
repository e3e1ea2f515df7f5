"""The processes of a bench: upstream, bare mitmdump, the gateway. Each ends with the block that started it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from scripts.benches.upstream import FANS

BARE_OPTIONS = (
    "connection_strategy=lazy",
    "keep_host_header=true",
    "block_global=false",
    "onboarding=false",
    "validate_inbound_headers=true",
    "rawtcp=false",
    "websocket=false",
    "flow_detail=0",
    "termlog_verbosity=error",
)


@dataclass(frozen=True)
class Target:
    """Something to send load to."""

    port: int
    pid: int
    key: str | None = None
    account: str = ""


def pin(pid: int, core: int) -> None:
    """Keep a process on one core, where the system has at least two and lets us."""
    if hasattr(os, "sched_setaffinity"):
        with contextlib.suppress(OSError):
            cores = sorted(os.sched_getaffinity(0))
            if len(cores) > 1:
                os.sched_setaffinity(pid, {cores[core % len(cores)]})


@contextmanager
def process(args: list[str], log: Path, env: dict[str, str] | None = None) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("ab") as out:
        child = subprocess.Popen(
            args, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=out, env={**os.environ, **(env or {})}
        )
    try:
        yield child
    finally:
        child.terminate()
        try:
            child.wait(15)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


@contextmanager
def upstream() -> Iterator[str]:
    """The canned upstream; gives its URL."""
    with process([sys.executable, "-m", "scripts.benches.upstream"], Path(os.devnull)) as child:
        assert child.stdout is not None
        port = int(child.stdout.readline())
        pin(child.pid, 1)
        yield f"http://127.0.0.1:{port}"


@contextmanager
def bare(upstream_url: str, folder: Path) -> Iterator[Target]:
    """mitmdump as it comes, with the gateway's options."""
    port = _free_port()
    mitmdump = str(Path(sys.executable).with_name("mitmdump"))
    args = [mitmdump, "--mode", f"reverse:{upstream_url}@127.0.0.1:{port}", "--set", f"confdir={folder / 'bare'}"]
    for option in BARE_OPTIONS:
        args += ["--set", option]
    with process(args, folder / "bare.log") as child:
        _wait(port, child)
        pin(child.pid, 0)
        yield Target(port, child.pid)


@contextmanager
def gateway(upstream_url: str, folder: Path, rules: Path, *, web: bool = False) -> Iterator[Target]:
    """The gateway with an account, a key and 20 fans that have written."""
    from scripts.cli.stack import Stack

    limits = {"limits": {"requests_per_minute": 1_000_000_000}, "log": {"level": "warning"}}
    stack = Stack.prepare(folder / "stack", rules_dir=rules, worker=False, web=web, config=limits)
    stack.point_to(upstream_url, None)
    seed_fans(stack.store_url, stack.account)
    ready = folder / "ready.json"
    args = [sys.executable, "-m", "scripts.benches.serving", str(stack.config_path), str(ready), "web" if web else ""]
    with process(args, folder / "gateway.log") as child:
        found = _ready(ready, child, folder / "gateway.log")
        pin(child.pid, 0)
        yield Target(found["port"], child.pid, stack.api_key, stack.account)


def seed_fans(store_url: str, account: str) -> None:
    """The 20 fans of the canned page, each with the time of a last reply."""
    from datetime import UTC, datetime

    from sqlalchemy import insert

    from ofapi_store.engine import Store
    from ofapi_store.models.observed import Fan

    now = datetime.now(UTC)
    store = Store.open(store_url)
    try:
        with store.write() as conn:
            times = {"last_reply_at": now, "first_seen_at": now, "updated_at": now}
            rows = [{"account_id": account, "fan_id": 1000 + i, **times} for i in range(FANS)]
            conn.execute(insert(Fan), rows)
    finally:
        store.close()


def resident_bytes(pid: int) -> int:
    """Memory that a process holds (Linux)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"no VmRSS for process {pid}")


def cpu_seconds(pid: int) -> float:
    """Processor time that a process has used (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait(port: int, child: subprocess.Popen[bytes]) -> None:
    for _ in range(300):
        if child.poll() is not None:
            raise RuntimeError(f"process ended with code {child.returncode}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
            return
        time.sleep(0.1)
    raise RuntimeError(f"nothing listens on port {port}")


def _ready(path: Path, child: subprocess.Popen[bytes], log: Path) -> dict[str, int]:
    for _ in range(1200):
        if path.exists():
            found: dict[str, int] = json.loads(path.read_text())
            return found
        if child.poll() is not None:
            raise RuntimeError(f"the gateway ended with code {child.returncode}:\n{log.read_text()[-2000:]}")
        time.sleep(0.1)
    raise RuntimeError("the gateway was not ready within 120 s")


async def _serve(config_path: str, ready_path: str, *, web: bool) -> None:
    from addons.config import load_config
    from addons.engine.launch import Listening, run
    from scripts.cli.logs import set_up_logs

    config = load_config(config_path)
    set_up_logs(config.log)

    def ready(found: Listening) -> None:
        draft = Path(ready_path + ".draft")
        draft.write_text(json.dumps({"port": found.listen[1]}))
        draft.rename(ready_path)

    stop = asyncio.Event()
    import signal

    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    with _profile(os.environ.get("OFAPI_BENCH_PROFILE")):
        await run(config, web=web, ready=ready, stop=stop)


@contextmanager
def _profile(path: str | None) -> Iterator[None]:
    """Write cProfile statistics to `path`, where the environment names one."""
    if path is None:
        yield
        return
    import cProfile

    profile = cProfile.Profile()
    profile.enable()
    try:
        yield
    finally:
        profile.disable()
        profile.dump_stats(path)


@contextmanager
def workspace() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="ofapi-bench-") as folder:
        yield Path(folder)


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1], sys.argv[2], web=sys.argv[3] == "web"))
