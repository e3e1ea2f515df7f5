"""scripts/cli: what an operator does, with --json as programs see it."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from addons.config import load_config
from ofapi_store.queries import accounts
from scripts.cli import main
from scripts.cli.frame import open_secrets, opened_store

Ofapi = Callable[..., Any]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(
        f"rules: {{dir: {main.__file__.rsplit('/', 3)[0]}/rules}}\nupstream: {{base_url: 'http://127.0.0.1:9'}}\n"
    )
    return path


@pytest.fixture
def ofapi(config: Path, capsys: pytest.CaptureFixture[str]) -> Ofapi:
    """Runs one command with --json; gives (exit code, value)."""

    def call(*args: str) -> tuple[int, Any]:
        capsys.readouterr()
        code = main.run(["--config", str(config), *args, "--json"])
        return code, json.loads(capsys.readouterr().out)

    return call


@pytest.fixture
def ready(ofapi: Ofapi) -> Ofapi:
    """A store with one team."""
    assert ofapi("db", "init")[0] == 0
    assert ofapi("teams", "create", "agency")[0] == 0
    return ofapi


def test_init_makes_key_and_store_once(ofapi: Ofapi, tmp_path: Path) -> None:
    """`db init` makes a key file that only its owner can read, and the store; a second time it changes nothing."""
    code, made = ofapi("db", "init")
    key = tmp_path / "data/secret.key"
    before = key.read_text()
    assert code == 0
    assert made["store_made"] is True
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert ofapi("db", "init")[1]["store_made"] is False
    assert key.read_text() == before
    assert ofapi("db", "check")[0] == 0


def test_lost_key_is_not_replaced(ready: Ofapi, tmp_path: Path) -> None:
    """With logins in the store, a missing key file is an error, not a reason for a new key."""
    login = tmp_path / "login.json"
    login.write_text('{"cookies": "sess=abc; auth_id=5", "user_agent": "UA", "x_bc": "b"}')
    assert ready("accounts", "connect", "--team", "agency", "--from", str(login), "--no-check")[0] == 0
    (tmp_path / "data/secret.key").unlink()
    code, body = ready("db", "init")
    assert (code, body["error"]) == (1, "secret_key_missing")
    assert not (tmp_path / "data/secret.key").exists()


def test_keys_are_shown_once(ready: Ofapi) -> None:
    """The token is in the answer of `create` and nowhere after; a revoked key leaves the list."""
    code, made = ready("keys", "create", "--team", "agency", "--name", "tool", "--scope", "read")
    assert code == 0
    assert made["api_key"].startswith("ofapi_")
    listed = ready("keys", "list")[1]
    assert [(k["id"], k["scopes"], k["team"]) for k in listed] == [(made["id"], ["read"], "agency")]
    assert made["api_key"] not in json.dumps(listed)
    assert ready("keys", "revoke", made["id"]) == (0, {"id": made["id"], "revoked": True})
    assert ready("keys", "list")[1] == []
    assert ready("keys", "revoke", made["id"])[1]["error"] == "key_not_found"


def test_credits_are_granted_once_per_reference(ready: Ofapi) -> None:
    """The same --ref counts once, so that a repeated command is safe."""
    before = ready("teams", "credits", "agency")[1]["credits"]
    for _ in range(2):
        code, body = ready("teams", "credits", "agency", "--add", "500", "--ref", "invoice-1")
        assert (code, body["credits"]) == (0, before + 500)


def test_accounts_connect_and_disconnect(ready: Ofapi, tmp_path: Path) -> None:
    """A login comes from a file, is stored encrypted, and is wiped by disconnect."""
    login = tmp_path / "login.txt"
    login.write_text("sess=planted-cookie; auth_id=5")
    args = ("accounts", "connect", "--team", "agency", "--from", str(login), "--user-agent", "UA", "--no-check")
    code, account = ready(*args)
    assert (code, account["onlyfans_id"], account["state"]) == (0, "5", "authenticated")
    assert ready(*args)[1]["error"] == "already_connected"
    assert ready(*args, "--force")[1]["id"] == account["id"]
    assert all(b"planted-cookie" not in p.read_bytes() for p in (tmp_path / "data").rglob("*") if p.is_file())
    assert [a["id"] for a in ready("accounts", "list")[1]] == [account["id"]]
    assert ready("accounts", "state", account["id"], "session_expired")[0] == 0
    assert ready("accounts", "show", account["id"])[1]["state"] == "session_expired"
    assert ready("accounts", "disconnect", account["id"])[0] == 0
    assert ready("accounts", "list")[1] == []
    again = ready("accounts", "create", *args[2:])[1]  # the other names of the same two
    assert ready("accounts", "show", again["id"])[1]["syncs"] == {}
    assert ready("accounts", "revoke", again["id"]) == (0, {"id": again["id"], "disconnected": True})


def test_a_new_login_keeps_the_accounts_proxy(ready: Ofapi, config: Path, tmp_path: Path) -> None:
    """Renewed cookies change nothing else of an account: neither its proxy, which --no-proxy takes away, nor its name."""
    login, proxy = tmp_path / "login.txt", tmp_path / "proxy.txt"
    login.write_text("sess=a; auth_id=5")
    proxy.write_text("http://u:planted-password@10.0.0.9:3128\n")
    args = ("accounts", "connect", "--team", "agency", "--from", str(login), "--no-check", "--force")

    def kept() -> str | None:
        loaded = load_config(config)
        with opened_store(loaded) as store, store.read() as conn:
            (row,) = accounts.list_live(conn)
        return open_secrets(loaded).decrypt(row.proxy_url) if row.proxy_url else None

    assert ready(*args, "--proxy-file", str(proxy))[0] == 0
    assert kept() == "http://u:planted-password@10.0.0.9:3128"
    assert ready(*args)[0] == 0
    assert kept() == "http://u:planted-password@10.0.0.9:3128"
    with opened_store(load_config(config)) as store, store.write() as conn:
        accounts.change(conn, accounts.list_live(conn)[0].id, username="creator")
    assert ready(*args)[1]["username"] == "creator"
    assert ready(*args, "--no-proxy")[0] == 0
    assert kept() is None


@pytest.mark.parametrize("text", ["socks5://u:planted-password@p:1", "p.test:3128", ""])
def test_what_is_no_proxy_is_refused(ready: Ofapi, tmp_path: Path, text: str) -> None:
    """When the account is connected, not at each of its requests; the password is not repeated."""
    login, proxy = tmp_path / "login.txt", tmp_path / "proxy.txt"
    login.write_text("sess=a; auth_id=5")
    proxy.write_text(text)
    args = ("accounts", "connect", "--team", "agency", "--from", str(login), "--no-check")
    code, body = ready(*args, "--proxy-file", str(proxy))
    assert (code, body["error"]) == (1, "bad_proxy")
    assert "planted-password" not in json.dumps(body)
    assert ready("accounts", "list")[1] == []


@pytest.mark.parametrize("text", ["", "no cookies here", '{"cookies": 5}', "{broken", '{"user_agent": "x"}'])
def test_bad_logins_are_refused_without_repeating_them(ready: Ofapi, tmp_path: Path, text: str) -> None:
    """What is no login is an error that does not show the input."""
    login = tmp_path / "login.txt"
    login.write_text(text)
    code, body = ready("accounts", "connect", "--team", "agency", "--from", str(login), "--no-check")
    assert (code, body["error"]) == (1, "bad_login")
    assert not text or text not in body["message"]


def test_an_upstream_that_is_down_is_not_blamed_on_the_login(ready: Ofapi, tmp_path: Path) -> None:
    """The connection is what to look at, and nothing is stored."""
    login = tmp_path / "login.txt"
    login.write_text("sess=a; auth_id=5")
    code, body = ready("accounts", "connect", "--team", "agency", "--from", str(login))
    assert (code, body["error"]) == (1, "upstream_unavailable")
    assert "cannot be reached" in body["message"]
    assert "ofapi doctor" in body["message"]
    assert "cookies" not in body["message"]
    assert ready("accounts", "list")[1] == []


def test_jobs_can_be_listed_cancelled_and_retried(ready: Ofapi, config: Path) -> None:
    """A job's way through pending, cancelled and pending again, as the operator sees it."""
    from addons.config import load_config
    from ofapi_store import outbox
    from ofapi_store.engine import Store

    store = Store.open(load_config(config).store_url)
    with store.write() as conn:
        job = outbox.enqueue(conn, "test.job", {"x": 1}, key="k").id
    store.close()
    assert [j["id"] for j in ready("jobs", "list", "--state", "pending")[1]] == [job]
    assert ready("jobs", "show", str(job))[1]["payload"] == {"x": 1}
    assert ready("jobs", "cancel", str(job))[1]["state"] == "cancelled"
    assert ready("jobs", "cancel", str(job))[1]["error"] == "job_not_cancelled"
    assert ready("jobs", "retry", str(job))[1]["state"] == "pending"
    assert ready("jobs", "counts")[1] == [{"kind": "test.job", "state": "pending", "jobs": 1}]
    assert ready("jobs", "show", "999")[1]["error"] == "job_not_found"


