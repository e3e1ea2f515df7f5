"""scripts/cli/doctor_versions: Python and packages beside what this program needs."""

from __future__ import annotations

import importlib.metadata
import platform

import pytest

from scripts.cli.doctor_versions import versions


def statuses() -> dict[str, str]:
    return {f.message.split()[0] if f.check == "package" else f.check: f.status for f in versions()}


def test_this_installation_is_right() -> None:
    """What scripts/setup installs is what the program needs."""
    assert set(statuses().values()) == {"ok"}


@pytest.mark.parametrize(("have", "status"), [("11.0.2", "wrong"), ("13.0.0", "wrong"), ("12.9.9", "warning")])
def test_versions_of_mitmproxy(monkeypatch: pytest.MonkeyPatch, have: str, status: str) -> None:
    """Outside of the range that the program needs is wrong; inside, but off the lock, is a warning."""
    real = importlib.metadata.version
    monkeypatch.setattr(importlib.metadata, "version", lambda name: have if name == "mitmproxy" else real(name))
    assert statuses()["mitmproxy"] == status


def test_a_missing_package_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """A package that is not installed is named."""
    real = importlib.metadata.version

    def version(name: str) -> str:
        if name == "orjson":
            raise importlib.metadata.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    assert statuses()["orjson"] == "wrong"


def test_an_old_python_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python 3.11 stops at an unsafe mitmproxy."""
    monkeypatch.setattr(platform, "python_version", lambda: "3.11.9")
    assert statuses()["python"] == "wrong"
