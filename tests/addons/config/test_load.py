"""Reading config.yaml: every error with its place, secrets never inline or repeated."""

from __future__ import annotations

from pathlib import Path

import pytest

from addons.config import ConfigError, load_config

REPO = Path(__file__).resolve().parents[3]

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