def test_backup_is_a_whole_store(ready: Ofapi, tmp_path: Path) -> None:
    """A backup taken while running opens as a store, is private, and never overwrites a file."""
    target = tmp_path / "backup.db"
    assert ready("db", "backup", str(target))[0] == 0
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert ready("db", "backup", str(target))[1]["error"] == "file_exists"
    (tmp_path / "config.yaml").write_text(f"store: {{url: 'sqlite:///{target}'}}\n")
    assert [t["slug"] for t in ready("teams", "list")[1]] == ["agency"]


def test_a_folder_may_have_any_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What means something in a URL means nothing in the name of the folder of an installation."""
    folder = tmp_path / "a %20b?c#d"
    folder.mkdir()
    (folder / "config.yaml").write_text("listen: {port: 0}\n")
    for args in (["db", "init"], ["teams", "create", "agency"], ["db", "check"], ["db", "backup", str(folder / "b")]):
        assert main.run(["--config", str(folder / "config.yaml"), *args]) == 0, capsys.readouterr().err
    assert sorted(p.name for p in folder.iterdir()) == ["b", "config.yaml", "data"]
    assert (folder / "data" / "ofapi.db").exists()
    assert [p.name for p in tmp_path.iterdir()] == [folder.name]


def test_doctor_knows_prices_of_no_rule(ready: Ofapi, config: Path) -> None:
    """A misspelt rule id among the prices would silently count for nothing."""
    config.write_text(config.read_text() + "credits: {operations: {fans-actve: 2, 'fans-*': 1, whoami: 3}}\n")
    findings = {f["check"]: f for f in ready("doctor")[1]["findings"]}
    assert findings["credits"]["status"] == "warning"
    assert "fans-actve" in findings["credits"]["message"]
    assert "fans-*" not in findings["credits"]["message"]


def test_a_team_has_the_configs_limit_until_it_has_its_own(ready: Ofapi, config: Path) -> None:
    """Changing `limits.requests_per_minute` changes it for every team that was not given another one."""
    config.write_text(config.read_text() + "limits: {requests_per_minute: 77}\n")

    def limit() -> tuple[int, bool]:
        (team,) = ready("teams", "list")[1]
        return team["requests_per_minute"], team["own_limit"]

    assert limit() == (77, False)
    assert ready("teams", "limit", "agency", "5")[0] == 0
    assert limit() == (5, True)
    assert ready("teams", "limit", "agency", "--default")[0] == 0
    assert limit() == (77, False)
    assert ready("teams", "limit", "agency")[0] == 2
    assert ready("teams", "limit", "agency", "5", "--default")[0] == 2


def test_errors_are_json_with_codes(ofapi: Ofapi, config: Path) -> None:
    """Wrong usage exits 2, a config that cannot be used 3, anything else 1; always one JSON object."""
    assert ofapi("teams", "create")[0] == 2
    assert ofapi("no-such-command")[1]["error"] == "usage"
    assert ofapi("teams", "list")[1]["error"] == "store_missing"
    assert ofapi("jobs", "show", "9" * 20)[0] == 2
    assert ofapi("teams", "limit", "agency", "9" * 20)[0] == 2
    config.write_text("listen: {prot: 1}\n")
    code, body = ofapi("teams", "list")
    assert (code, body["error"]) == (3, "config_invalid")
    assert "did you mean `port`?" in body["problems"][0]


def commands(command: Any, *path: str) -> Iterator[tuple[str, ...]]:
    yield path
    for name, inner in getattr(command, "commands", {}).items():
        yield from commands(inner, *path, name)


def test_every_command_has_help_and_the_shared_options(capsys: pytest.CaptureFixture[str]) -> None:
    """`--help` works everywhere, names --json and --config, and shows each command by one whole sentence."""
    for path in commands(get_command(main.build())):
        capsys.readouterr()
        assert main.run([*path, "--help"]) == 0
        shown = capsys.readouterr().out
        assert {"--json", "--config"} <= set(shown.split()), path
        assert not [x for x in shown.splitlines() if x.endswith("...") and not x.startswith("Usage")], path


def test_shared_options_stand_anywhere(ready: Ofapi, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--json and --config mean the same before a group, between group and command, and after the command."""
    for args in (["--json", "teams", "list"], ["teams", "--json", "list"], ["teams", "list", "--json"]):
        capsys.readouterr()
        assert main.run(["--config", str(config), *args]) == 0
        assert [t["slug"] for t in json.loads(capsys.readouterr().out)] == ["agency"]
    assert main.run(["teams", "--config", str(config), "list"]) == 0


