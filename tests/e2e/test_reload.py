"""Rules are changed, rightly and wrongly, while clients ask: no request fails, and none is served otherwise than meant."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import batched
from pathlib import Path
from typing import Any

import httpx
import pytest

from scripts.cli.stack import Stack
from scripts.simulator import Simulator
from tests.e2e.waiting import until

GOLDEN = sorted((Path(__file__).parents[1] / "golden" / "rules_bad").glob("*.yaml"))
NEW = """\
- id: counted
  match: GET /{{account}}/counted
  source: hybrid
  why: Upstream's counts with a word of ours.
  upstream: GET /api2/v2/subscriptions/count/all
  steps: [{{addon: const, set: {{word: {word}}}}}]
"""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A gateway of our own, whose rules may be broken."""
    folder = tmp_path_factory.mktemp("reload")
    with (
        Simulator.start(fans=12, chats=4, messages=40, transactions=5) as simulator,
        (folder / "processes.log").open("wb") as output,
        Stack.start(
            folder, upstream=simulator.api_url, cdn=simulator.cdn_url, logins=simulator.creators, output=output,
            worker=False,
        ) as running,
    ):  # fmt: skip
        yield running


class Traffic:
    """Clients that ask without a pause; `wrong` has every answer that is not as it was before."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.stop = threading.Event()
        self.answers = 0
        self.wrong: list[str] = []

    def ask(self) -> None:
        account = self.stack.account
        wanted = (
            ("/whoami", b'"demo"'),
            (f"/{account}/fans/active?limit=2", b'"lastReplyAt"'),
            (f"/{account}/me", b"{"),
        )
        with httpx.Client(base_url=self.stack.base_url, headers=self.stack.auth, timeout=60) as http:
            while not self.stop.is_set():
                for path, part in wanted:
                    try:
                        answer = http.get(path)
                    except httpx.HTTPError as e:
                        self.wrong.append(f"{path}: {e!r}")
                        continue
                    self.answers += 1
                    if answer.status_code != 200 or part not in answer.content:
                        self.wrong.append(f"{path}: {answer.status_code} {answer.text[:200]}")
                    self.stop.wait(0.01)  # leave the machine time to reload


@contextmanager
def traffic(stack: Stack, clients: int = 2) -> Iterator[Traffic]:
    running = Traffic(stack)
    threads = [threading.Thread(target=running.ask) for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield running
    finally:
        running.stop.set()
        for thread in threads:
            thread.join()


def health(stack: Stack) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(f"{stack.base_url}/_ofapi/health", timeout=30).json()
    return found


def told(found: dict[str, Any]) -> set[str]:
    """The errors of the last reload, as `ofapi rules check` prints their first lines."""
    errors = found["rules"]["last_reload"]["errors"]
    return {f"{e['file']}:{e['line']}:{e['column']}: {e['message']} [{e['code']}]" for e in errors}


def golden_lines(path: Path) -> set[str]:
    lines = path.with_suffix(".txt").read_text(encoding="utf-8").splitlines()
    return {line for line in lines if not line.startswith("    ")}


def test_broken_files_under_traffic_fail_no_request(stack: Stack) -> None:
    """The golden broken files, some at a time, are refused with all their errors while clients ask; the rules go on."""
    assert len(GOLDEN) >= 20
    version = health(stack)["rules"]["version"]
    with traffic(stack) as running:
        before: list[Path] = []
        for group in batched(GOLDEN, 4):
            wanted = set().union(*(golden_lines(path) for path in group))
            copies = [stack.rules_dir / path.name for path in group]
            for path, copy in zip(group, copies, strict=True):
                copy.write_bytes(path.read_bytes())
            for copy in before:
                copy.unlink()
            before = copies
            found = until(lambda: health(stack), lambda h, wanted=wanted: wanted <= told(h))
            assert (found["status"], found["rules"]["version"]) == ("degraded", version)
        for copy in before:
            copy.unlink()
        until(lambda: health(stack), lambda h: h["status"] == "ok")
    assert running.wrong == []
    assert running.answers > len(GOLDEN)


def test_good_files_under_traffic_fail_no_request(stack: Stack) -> None:
    """New rules, edits, renames and removals are taken while clients ask; each answer is of one whole set of rules."""
    path, url = stack.rules_dir / "own" / "counted.yaml", f"{stack.base_url}/{stack.account}/counted"

    def word() -> Any:
        answer = httpx.get(url, headers=stack.auth, timeout=30)
        return answer.json().get("word") if answer.status_code == 200 else answer.status_code

    with traffic(stack) as running:
        path.parent.mkdir()
        path.write_text(NEW.format(word="one"))
        until(word, lambda found: found == "one")
        draft = path.with_name(".counted.swp")
        draft.write_text(NEW.format(word="two"))
        draft.replace(path)
        until(word, lambda found: found == "two")
        path = path.rename(stack.rules_dir / "renamed.yaml")
        for number in range(20):  # an editor that saves with every key
            path.write_text(NEW.format(word=f"w{number}"))
        until(word, lambda found: found == "w19")
        path.unlink()
        until(word, lambda found: found == 404)
    assert running.wrong == []
