"""scripts/demo: one command, everything answers, and nothing stays behind."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from scripts.cli.demo import Demo
from scripts.cli.main import run

REPO = Path(__file__).resolve().parents[2]
FIELDS = {
    "base_url", "api_key", "account", "other_api_key", "other_account", "cdn_url", "web_url", "upstream_url",
    "upstream_log", "rules_dir", "config", "store_url", "proxy_url", "ca_file", "mail_dir",
}  # fmt: skip


@contextmanager
def demo(folder: Path, *args: str) -> Iterator[tuple[dict[str, Any], subprocess.Popen[bytes]]]:
    ready = folder.with_suffix(".ready.json")
    ready.write_text('{"stale": true}')
    command = [sys.executable, "-m", "scripts.cli.main", "demo", "--ready-file", str(ready), "--port", "0"]
    process = subprocess.Popen(
        [*command, "--data-dir", str(folder), *args], cwd=REPO, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        end = time.monotonic() + 90
        while not (ready.exists() and "base_url" in ready.read_text()):
            assert process.poll() is None, (process.stderr.read() if process.stderr else b"").decode()[-2000:]
            assert time.monotonic() < end, "the demo was not ready in time"
            time.sleep(0.05)
        yield json.loads(ready.read_text()), process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        process.wait(60)


def get(facts: dict[str, Any], path: str, key: str = "api_key") -> tuple[int, Any]:
    request = urllib.request.Request(facts["base_url"] + path, headers={"Authorization": f"Bearer {facts[key]}"})
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as e:
        return e.code, json.loads(e.read())


def answers(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=5).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


@pytest.mark.timeout(300)
def test_demo_from_start_to_end(tmp_path: Path) -> None:
    """Ready means that all answers, never that an older file is there; two teams are apart; Ctrl-C ends every process
    with exit code 0; a second start keeps keys."""
    folder = tmp_path / "data"
    with demo(folder) as (facts, process):
        assert set(facts) >= FIELDS
        assert get(facts, "/whoami")[1]["team"]["slug"] == "demo"
        assert get(facts, f"/{facts['account']}/fans/all?limit=3")[0] == 200
        assert get(facts, f"/api/{facts['other_account']}/fans/all?limit=3", "other_api_key")[0] == 200
        assert get(facts, f"/{facts['other_account']}/fans/all")[1]["error"] == "account_not_found"
        assert answers(facts["web_url"])
        first = json.loads(Path(facts["upstream_log"]).read_text().splitlines()[0])
        assert {"method", "path", "headers", "status"} <= set(first)
        assert Path(facts["rules_dir"]).is_relative_to(folder)
        assert stat.S_IMODE(folder.with_suffix(".ready.json").stat().st_mode) == 0o600
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
        assert not folder.with_suffix(".ready.json").exists()
        assert not answers(facts["base_url"])
        assert not answers(facts["upstream_url"])
        printed = (process.stdout.read() if process.stdout else b"").decode()
        assert facts["api_key"] in printed
        assert "curl" in printed
    again = demo(folder, "--upstream", "http://127.0.0.1:9/", "--no-web")
    with again as (later, other):
        assert later["upstream_url"] == "http://127.0.0.1:9"
        assert {k: later[k] for k in ("api_key", "account", "other_account")} == {
            k: facts[k] for k in ("api_key", "account", "other_account")
        }
        assert later["upstream_log"] is None
        assert get(later, "/whoami")[0] == 200
        assert get(later, f"/{later['account']}/fans/all")[0] == 502
        os.kill(other.pid, signal.SIGKILL)
        other.wait()
        end = time.monotonic() + 60
        while answers(later["base_url"]) and time.monotonic() < end:
            time.sleep(0.1)
        assert not answers(later["base_url"]), "the gateway outlived a killed demo"


def test_a_demo_can_be_ended_while_it_starts(tmp_path: Path) -> None:
    """SIGTERM before everything answers: exit code 130, no ready file, no process left."""
    ready, data = tmp_path / "ready.json", tmp_path / "data"
    command = [sys.executable, "-m", "scripts.cli.main", "demo", "--port", "0", "--ready-file", str(ready), "--json"]
    with subprocess.Popen([*command, "--data-dir", str(data)], cwd=REPO, stdout=subprocess.PIPE) as process:
        while not (data / "demo.log").exists():
            assert process.poll() is None
            time.sleep(0.01)
        process.terminate()
        printed = process.communicate(timeout=90)[0]
    assert process.returncode == 130
    assert json.loads(printed)["error"] == "interrupted"
    assert not ready.exists()
    assert not [p for p in Path("/proc").glob("[0-9]*/cmdline") if str(data) in _text(p)]


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


class Ended:
    """A child that ended by itself."""

    name, alive = "the simulator", False


def test_a_demo_says_which_process_ended(tmp_path: Path) -> None:
    """When the simulator or the gateway dies, the demo ends and names it."""
    with contextlib.ExitStack() as ends, (tmp_path / "log").open("wb") as log:
        running = Demo(tmp_path, log, ends, threading.Event(), [Ended()])  # type: ignore[list-item]
        with pytest.raises(RuntimeError, match="the simulator ended"):
            running.watch()


@pytest.mark.parametrize(
    ("args", "code", "error"),
    [
        (["--cdn", "http://127.0.0.1:1"], 2, "usage"),
        (["--port", "65536"], 2, "usage"),
        (["--port", "-1"], 2, "usage"),
        (["--data-dir", "/dev/null"], 1, "system_error"),
    ],
)
def test_what_a_demo_cannot_use(args: list[str], code: int, error: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Options that contradict, ports that do not exist and a folder that is none are told before anything starts."""
    assert run(["demo", *args, "--json"]) == code
    assert json.loads(capsys.readouterr().out)["error"] == error


def test_a_taken_port_is_told_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    """Before anything starts the demo says that its port is taken, and how to take another."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert run(["demo", "--port", str(port), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["error"], "--port 0" in found["message"]) == ("port_taken", True)


def test_data_dir_in_use_is_refused(tmp_path: Path) -> None:
    """Two demos cannot share a folder: the second says so and ends."""
    import fcntl

    with (tmp_path / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        command = [
            sys.executable,
            "-m",
            "scripts.cli.main",
            "demo",
            "--port",
            "0",
            "--data-dir",
            str(tmp_path),
            "--json",
        ]
        done = subprocess.run(command, cwd=REPO, capture_output=True, timeout=60, check=False)
    assert done.returncode == 1
    assert json.loads(done.stdout)["error"] == "data_dir_in_use"