def test_what_the_system_refuses_is_no_traceback(
    ready: Ofapi, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file that cannot be written is one line that names it, for people and for programs."""
    code, body = ready("db", "backup", "/proc/none/backup.db")
    assert (code, body["error"]) == (1, "system_error")
    assert "/proc/none" in body["message"]
    assert main.run(["--config", str(config), "db", "new-key", "/proc/none/key"]) == 1
    assert capsys.readouterr().err.startswith("ofapi: /proc/none")


def test_accounts_can_be_created_and_revoked_by_these_names(ready: Ofapi, tmp_path: Path) -> None:
    """`accounts create` and `accounts revoke` are connect and disconnect, as with teams and keys."""
    login = tmp_path / "login.txt"
    login.write_text("sess=abc; auth_id=5")
    code, account = ready("accounts", "create", "--team", "agency", "--from", str(login), "--no-check")
    assert code == 0
    assert ready("accounts", "revoke", account["id"]) == (0, {"id": account["id"], "disconnected": True})


def test_people_get_text(ready: Ofapi, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without --json there are tables and sentences, and errors go to standard error."""
    capsys.readouterr()
    assert main.run(["--config", str(config), "teams", "list"]) == 0
    assert "agency" in capsys.readouterr().out
    assert main.run(["--config", str(config), "keys", "revoke", "key_none"]) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "ofapi keys list" in shown.err


def test_piped_tables_keep_one_line_per_row(ready: Ofapi, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where no terminal reads it, a row is one line and an id one word, so that `grep` and `awk` work."""
    _, made = ready(
        "keys", "create", "--team", "agency", "--name", "a key with a rather long name, as people give them"
    )
    capsys.readouterr()
    assert main.run(["--config", str(config), "keys", "list"]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if made["id"] in line]
    assert len(lines) == 1
    assert "as people give them" in lines[0]
