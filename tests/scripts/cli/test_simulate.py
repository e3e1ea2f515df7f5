"""scripts/cli/simulate: the simulated OnlyFans alone."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import httpx

REPO = Path(__file__).resolve().parents[3]
SIZES = ["--fans", "5", "--chats", "1", "--messages", "5", "--transactions", "5", "--campaigns", "1", "--trials", "1"]


def test_json_names_the_addresses() -> None:
    """With --json standard output holds one object with the addresses and logins, once both listeners answer."""
    command = [sys.executable, "-m", "scripts.cli.main", "simulate", "--json", *SIZES]
    with subprocess.Popen(command, cwd=REPO, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            lines = b""
            while not lines.endswith(b"\n}\n"):
                lines += process.stdout.readline()
            facts = json.loads(lines)
            assert httpx.get(facts["api_url"] + "/__sim__/world").status_code == 200
            assert httpx.get(facts["cdn_url"] + "/files/x").status_code == 403
            assert len(facts["accounts"]) == 2
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.stdout.read() == b""
        assert process.wait(30) == 0
