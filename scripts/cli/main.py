"""The operator's command `ofapi`."""

from __future__ import annotations

import importlib
import json
import sys
from typing import Any

import typer

from scripts.cli.frame import (
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    App,
    CliError,
    ConfigOption,
    JsonOption,
    note,
    state,
    take_shared,
)

GROUPS: dict[str, str] = {
    "rules": "Check, list and explain the rules.",
    "teams": "Teams, who own keys and accounts, and their credits.",
    "keys": "API keys.",
    "accounts": "Connected OnlyFans accounts.",
    "jobs": "Work that happens later: look, retry, cancel.",
    "media": "Cached media files: look, purge, verify.",
    "exports": "Data exports: look, cancel.",
    "links": "Tracking, trial and smart links: look, report, chart.",
    "webhooks": "Webhooks: look, try, redeliver, follow events live.",
    "db": "Make, upgrade, check and back up the store.",
}
"""Modules `scripts.cli.<name>` with an `app`; the name is the command's."""

COMMANDS: tuple[str, ...] = ("demo", "run", "sync", "simulate", "doctor")
"""Modules `scripts.cli.<name>` with a function `command`."""

EPILOG = "Exit codes: 0 done, 1 it failed or something is wrong, 2 wrong usage, 3 the config cannot be used, 130 interrupted."


def _globals(json_output: JsonOption = False, config: ConfigOption = None) -> None:
    take_shared(json_output=json_output, config=config)


def build() -> App:
    """The command tree. The modules import what they need when they run, so that `--help` is quick."""
    app = App(help="Self-hosted gateway to OnlyFans for agencies and their tools.", epilog=EPILOG)
    app.callback()(_globals)
    for name in COMMANDS:
        module = importlib.import_module(f"scripts.cli.{name}")
        app.command(name)(module.command)
    for name, text in GROUPS.items():
        group = importlib.import_module(f"scripts.cli.{name}").app
        group.callback()(_globals)
        app.add_typer(group, name=name, help=text)
    return app


def _fail(body: dict[str, Any], code: int) -> int:
    if state.json and not state.emitted:
        sys.stdout.write(json.dumps(body, ensure_ascii=False) + "\n")
    else:
        note(f"ofapi: {body['message']}")
    return code


def run(argv: list[str]) -> int:
    """Runs one command line, returns the exit code."""
    state.json, state.config, state.emitted = "--json" in argv, None, False
    from typer.main import get_command

    command = get_command(build())
    try:
        result = command.main(args=argv, prog_name="ofapi", standalone_mode=False)
    except BrokenPipeError:
        raise
    except Exception as e:
        return _failed(e)
    if result == EXIT_INTERRUPTED:  # typer's form of Ctrl-C
        return _failed(KeyboardInterrupt())
    return int(result or 0) if isinstance(result, int) else 0


def _failed(error: BaseException) -> int:
    """Tells an error as its kind wants it, returns the exit code. Raises it again where only a traceback helps."""
    if isinstance(error, CliError):
        return _fail(error.body(), error.exit_code)
    if isinstance(error, KeyboardInterrupt | typer.Abort):
        return _fail({"error": "interrupted", "message": "interrupted"}, EXIT_INTERRUPTED)
    if isinstance(error, OSError):
        return _fail({"error": "system_error", "message": _said(error)}, EXIT_FAILED)
    if hasattr(error, "format_message") and hasattr(error, "exit_code"):  # typer's usage errors
        return _usage(error)
    if state.json:
        return _fail({"error": "unexpected", "message": f"{type(error).__name__}: {error}"}, EXIT_FAILED)
    raise error


def _said(error: OSError) -> str:
    """What the system refused, by the file's name where there is one."""
    text = error.strerror or str(error)
    return f"{error.filename}: {text}" if error.filename is not None else text


def _usage(error: Any) -> int:
    if not state.json:
        error.show()
        return int(error.exit_code)
    return _fail({"error": "usage", "message": error.format_message()}, int(error.exit_code))


def main() -> None:
    try:
        code = run(sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:  # `ofapi … | head`
        sys.stderr.close()
        code = EXIT_FAILED
    sys.exit(code)


if __name__ == "__main__":
    main()
