"""`ofapi rules`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scripts.cli.frame import EXIT_FAILED, EXIT_USAGE, App, CliError, console, emit, open_config, table

if TYPE_CHECKING:
    from addons.pipeline.plan import Plan

app = App()
SOURCES = ("hybrid", "computed", "passthrough", "media")
DirOption = Annotated[
    Path | None, typer.Option("--dir", metavar="DIR", help="Folder of the rules.  [default: of the config]")
]


def _folder(folder: Path | None) -> Path:
    return folder if folder is not None else Path(open_config().rules.dir)


def _load(folder: Path | None) -> Plan:
    """Raises CliError with every problem."""
    from addons.pipeline.loader import load_rules
    from addons.pipeline.problems import RulesInvalid

    try:
        return load_rules(_folder(folder))
    except RulesInvalid as e:
        raise CliError("rules_invalid", str(e), errors=[p.as_json() for p in e.problems]) from e


@app.command("check")
def check(folder: DirOption = None) -> None:
    """Check all rule files. Every error as file:line:column, and exit code 1 if there is one."""
    from addons.pipeline.loader import load_rules
    from addons.pipeline.problems import RulesInvalid
    from addons.pipeline.registry import registry

    root = _folder(folder)
    failed = [{"entry_point": name, "reason": reason} for name, reason in registry().failed.items()]
    try:
        plan = load_rules(root)
    except RulesInvalid as e:
        errors = [p.as_json() for p in e.problems]
        text = f"{e}\n{len(errors)} error{'s' if len(errors) != 1 else ''}; the rules in use stay as they are"
        emit({"ok": False, "errors": errors, "failed_addons": failed}, text)
        raise typer.Exit(EXIT_FAILED) from None
    counts = dict(sorted(plan.counts.items()))
    shown = ", ".join(f"{n} {source}" for source, n in counts.items())
    text = f"{len(plan.rules)} rules in {len(plan.files)} files are right ({shown}); version {plan.version[:12]}"
    text += "".join(f"\nwarning: addon {f['entry_point']} cannot be loaded: {f['reason']}" for f in failed)
    result = {"ok": True, "errors": [], "failed_addons": failed, "rules": len(plan.rules), "files": list(plan.files)}
    emit({**result, "version": plan.version, "counts": counts}, text)


@app.command("list")
def list_(
    folder: DirOption = None,
    source: Annotated[str | None, typer.Option(help=f"Only rules of this source: {', '.join(SOURCES)}.")] = None,
) -> None:
    """All rules with their routes."""
    if source is not None and source not in SOURCES:
        raise CliError("bad_value", f"--source is one of {', '.join(SOURCES)}, not {source!r}", exit_code=EXIT_USAGE)
    rows: list[dict[str, Any]] = [
        {
            "id": rule.id,
            "source": rule.source,
            "match": rule.spec.match,
            "upstream": rule.spec.upstream or rule.spec.handler,
            "state": rule.spec.state,
            "where": rule.where,
            "why": rule.spec.why,
        }
        for rule in _load(folder).rules
        if source in (None, rule.source)
    ]
    emit(rows, table(rows, ["id", "source", "match", "upstream", "where"], empty="no rules"))


@app.command("explain")
def explain_(
    method: Annotated[str, typer.Argument(help="GET, POST, …")],
    target: Annotated[
        str,
        typer.Argument(
            help="Path with query, for example /acct_x/fans/active?limit=5, or a URL; one of upstream's, too."
        ),
    ],
    folder: DirOption = None,
) -> None:
    """Say which rule serves a request, and why. Also what would go upstream and what happens to the answer."""
    from addons.pipeline.explain import explain

    given = target if target.startswith("/") or "://" in target else f"/{target}"
    found = explain(_load(folder), method.upper(), given, open_config())
    if found["winner"] is not None and folder is None:
        found["winner"]["credits"] = _price(found["winner"])
    emit(found, lambda: _show(found))


def _price(winner: dict[str, Any]) -> int:
    """What the request costs here: the rule's own figure, else the config's."""
    from addons.pipeline.credits import Prices

    return Prices(open_config().credits).of(winner["id"], winner["credits"])


def _show(found: dict[str, Any]) -> None:
    error, winner = found.get("error"), found["winner"]
    if winner is not None:
        console().print(f"[bold]{winner['id']}[/bold] · {winner['source']} · {winner['where']}", soft_wrap=True)
        _show_winner(found, winner)
    else:
        sys.stdout.write(f"{found['request']}: no rule\n" if error is None else f"{found['request']}\n")
    if error is not None:
        sys.stdout.write(f"refused: {error['status']} {error['code']}: {error['message']}\n")
    if "default" in found:
        sys.stdout.write(f"without a rule: {found['default']}\n")
    if "index" in found:
        index = found["index"]
        text = f"the store chooses the rows (`{index['handler']}`, for `{index['when']}`); upstream is asked for each {{id}}"
        sys.stdout.write(f"index: {text}\n")
    if found["upstream"]:
        sys.stdout.write(f"upstream: {found['upstream']['method']} {found['upstream']['target']}\n")
    if winner is not None:
        _show_effects(found, winner)
        sys.stdout.write("\ncandidates:\n")
        table(found["candidates"], ["rule", "match", "reason", "where"])()
    elif "nearest" in found:
        sys.stdout.write("\nnearest rules:\n")
        table(found["nearest"], ["rule", "match", "distance", "reason", "where"], empty="no rules")()


def _show_winner(found: dict[str, Any], winner: dict[str, Any]) -> None:
    sys.stdout.write(f"{winner['why']}\n")
    for name, value in (
        ("parameters", found["params"]),
        ("handler", winner["handler"]),
        ("credits", winner["credits"]),
        ("checks", winner["checks"]),
    ):
        if value not in (None, [], {}):
            sys.stdout.write(f"{name}: {_inline(value)}\n")


def _show_effects(found: dict[str, Any], winner: dict[str, Any]) -> None:
    for observed in winner["observes"]:
        sys.stdout.write(f"observes {observed}\n")
    _show_steps(found["steps"])


def _inline(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{k}={v}" for k, v in value.items())
    return ", ".join(value) if isinstance(value, list) else str(value)


def _show_steps(blocks: dict[str, Any]) -> None:
    for block, steps in blocks.items():
        name = "envelope" if block == "present" else block
        for number, step in enumerate(steps, 1):
            tables = "; ".join(f"from {source}: {', '.join(columns)}" for source, columns in step["tables"].items())
            text = f"{name} {number}: {step['id']} writes {', '.join(step['writes']) or 'nothing'}"
            sys.stdout.write(f"{text}{f' ({tables})' if tables else ''}\n")
