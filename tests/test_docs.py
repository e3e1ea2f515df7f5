"""The docs name everything that exists: config keys, commands, rule addons."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from addons.config.reference import keys
from addons.pipeline.registry import registry
from scripts.cli.main import build

REPO = Path(__file__).resolve().parents[1]
PAGES = [REPO / "README.md", REPO / "CHANGELOG.md", *sorted((REPO / "docs").glob("*.md"))]


def text_of(*names: str) -> str:
    return "\n".join((REPO / name).read_text(encoding="utf-8") for name in names)


def commands(group: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every command with its full name."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{path}{name} ")
        else:
            yield f"{path}{name}", command


def test_every_config_key_is_documented() -> None:
    """docs/config.md has each key by its full name."""
    page = text_of("docs/config.md")
    assert [name for name, _ in keys() if f"`{name}`" not in page] == []


def test_every_rule_addon_is_documented() -> None:
    """docs/rules.md has a section for each step addon."""
    page = text_of("docs/rules.md")
    assert [name for name in registry() if f"### {name}\n" not in page] == []


def test_every_top_level_command_is_in_the_readme() -> None:
    """README names each command of ofapi."""
    page = text_of("README.md")
    group = get_command(build())
    assert [name for name in group.commands if not re.search(rf"`(ofapi )?{name}`", page)] == []  # type: ignore[attr-defined]


def test_commands_that_the_docs_name_exist() -> None:
    """`ofapi …` in a code block or in backticks is a command."""
    known = {name for name, _ in commands(get_command(build()))}
    groups = {name.split()[0] for name in known}
    named = {
        " ".join(m.group(1).split()[:2])
        for page in PAGES
        for m in re.finditer(
            r"(?:^|[`;&] *)ofapi(?: --config \S+)? ([a-z][a-z-]*(?: [a-z][a-z-]+)?)",
            page.read_text(encoding="utf-8"),
            re.M,
        )
    }
    wrong = {n for n in named if n not in known and n.split()[0] not in known and n not in groups}
    assert wrong == set()


@pytest.mark.parametrize("name", sorted(name for name, _ in commands(get_command(build()))))
def test_every_command_has_help_and_json(name: str) -> None:
    """Each command says in a sentence what it does, explains every option, and takes --json and --config."""
    command = dict(commands(get_command(build())))[name]
    assert command.help, name
    options = {o for p in command.params for o in p.opts}
    assert {"--json", "--config"} <= options, name
    assert [p.name for p in command.params if not getattr(p, "help", None)] == []


def test_links_between_pages_lead_somewhere() -> None:
    """Every relative link of the docs names a file that exists."""
    broken = [
        f"{page.name}: {target}"
        for page in PAGES
        for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
        if not (page.parent / target).exists()
    ]
    assert broken == []


def test_shell_entries_that_the_docs_name_exist() -> None:
    """`scripts/…` in the docs is a file or folder of the repository."""
    named = {m for page in PAGES for m in re.findall(r"\bscripts/[a-z_]+\b", page.read_text(encoding="utf-8"))}
    assert [name for name in named if not (REPO / name).exists()] == []
