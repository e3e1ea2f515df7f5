"""`ofapi run`."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scripts.cli.children import Child, drop_stale, end_with_parent, write_atomically
from scripts.cli.frame import CliError, config_path, emit, note, open_config, state

if TYPE_CHECKING:
    from addons.config import Config

RESTART_S = 2.0


def command(
    web: Annotated[bool, typer.Option("--web", help="Run mitmweb too, as if web.enabled.")] = False,
    worker: Annotated[bool, typer.Option("--worker", help="Run a worker alone, no gateway.")] = False,
    ready_file: Annotated[Path | None, typer.Option(help="Written when it answers: addresses as JSON.")] = None,
) -> None:
    """Run the gateway and its worker until SIGTERM or Ctrl-C."""
    from addons.config import SecretMissing
    from addons.pipeline.problems import RulesInvalid
    from ofapi_store.errors import StoreError
    from scripts.cli.logs import set_up_logs
    from scripts.cli.setup import prepare

    end_with_parent()
    if ready_file is not None:
        drop_stale(ready_file)
    config = open_config()
    set_up_logs(config.log)
    for sentence in prepare(config).sentences:
        note(f"run: {sentence}")
    job = (
        run_worker(config, ready_file)
        if worker
        else run_gateway(config, web=web or config.web.enabled, ready_file=ready_file)
    )
    try:
        asyncio.run(job)
    except RulesInvalid as e:
        raise CliError("rules_invalid", f"the rules cannot be used, so nothing starts:\n{e}") from e
    except (StoreError, SecretMissing) as e:
        raise CliError("start_failed", str(e)) from e


async def run_worker(config: Config, ready_file: Path | None = None) -> None:
    """One worker until a signal."""
    from addons.assemble import assembled
    from addons.jobs.worker import Worker

    async with assembled(config) as services:
        worker = Worker(services)
        _on_signals(worker.stop)
        _serve_metrics(config, worker)
        body = {"worker": worker.name, "pid": os.getpid()}
        if ready_file is not None:
            write_atomically(ready_file, json.dumps(body))
        if state.json:
            emit(body)
        await worker.run()


def _serve_metrics(config: Config, worker: Any) -> None:
    if config.jobs.metrics_port is None:
        return
    from prometheus_client import start_http_server

    server, _ = start_http_server(config.jobs.metrics_port, addr="127.0.0.1", registry=worker.metrics.registry)
    note(f"run: worker metrics at http://127.0.0.1:{server.server_port}/metrics")


async def run_gateway(config: Config, *, web: bool, ready_file: Path | None) -> None:
    """The gateway until a signal, with its worker as the config says."""
    from addons.engine.launch import StartFailed, run

    stop = asyncio.Event()
    _on_signals(stop.set)

    def ready(found: Any) -> None:
        if ready_file is not None:
            write_atomically(ready_file, json.dumps(addresses(found)))
        if state.json:
            emit(addresses(found))
            return
        for name, value in addresses(found).items():
            if name != "web_password" or ready_file is None:
                note(f"run: {name} {value}")

    async with contextlib.AsyncExitStack() as ends:
        if config.jobs.worker == "process":
            ends.push_async_callback(_end, asyncio.create_task(_keep_worker(stop)))
        try:
            await run(config, web=web, ready=ready, stop=stop)
        except StartFailed as e:
            raise CliError("start_failed", str(e)) from e


async def _keep_worker(stop: asyncio.Event) -> None:
    """A worker process of our own; a new one when it ends."""
    args = ["-m", "scripts.cli.main", "--config", str(config_path()), "run", "--worker"]
    while not stop.is_set():
        child = await asyncio.to_thread(Child, "the worker", args)
        try:
            await asyncio.to_thread(child.process.wait)
            note(f"run: the worker ended with code {child.process.returncode}; starting another")
            await asyncio.sleep(RESTART_S)
        finally:
            child.stop()


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def _on_signals(stop: Any) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop)


def addresses(found: Any) -> dict[str, str]:
    """URLs of what listens, and the one-time password of mitmweb."""
    out = {"base_url": _url(found.listen)}
    if found.proxy:
        out["proxy_url"] = _url(found.proxy)
    if found.web:
        out["web_url"] = _url(found.web)
        if found.web_password:
            out["web_password"] = found.web_password
    return out


def _url(address: tuple[str, int]) -> str:
    host, port = address[0], address[1]
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
    return f"http://{shown}:{port}"
