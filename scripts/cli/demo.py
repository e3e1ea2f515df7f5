"""`ofapi demo`."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import tempfile
import threading
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any

import typer

from scripts.cli.children import Child, write_atomically
from scripts.cli.frame import REPO, CliError, note, state

if TYPE_CHECKING:
    from scripts.cli.stack import Stack

DEFAULT_PORT = 8080


def command(
    *,
    ready_file: Annotated[Path | None, typer.Option(help="Written when everything answers: one JSON object.")] = None,
    port: Annotated[int, typer.Option(help="Port of the gateway; 0 is any free one.")] = DEFAULT_PORT,
    data_dir: Annotated[
        Path | None, typer.Option(help="Folder for everything, a copy of the rules too.  [default: demo-data]")
    ] = None,
    upstream: Annotated[str | None, typer.Option(help="Root of another upstream; no simulator is started.")] = None,
    cdn: Annotated[str | None, typer.Option(help="Root of that upstream's CDN.")] = None,
    web: Annotated[bool, typer.Option(help="Whether mitmweb runs.")] = True,
) -> None:
    """Run a simulated OnlyFans and the gateway in front of it; Ctrl-C ends both."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with contextlib.ExitStack() as ends:
        folder = _folder(data_dir, ends)
        log = ends.enter_context((folder / "demo.log").open("wb"))
        rules = None if data_dir is not None else REPO / "rules"
        try:
            stack, more = _start(
                folder=folder, rules=rules, port=port, upstream=upstream, cdn=cdn, web=web, log=log, ends=ends
            )
        except RuntimeError as e:
            raise CliError("demo_failed", f"{e}; the last lines of {log.name}:\n{_tail(folder / 'demo.log')}") from e
        facts = {**stack.facts(), **more}
        if ready_file is not None:
            write_atomically(ready_file, json.dumps(facts, indent=2))
        _show(facts)
        while not stop.wait(0.5):
            if stack.gateway is not None and not stack.gateway.alive:
                raise CliError("demo_failed", f"the gateway ended; see {log.name}:\n{_tail(folder / 'demo.log')}")
        note("demo: stopping")


def _start(
    *,
    folder: Path,
    rules: Path | None,
    port: int,
    upstream: str | None,
    cdn: str | None,
    web: bool,
    log: IO[bytes],
    ends: contextlib.ExitStack,
) -> tuple[Stack, dict[str, Any]]:
    from scripts.cli.stack import Stack

    simulator = _simulator(folder, log, ends) if upstream is None else None
    stack = Stack.prepare(folder, rules_dir=rules, port=port, web=web, output=log)
    ends.callback(stack.stop)
    requests_log: Path | None = None
    if simulator is not None:
        found = simulator.wait_ready()
        upstream, cdn, requests_log = found["api_url"], found["cdn_url"], folder / "upstream.jsonl"
    assert upstream is not None
    stack.point_to(upstream.rstrip("/"), cdn.rstrip("/") if cdn else None)
    stack.run()
    log_name = str(requests_log) if requests_log else None
    return stack, {"upstream_url": upstream, "upstream_cdn_url": cdn, "upstream_log": log_name, "pid": os.getpid()}


def _simulator(folder: Path, log: IO[bytes], ends: contextlib.ExitStack) -> Child:
    ready, requests_log = folder / ".simulator-ready.json", folder / "upstream.jsonl"
    requests_log.unlink(missing_ok=True)
    args = ["-m", "scripts.cli.main", "simulate", "--ready-file", str(ready), "--log", str(requests_log)]
    child = Child("the simulator", args, ready_file=ready, output=log)
    ends.callback(child.stop)
    return child


def _folder(data_dir: Path | None, ends: contextlib.ExitStack) -> Path:
    """The demo's folder, locked; without `--data-dir` a second demo gets a temporary one."""
    folder = (data_dir or REPO / "demo-data").absolute()
    folder.mkdir(parents=True, exist_ok=True)
    if _locked(folder, ends):
        return folder
    if data_dir is not None:
        raise CliError("data_dir_in_use", f"another demo uses {folder}; end it, or name another folder with --data-dir")
    spare = Path(ends.enter_context(tempfile.TemporaryDirectory(prefix="ofapi-demo-")))
    note(f"demo: another demo uses {folder}; this one keeps its data in {spare} and deletes it at the end")
    _locked(spare, ends)
    return spare


def _locked(folder: Path, ends: contextlib.ExitStack) -> bool:
    import fcntl

    file = (folder / ".lock").open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return False
    ends.callback(file.close)
    return True


def _tail(path: Path, lines: int = 15) -> str:
    return "\n".join(path.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])


def _show(facts: dict[str, Any]) -> None:
    if state.json:
        sys.stdout.write(json.dumps(facts) + "\n")
        sys.stdout.flush()
        return
    url, key, account = facts["base_url"], facts["api_key"], facts["account"]
    origin = f"upstream  {facts['upstream_url']}" + (f"   log {facts['upstream_log']}" if facts["upstream_log"] else "")
    web = f"mitmweb   {facts['web_url']}   password {facts['web_password']}\n" if facts["web_url"] else ""
    sys.stdout.write(
        f"""
The gateway answers at {url} (raw dialect at /, envelope dialect at /api).

  curl -H 'Authorization: Bearer {key}' '{url}/{account}/fans/active?limit=2'
  curl -H 'Authorization: Bearer {key}' '{url}/api/{account}/chats?limit=2'

The official Python client (pip install onlyfans; it is in .venv already):

  from onlyfansapi import OnlyFansAPI
  client = OnlyFansAPI(api_key="{key}", base_url="{url}")
  print(client.fans.list_active("{account}", limit=2))

Fill the store, so that lastReplyAt and revenue show:

  .venv/bin/ofapi --config {facts["config"]} sync {account}

{web}proxy     {facts["proxy_url"]}   (for clients that set HTTPS_PROXY)
{origin}
rules     {facts["rules_dir"]}   (edits are loaded while running)
data      {facts["data_dir"]}

Ctrl-C ends everything.
"""
    )
    sys.stdout.flush()
