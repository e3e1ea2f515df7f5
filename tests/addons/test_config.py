"""addons/config: one file of facts, every error with its place, secrets never inline."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from addons.config import Config, ConfigError, SecretMissing, SecretRef, load_config
from addons.config.reference import default_text, keys, render

REPO = Path(__file__).resolve().parents[2]

BAD = """\
listen:
  prot: 80
  port: 99999
store: {url: "postgresql://u:hunter2@h/db"}
secrets:
  keys: [s3cr3t, {env: A, file: b}]
medai: {}
web: {password: 12345678}
mounts: {raw: x}
log: {level: loud}
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "config.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_committed_config_loads() -> None:
    """The committed config.yaml is valid as it is, and names its key by file."""
    config = load_config(REPO / "config.yaml")
    assert config.path == REPO / "config.yaml"
    assert config.secrets.keys[0].file == REPO / "data/secret.key"


@pytest.mark.parametrize("text", ["", "# nothing\n", "jobs:\n", "{}\n"])
def test_empty_config_is_all_defaults(tmp_path: Path, text: str) -> None:
    """Every key has a default; an empty section is the default section."""
    config = load_config(write(tmp_path, text))
    assert config.listen.port == 8080
    assert config.jobs.concurrency == 16


def test_relative_paths_start_at_the_config_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given and default paths alike are relative to the file, wherever the program was started."""
    monkeypatch.chdir("/")
    config = load_config(write(tmp_path, "exports: {dir: out}\n"))
    assert config.exports.dir == tmp_path / "out"
    assert config.media.dir == tmp_path / "data/media"
    assert config.store_url == f"sqlite:///{tmp_path}/data/ofapi.db"


def test_every_error_at_once_with_its_place(tmp_path: Path) -> None:
    """One load names all errors as file:line:column, unknown keys with the nearest known one."""
    with pytest.raises(ConfigError) as caught:
        load_config(write(tmp_path, BAD))
    places = [p.split("config.yaml:")[1].split(": ")[0] for p in caught.value.problems]
    assert places == ["2:3", "3:9", "4:14", "6:10", "6:18", "7:1", "8:17", "9:15", "10:14"]
    text = str(caught.value)
    assert "did you mean `port`?" in text
    assert "did you mean `media`?" in text


def test_secrets_never_appear_in_errors(tmp_path: Path) -> None:
    """A literal secret is refused without being repeated."""
    with pytest.raises(ConfigError) as caught:
        load_config(write(tmp_path, BAD))
    text = str(caught.value)
    assert "by reference" in text
    assert not any(secret in text for secret in ("hunter2", "s3cr3t", "12345678"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # not YAML, or not a mapping
        ("listen: [", "1:"),
        ("- listen\n", "1:1: a config is a mapping"),
        # twice the same key
        ("log: {}\nlog: {}\n", "2:1: duplicate key `log`"),
        # hosts, URLs, ranges, prefixes
        ("upstream: {base_url: onlyfans.com}", "http"),
        ("upstream: {base_url: 'https://u:p@onlyfans.com'}", "user or password"),
        ("upstream: {signer: nonsense}", "module:function"),
        ("listen: {trusted_proxies: [localhost]}", "address range"),
        ("proxy: {api_hosts: ['https://x']}", "host name"),
        ("store: {url: 'mysql://h/x'}", "sqlite:///"),
        ("web: {host: 0.0.0.0}", "cannot be"),
        ("secrets: {keys: []}", "at least one"),
        ("webhooks: {retry_schedule_s: []}", "at least 1"),
    ],
)
def test_bad_values_say_what_was_expected(tmp_path: Path, text: str, expected: str) -> None:
    """A value that cannot work stops the load with a text that says what would."""
    with pytest.raises(ConfigError, match=r"config\.yaml") as caught:
        load_config(write(tmp_path, text))
    assert expected in str(caught.value)


def test_missing_and_unreadable_files(tmp_path: Path) -> None:
    """A config that is not there, or is no text, is a ConfigError too."""
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path / "none.yaml")
    (tmp_path / "x.yaml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="UTF-8"):
        load_config(tmp_path / "x.yaml")


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


def test_every_key_has_help_and_default() -> None:
    """Each key is documented in one line that ends like a sentence, and has a default."""
    for name, field in keys():
        assert field.description, name
        assert field.description.endswith("."), name
        assert "\n" not in field.description, name
        assert default_text(field) != "–", name


def test_durations_and_sizes_name_their_unit() -> None:
    """A number that measures time or size says its unit in its name."""
    for name, field in keys():
        text = field.description or ""
        if "econds" in text and "URL" not in text:
            assert name.endswith("_s"), name
        if text.startswith(("Largest", "Most bytes")):
            assert name.endswith(("_bytes", "bytes_per_s", "max_limit")), name


def test_reference_page_is_current() -> None:
    """docs/config.md is what the model says: `python -m addons.config.reference > docs/config.md`."""
    assert (REPO / "docs/config.md").read_text(encoding="utf-8") == render()
