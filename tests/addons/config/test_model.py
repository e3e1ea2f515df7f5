"""The config as a value: built from plain data, the same for the whole process."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from addons.config import Config
from addons.config.model import sections


def test_store_url_by_reference(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A URL with a password comes by reference and is resolved when used."""
    monkeypatch.setenv("OFAPI_TEST_URL", "postgresql+psycopg://u:p@h/db")
    config = Config.build({"store": {"url": {"env": "OFAPI_TEST_URL"}}}, base=tmp_path)
    assert config.store_url == "postgresql+psycopg://u:p@h/db"
    assert "u:p" not in repr(config)


def test_config_does_not_change_after_the_load() -> None:
    """Settings are fixed while running; nobody edits a shared config by accident."""
    with pytest.raises(ValidationError):
        Config.build({}).listen.port = 1  # type: ignore[misc]


def test_default_paths_start_at_the_base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Defaults and given paths alike; without a base, at the working directory."""
    built = Config.build({"exports": {"dir": "out"}}, base=tmp_path)
    assert (built.exports.dir, built.media.dir) == (tmp_path / "out", tmp_path / "data/media")
    monkeypatch.chdir(tmp_path)
    assert Config.build().media.dir == tmp_path / "data/media"


def test_a_built_config_comes_from_no_file() -> None:
    """`path` is the loader's to know."""
    assert Config.build({}).path is None


def test_every_section_has_its_defaults_in_the_same_place() -> None:
    """What a section says explicitly as empty is what it is when it is left out."""
    assert set(sections()) == set(Config.model_fields) - {"public_url"}
    assert Config.build(sections()) == Config.build({})


@pytest.mark.parametrize("data", [{"lisen": {}}, {"listen": {"port": -1}}, {"public_url": "gw.test"}])
def test_what_no_deployment_can_mean_is_an_error(data: dict[str, object]) -> None:
    """Unknown sections, impossible numbers, URLs that are none: also where no file is read."""
    with pytest.raises(ValidationError):
        Config.build(data)
