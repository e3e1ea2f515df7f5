"""What can be wrong with rule files: one `Problem` per finding, each with its place, and `RulesInvalid` for all of them.

A problem reads `rules/fans.yaml:12:7: unknown key `stepz` in a rule [unknown-key]`, and a second line says what to do.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

CODES: dict[str, str] = {
    "file-unreadable": "the file cannot be read, is too large, or is not UTF-8",
    "empty-file": "the file holds nothing, not even a comment, or the folder lost its last file: most likely cut short",
    "yaml-syntax": "the file is not YAML, or uses YAML that rule files do not allow (tags, several documents)",
    "yaml-bomb": "nesting or aliases blow the file up beyond its limits",
    "duplicate-key": "one mapping has a key twice",
    "unknown-key": "a key that does not exist there",
    "missing-key": "a required key is absent",
    "bad-value": "a value of a wrong type or outside of what is allowed",
    "bad-template": "a `METHOD /path/{parameter}` that cannot be parsed",
    "bad-combination": "keys that exclude or require each other",
    "bad-jsonpath": "a JSONPath that cannot be parsed, or that cannot be used there",
    "bad-regex": "a regular expression that does not compile",
    "bad-step": "parameters with which a step cannot work",
    "duplicate-id": "two rules have one id",
    "overlap": "two rules of equal rank can match one path",
    "unreachable": "another rule always wins",
    "unknown-addon": "no addon of that name is registered",
    "unknown-handler": "no handler of that name is registered",
    "unknown-table": "the store has no such table for rules",
    "unknown-column": "the table has no such column",
    "unknown-parameter": "a template names a parameter that the path does not have",
    "read-after-write": "a step reads what an earlier step of the rule writes",
    "unexpected": "loading failed in a way that it should not; the gateway's log says more",
}


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One finding. `line` and `column` count from 1. `hint` says what to do."""

    file: str
    line: int
    column: int
    code: str
    message: str
    hint: str = ""
    rule: str | None = None

    @property
    def where(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"

    def __str__(self) -> str:
        text = f"{self.where}: {self.message} [{self.code}]"
        return f"{text}\n    {self.hint}" if self.hint else text

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


class RulesInvalid(Exception):
    """Rule files were refused; `problems` has every finding of every file, in file order."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = sorted(set(problems), key=lambda p: (p.file, p.line, p.column, p.code, p.message))
        super().__init__("\n".join(str(p) for p in self.problems))


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that looks most like `word`, if any does."""
    found = difflib.get_close_matches(str(word), sorted(known), n=1, cutoff=0.55)
    return found[0] if found else None


def did_you_mean(word: str, known: Sequence[str] | Iterable[str], *, what: str = "known") -> str:
    """A hint: the nearest known word, else all of them (at most 30)."""
    words = sorted(known)
    near = nearest(word, words)
    if near:
        return f"did you mean `{near}`?"
    if not words:
        return f"nothing is {what} here"
    more = ", …" if len(words) > 30 else ""
    return f"{what}: {', '.join(words[:30])}{more}"
