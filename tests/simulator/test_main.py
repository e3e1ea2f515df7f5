from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx

ROOT = Path(__file__).parents[2]
SIZES = ["--fans", "10", "--chats", "2", "--messages", "20", "--transactions", "20", "--media", "3"]


def test_command_serves_and_stops(tmp_path: Path) -> None:
    """The command writes its ready file when both listeners answer, logs to its file, and ends on SIGTERM with 0."""
    ready, log = tmp_path / "ready.json", tmp_path / "log.jsonl"
    command = [sys.executable, "-m", "scripts.simulator", "--ready-file", str(ready), "--log", str(log), *SIZES]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL) as process:
        try:
            for _ in range(1200):
                if ready.exists():
                    break
                time.sleep(0.05)
            facts = json.loads(ready.read_text())
            account = facts["accounts"][0]
            headers = {"Cookie": account["cookies"], "User-Agent": account["user_agent"]}
            assert httpx.get(facts["api_url"] + "/api2/v2/users/me", headers=headers).json()["id"] == account["id"]
            assert httpx.get(facts["cdn_url"] + "/files/x").status_code == 403
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    assert [json.loads(line)["kind"] for line in log.read_text().splitlines()] == ["api", "cdn"]
