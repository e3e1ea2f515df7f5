"""Python and packages, beside what pyproject.toml asks for and what requirements.lock names."""

from __future__ import annotations

import importlib.metadata
import platform
import sys
import tomllib
from collections.abc import Iterator
from typing import Any

from scripts.cli.findings import Finding
from scripts.cli.frame import REPO

PACKAGES = ("mitmproxy", "SQLAlchemy", "psycopg", "pydantic", "aiohttp", "msgspec", "orjson", "cryptography")


def versions() -> Iterator[Finding]:
    """One finding for Python and for each package: wrong outside of what this program needs, a warning off the lock."""
    python, wanted = platform.python_version(), str(_project().get("requires-python", ""))
    if _fits(python, wanted):
        yield Finding("python", "ok", f"{python} at {sys.executable}")
    else:
        mend = "install Python 3.13, then PYTHON=/path/to/python3.13 scripts/setup"
        yield Finding("python", "wrong", f"{python} at {sys.executable}, this program needs {wanted}", mend)
    needed, locked = _needed(), _locked()
    for name in PACKAGES:
        yield _package(name, needed.get(name.lower(), ""), locked.get(name.lower()))


def _package(name: str, wanted: str, locked: str | None) -> Finding:
    try:
        have = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return Finding("package", "wrong", f"{name} is not installed", "run scripts/setup")
    if not _fits(have, wanted):
        return Finding("package", "wrong", f"{name} {have}, this program needs {wanted}", "run scripts/setup")
    if locked and locked != have:
        return Finding("package", "warning", f"{name} {have}, requirements.lock has {locked}", "run scripts/setup")
    return Finding("package", "ok", f"{name} {have}")


def _fits(have: str, wanted: str) -> bool:
    from packaging.specifiers import SpecifierSet

    return SpecifierSet(wanted).contains(have, prereleases=True)


def _project() -> dict[str, Any]:
    path = REPO / "pyproject.toml"
    found: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))["project"] if path.exists() else {}
    return found


def _needed() -> dict[str, str]:
    from packaging.requirements import Requirement

    found = [Requirement(text) for text in _project().get("dependencies", [])]
    return {r.name.lower(): str(r.specifier) for r in found}


def _locked() -> dict[str, str]:
    lock = REPO / "requirements.lock"
    lines = lock.read_text(encoding="utf-8").splitlines() if lock.exists() else []
    pairs = [line.split(";")[0].strip().partition("==") for line in lines if "==" in line]
    return {name.lower(): version for name, _, version in pairs}
