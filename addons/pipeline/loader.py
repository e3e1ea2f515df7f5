"""Rule files → `Plan`, or every problem of every file at once as `RulesInvalid`.

Stages: read (size, UTF-8) → YAML with places → models → steps of each rule → checks between rules (`check.py`). A rule
with a part that is wrong goes on through them without that part (`salvage.py`), so that all its errors are told at once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from addons.pipeline.check import Known, check_rules
from addons.pipeline.compile import RuleCompiler
from addons.pipeline.model_problems import validate
from addons.pipeline.plan import CompiledRule, Plan
from addons.pipeline.problems import Problem, RulesInvalid
from addons.pipeline.rule_files import rule_files
from addons.pipeline.rule_models import MediaRules, RuleModel
from addons.pipeline.rule_yaml import Place, Source, read_source
from addons.pipeline.salvage import salvaged_rule
from addons.pipeline.steps import StepAddon


@dataclass(slots=True)
class Loaded:
    """What a load found, right or wrong. `rules` holds what is left of wrong ones, too."""

    rules: list[tuple[CompiledRule, Source, tuple[str | int, ...]]] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    media: tuple[MediaRules, Source] | None = None
    files: list[str] = field(default_factory=list)
    digest: Any = field(default_factory=hashlib.sha256)


def load_rules(
    root: str | Path,
    *,
    addons: Mapping[str, StepAddon] | None = None,
    known: Known | None = None,
) -> Plan:
    """Load every rule file below `root`.

    Args:
        root: the folder `rules/`.
        addons: step addons by name; default: all registered.
        known: handler names and store tables; default: those of this installation (`Known.installed()`).

    Raises RulesInvalid with every problem of every file.
    """
    from addons.pipeline.registry import registry

    files = rule_files(Path(root))
    loaded = Loaded(problems=list(files.problems))
    compiler = RuleCompiler(registry() if addons is None else addons)
    for path in files.paths:
        _load_file(loaded, path, files.name(path), compiler)
    loaded.problems += check_rules(loaded.rules, known if known is not None else Known.installed())
    if loaded.problems:
        raise RulesInvalid(loaded.problems)
    rules = tuple(rule for rule, _, _ in loaded.rules)
    return Plan(
        rules=rules,
        version=loaded.digest.hexdigest(),
        loaded_at=datetime.now(UTC),
        media=loaded.media[0] if loaded.media else None,
        files=tuple(loaded.files),
        by_id={rule.id: rule for rule in rules},
    ).warm()


def _load_file(loaded: Loaded, path: Path, name: str, compiler: RuleCompiler) -> None:
    source, raw = read_source(path, name)
    loaded.files.append(name)
    loaded.digest.update(f"{name}\0{len(raw)}\0".encode() + raw)
    loaded.problems += source.problems
    if not raw.strip() and not source.problems:
        hint = "delete it, or write its rules; was it cut short when it was saved?"
        loaded.problems.append(Problem(name, 1, 1, "empty-file", "the file is empty", hint))
    if source.data is None:
        return
    for path_, entry in _entries(loaded, source):
        place = Place(source, path_, [])
        model = validate(RuleModel, entry, place, what="a rule")
        rule_id = entry.get("id") if isinstance(entry, dict) and isinstance(entry.get("id"), str) else None
        rule = model if model is not None else salvaged_rule(entry)
        if rule is not None:
            loaded.rules.append((compiler.compile(rule, place, whole=model is not None), source, path_))
        loaded.problems += [replace(problem, rule=rule_id) for problem in place.problems]


def _entries(loaded: Loaded, source: Source) -> list[tuple[tuple[str | int, ...], Any]]:
    """The rules of a file, each with its place; the `media:` section is taken on the way."""
    data = source.data
    if isinstance(data, list):
        return [((i,), entry) for i, entry in enumerate(data)]
    if not isinstance(data, dict):
        hint = "write `- id: …` entries, or `rules:` and `media:`"
        loaded.problems.append(source.problem((), "bad-value", "a rule file is a list of rules or a mapping", hint))
        return []
    for key in data:
        if key not in ("rules", "media"):
            hint = "a rule file is a list of rules, or a mapping with `rules` and `media`"
            text = f"unknown key `{key}` in a rule file"
            loaded.problems.append(source.problem((key,), "unknown-key", text, hint, key=True))
    if data.get("media") is not None:
        _take_media(loaded, source, data["media"])
    rules = data.get("rules")
    if rules is None:
        return []
    if not isinstance(rules, list):
        loaded.problems.append(
            source.problem(("rules",), "bad-value", "`rules` must be a list", "write `- id: …` entries")
        )
        return []
    return [(("rules", i), entry) for i, entry in enumerate(rules)]


def _take_media(loaded: Loaded, source: Source, data: Any) -> None:
    if loaded.media is not None:
        text = f"a second `media` section; the first is in {loaded.media[1].name}"
        loaded.problems.append(source.problem(("media",), "duplicate-key", text, "keep one of them", key=True))
        return
    model = validate(MediaRules, data, Place(source, ("media",), loaded.problems), what="`media`")
    if model is None:
        return
    from addons.media.identity import MediaIdentity

    try:
        MediaIdentity(model.hosts, model.identity_params)
    except ValueError as error:
        hint = "for example `cdn*.onlyfans.com`"
        loaded.problems.append(source.problem(("media", "hosts"), "bad-value", f"`media.hosts`: {error}", hint))
    else:
        loaded.media = (model, source)
