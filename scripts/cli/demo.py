"""`ofapi demo`."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import signal
import sys
import tempfile
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Annotated, Any

import typer

from scripts.cli.children import Child, Stopped, drop_stale, write_atomically
from scripts.cli.doctor_ports import bind_problem
from scripts.cli.frame import EXIT_USAGE, REPO, CliError, note, state

DEFAULT_PORT = 8080
MAILS = "mails"


def command(
    *,
    ready_file: Annotated[Path | None, typer.Option(help="There while everything answers: one JSON object.")] = None,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port of the gateway; 0: any free ones, here and elsewhere.")
    ] = DEFAULT_PORT,
    data_dir: Annotated[
        Path | None, typer.Option(help="Folder for everything, a copy of the rules too.  [default: demo-data]")
    ] = None,
    upstream: Annotated[str | None, typer.Option(help="Root of another upstream; no simulator is started.")] = None,
    cdn: Annotated[str | None, typer.Option(help="Root of that upstream's CDN.")] = None,
    web: Annotated[bool, typer.Option(help="Whether mitmweb runs.")] = True,
) -> None:
    """Run a simulated OnlyFans and the gateway in front of it."""
    if cdn is not None and upstream is None:
        raise CliError("usage", "--cdn belongs to an --upstream; the simulator has its own", exit_code=EXIT_USAGE)
    if port and (problem := bind_problem("127.0.0.1", port)) is not None:
        text = f"port {port} cannot be listened on: {problem.strerror}; free it, or take any free one with --port 0"
        raise CliError("port_taken", text)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with contextlib.ExitStack() as ends:
        folder = _folder(data_dir, ends)
        if ready_file is not None:
            drop_stale(ready_file)
        demo = Demo(folder, ends.enter_context((folder / "demo.log").open("wb")), ends, stop)
        try:
            demo.start(rules=None if data_dir is not None else REPO / "rules", port=port, web=web, at=(upstream, cdn))
            if ready_file is not None:
                text = json.dumps(demo.facts, indent=2)
                write_atomically(ready_file, text)
                ends.callback(_drop_ours, ready_file, text)
            _show(demo.facts)
            demo.watch()
        except Stopped:
            raise KeyboardInterrupt from None
        except RuntimeError as e:
            log = folder / "demo.log"
            raise CliError("demo_failed", f"{e}; the last lines of {log}:\n{_tail(log)}") from e
        note("demo: stopping")


@dataclass
class Demo:
    """The processes of one demo. `ends` stops what was started, whatever happens."""

    folder: Path
    log: IO[bytes]
    ends: contextlib.ExitStack
    stop: threading.Event
    children: list[Child] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    def start(self, *, rules: Path | None, port: int, web: bool, at: tuple[str | None, str | None]) -> None:
        """Everything answering, and `facts`. Raises RuntimeError, CliError, Stopped."""
        from scripts.cli.stack import Stack

        upstream, cdn = (url.rstrip("/") if url else None for url in at)
        requests_log: Path | None = None
        simulator = self._simulator() if upstream is None else None
        config = self._mail_server() if simulator is not None else None
        stack = Stack.prepare(self.folder, rules_dir=rules, config=config, port=port, web=web, output=self.log)
        self.ends.callback(stack.stop)
        if simulator is not None:
            found = simulator.wait_ready(stop=self.stop)
            upstream, cdn, requests_log = found["api_url"], found["cdn_url"], self.folder / "upstream.jsonl"
        assert upstream is not None
        stack.point_to(upstream, cdn)
        stack.run(stop=self.stop)
        assert stack.gateway is not None
        self.children.append(stack.gateway)
        log = str(requests_log) if requests_log else None
        more = {"upstream_url": upstream, "upstream_cdn_url": cdn, "upstream_log": log, "pid": os.getpid()}
        mails = str(self.folder / MAILS) if simulator is not None else None
        self.facts = {**stack.facts(), **more, "mail_dir": mails}

    def _mail_server(self) -> dict[str, Any]:
        """The creators' mailbox, in `mails`, and the config by which the gateway sends there."""
        from scripts.simulator.mail import MailSink

        shutil.rmtree(self.folder / MAILS, ignore_errors=True)
        server, reference = self.ends.enter_context(MailSink(self.folder / MAILS)), self.folder / ".smtp-url"
        write_atomically(reference, server.url)
        return {"auth": {"smtp_url": {"file": str(reference)}}}

    def _simulator(self) -> Child:
        ready, requests_log = self.folder / ".simulator-ready.json", self.folder / "upstream.jsonl"
        requests_log.unlink(missing_ok=True)
        args = ["-m", "scripts.cli.main", "simulate", "--ready-file", str(ready), "--log", str(requests_log)]
        child = Child("the simulator", args, ready_file=ready, output=self.log)
        self.ends.callback(child.stop)
        self.children.append(child)
        return child

    def watch(self) -> None:
        """Until `stop` is set. Raises RuntimeError when a process ends by itself."""
        while not self.stop.wait(0.5):
            for child in self.children:
                if not child.alive:
                    raise RuntimeError(f"{child.name} ended")


def _drop_ours(ready_file: Path, text: str) -> None:
    """Nothing answers any more, so the file that says so goes, unless another demo has written its own."""
    with contextlib.suppress(OSError):
        if ready_file.is_file() and ready_file.read_text(encoding="utf-8") == text:
            drop_stale(ready_file)


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


def _ofapi() -> str:
    """This command as it can be pasted into the shell that started us."""
    path = REPO / ".venv/bin/ofapi"
    if not path.exists():
        return "ofapi"
    return shlex.quote(str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path))


def _show(facts: dict[str, Any]) -> None:
    state.emitted = True
    if state.json:
        sys.stdout.write(json.dumps(facts) + "\n")
        sys.stdout.flush()
        return
    url, key, account = facts["base_url"], facts["api_key"], facts["account"]
    origin = f"upstream  {facts['upstream_url']}" + (f"   log {facts['upstream_log']}" if facts["upstream_log"] else "")
    origin += f"\nmails     {facts['mail_dir']}" if facts["mail_dir"] else ""
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

  {_ofapi()} --config {shlex.quote(facts["config"])} sync {account}

{web}proxy     {facts["proxy_url"]}   (for clients that set HTTPS_PROXY; they trust {facts["ca_file"]})
{origin}
rules     {facts["rules_dir"]}   (edits are loaded while running)
data      {facts["data_dir"]}

Ctrl-C ends everything.
"""
    )
    sys.stdout.flush()
