"""What all commands share: `--json`, `--config`, printing, errors and exit codes.

Exit codes: 0 done · 1 it failed or something is wrong · 2 wrong usage · 3 the config cannot be used · 130 interrupted.
With `--json`, standard output holds exactly one JSON value; an error is `{"error": code, "message": text, …}`.
"""

from __future__ import annotations

import functools
import inspect
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import unquote

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from addons.config import Config
    from ofapi_store.engine import Store
    from ofapi_store.secrets import SecretBox

REPO = Path(__file__).resolve().parents[2]
PIPED_WIDTH = 1000
EXIT_FAILED, EXIT_USAGE, EXIT_CONFIG, EXIT_INTERRUPTED = 1, 2, 3, 130


class CliError(Exception):
    """What a command could not do. `code` is stable for programs; the text says what failed and what to do."""

    def __init__(self, code: str, message: str, *, exit_code: int = EXIT_FAILED, **more: Any) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.exit_code = exit_code
        self.more = more

    def body(self) -> dict[str, Any]:
        return {"error": self.code, "message": self.message, **self.more}


@dataclass
class _State:
    json: bool = False
    config: Path | None = None
    emitted: bool = False


state = _State()


JsonOption = Annotated[bool, typer.Option("--json", help="One JSON value on standard output.")]
ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="Config file.  [default: $OFAPI_CONFIG, ./config.yaml, ours]"),
]


def take_shared(*, json_output: bool, config: Path | None) -> None:
    """Notes the shared options; given before the command's name or after it, they mean the same."""
    state.json = state.json or json_output
    state.config = config or state.config


def with_shared_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The command with `--json` and `--config` besides its own options."""
    signature = inspect.signature(function, eval_str=True)
    keyword = inspect.Parameter.KEYWORD_ONLY
    shared = [
        inspect.Parameter("json_output", keyword, default=False, annotation=JsonOption),
        inspect.Parameter("config_file", keyword, default=None, annotation=ConfigOption),
    ]

    @functools.wraps(function)
    def command(*args: Any, json_output: bool = False, config_file: Path | None = None, **kwargs: Any) -> Any:
        take_shared(json_output=json_output, config=config_file)
        return function(*args, **kwargs)

    parameters = [*signature.parameters.values(), *shared]
    command.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    return command


class App(typer.Typer):
    """A group of commands that take the shared options."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("no_args_is_help", True)
        kwargs.setdefault("add_completion", False)
        kwargs.setdefault("rich_markup_mode", None)
        super().__init__(**kwargs)

    def command(  # type: ignore[override]
        self, name: str | None = None, *, alias: str | None = None, **kwargs: Any
    ) -> Callable[[Any], Any]:
        """Registers a function as a command; `alias`: another name that works and is not listed."""
        register = super().command(name, **kwargs)
        again = super().command(alias, hidden=True, **kwargs) if alias is not None else None

        def decorate(function: Any) -> Any:
            shared = with_shared_options(function)
            if again is not None:
                again(shared)
            return register(shared)

        return decorate


def config_path() -> Path:
    """The config file that this call uses. Raises CliError if a named one is missing."""
    named = state.config or (Path(env) if (env := os.environ.get("OFAPI_CONFIG")) else None)
    if named is None:
        here = Path("config.yaml")
        return here if here.is_file() else REPO / "config.yaml"
    if not named.is_file():
        text = f"config file {named} does not exist; name an existing one with --config FILE"
        raise CliError("config_not_found", text, exit_code=EXIT_CONFIG)
    return named


def open_config(path: Path | None = None) -> Config:
    """Raises CliError with every problem of the file."""
    from addons.config import ConfigError, load_config

    try:
        return load_config(path or config_path())
    except ConfigError as e:
        raise CliError("config_invalid", str(e), exit_code=EXIT_CONFIG, problems=e.problems) from e


def sqlite_file(url: str) -> Path | None:
    """The file of an SQLite URL; None for another database."""
    head, _, rest = url.partition(":///")
    return Path(unquote(rest.partition("?")[0])) if head.startswith("sqlite") else None


@contextmanager
def opened_store(config: Config | None = None) -> Iterator[Store]:
    """The migrated store. Raises CliError when it is missing, unreachable or not migrated."""
    from addons.config import SecretMissing
    from ofapi_store.engine import Store
    from ofapi_store.errors import StoreError

    config = config or open_config()
    try:
        url = config.store_url
        file = sqlite_file(url)
        if file is not None and not file.exists():
            raise CliError("store_missing", f"the store {file} does not exist; make it with `ofapi db init`")
        store = Store.open(url)
    except (StoreError, SecretMissing) as e:
        raise CliError("store_unavailable", str(e)) from e
    try:
        yield store
    except StoreError as e:
        raise CliError("store_error", str(e)) from e
    finally:
        store.close()


def open_secrets(config: Config) -> SecretBox:
    """Raises CliError when a key is missing or malformed."""
    from addons.config import SecretMissing
    from ofapi_store.errors import SecretError
    from ofapi_store.secrets import SecretBox

    try:
        return SecretBox(config.secret_keys())
    except (SecretMissing, SecretError) as e:
        raise CliError("secret_key_missing", str(e)) from e


def plain(value: Any) -> Any:
    """What JSON cannot hold, as text: times as upstream shows them, paths, decimals."""
    if isinstance(value, datetime):
        return value.replace(microsecond=0).isoformat()
    if isinstance(value, Decimal):
        return float(value) if value % 1 else int(value)
    if isinstance(value, set | frozenset):
        return sorted(value)
    return str(value)


def emit(data: Any, human: Callable[[], None] | str | None = None) -> None:
    """The command's result: `data` as JSON with `--json`, else what `human` prints (text, or a function)."""
    state.emitted = True
    if state.json:
        sys.stdout.write(json.dumps(data, default=plain, ensure_ascii=False, indent=2) + "\n")
    elif callable(human):
        human()
    else:
        sys.stdout.write((human if human is not None else json.dumps(data, default=plain, indent=2)) + "\n")
    sys.stdout.flush()


def console(*, stderr: bool = False) -> Console:
    from rich.console import Console

    piped = not (sys.stderr if stderr else sys.stdout).isatty()  # no line is folded for `grep` and `awk`
    return Console(stderr=stderr, highlight=False, soft_wrap=piped, width=PIPED_WIDTH if piped else None)


def note(text: str) -> None:
    """A remark for people, on standard error, so that `--json` stays one value."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def table(
    rows: Sequence[Mapping[str, Any]], columns: Sequence[str], *, empty: str = "none", numbers: Sequence[str] = ()
) -> Callable[[], None]:
    """Prints rows as a table with these columns; `numbers` are those whose values stand at the right."""

    def show() -> None:
        from rich import box
        from rich.table import Table

        if not rows:
            sys.stdout.write(empty + "\n")
            return
        grid = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for column in columns:
            grid.add_column(column.replace("_", " "), overflow="fold", justify="right" if column in numbers else "left")
        for row in rows:
            grid.add_row(*(_cell(row.get(c)) for c in columns))
        console().print(grid)

    return show


def _cell(value: Any) -> str:
    from rich.markup import escape

    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple | set | frozenset):
        return escape(", ".join(map(str, sorted(value, key=str)))) or "–"
    return escape(str(plain(value)) if not isinstance(value, int | float | str) else str(value))
