"""Secrets by reference: their text when it is used, and where it was looked for when it is not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from addons.config import Config, SecretMissing, SecretRef


def test_secret_references_resolve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """{env} and {file} give the secret's text; a missing one says where it was looked for."""
    monkeypatch.setenv("OFAPI_TEST_SECRET", " abc ")
    (tmp_path / "key").write_text("def\n")
    config = Config.build({"secrets": {"keys": [{"env": "OFAPI_TEST_SECRET"}, {"file": "key"}]}}, base=tmp_path)
    assert config.secret_keys() == ["abc", "def"]
    with pytest.raises(SecretMissing, match="OFAPI_NONE is not set"):
        SecretRef(env="OFAPI_NONE").resolve()
    with pytest.raises(SecretMissing, match="does not exist"):
        SecretRef(file=tmp_path / "none").resolve()
    (tmp_path / "empty").touch()
    with pytest.raises(SecretMissing, match="is empty"):
        SecretRef(file=tmp_path / "empty").resolve()
