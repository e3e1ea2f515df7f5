"""`ofapi doctor`."""

from __future__ import annotations

import asyncio
import fnmatch
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from scripts.cli.doctor_ports import ports
from scripts.cli.doctor_versions import versions
from scripts.cli.findings import Finding
from scripts.cli.frame import (
    EXIT_FAILED,
    CliError,
    config_path,
    emit,
    open_config,
    open_secrets,
    opened_store,
    sqlite_file,
)

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from addons.config import Config
    from ofapi_store.secrets import SecretBox

LOW_DISK_BYTES = 1_000_000_000
SIGNS = {"ok": "ok  ", "warning": "warn", "wrong": "FAIL"}


def command() -> None:
    """Say what is wrong here and how to mend it. Exit code 1 if anything is."""
    findings = list(_findings())
    good = all(f.status != "wrong" for f in findings)
    lines = [
        f"{SIGNS[f.status]}  {f.check:10} {f.message}" + (f"\n{'':17}→ {f.mend}" if f.mend else "") for f in findings
    ]
    emit({"ok": good, "findings": [asdict(f) for f in findings]}, "\n".join(lines))
    if not good:
        raise typer.Exit(EXIT_FAILED)


def _findings() -> Iterator[Finding]:
    yield from versions()
    try:
        config = open_config()
    except ImportError as e:
        yield Finding("config", "wrong", str(e), "run scripts/setup")
        return
    except CliError as e:
        yield Finding("config", "wrong", e.message, "mend the lines named; docs/config.md lists every key")
        return
    yield Finding("config", "ok", str(config_path()))
    checks: tuple[Callable[[Config], Iterator[Finding]], ...] = (
        _secrets,
        _store,
        _logins,
        _rules,
        _upstream,
        _disk,
        _web,
        ports,
        _jobs,
    )
    for check in checks:
        name = check.__name__.strip("_")
        try:
            yield from check(config)
        except Exception as e:  # a doctor that falls ill says so and goes on
            yield Finding(name, "wrong", f"{type(e).__name__}: {e}", "see the message; if it does not help, report it")


def _secrets(config: Config) -> Iterator[Finding]:
    from addons.config import SecretMissing
    from ofapi_store.errors import SecretError
    from ofapi_store.secrets import SecretBox

    try:
        SecretBox(config.secret_keys())
    except SecretMissing as e:
        mend = "a lost key comes from your backup; in a new installation `ofapi db init` makes the first key file"
        yield Finding("secrets", "wrong", str(e), mend)
        return
    except SecretError as e:
        yield Finding("secrets", "wrong", str(e), "put the right key there, from your backup")
        return
    yield Finding("secrets", "ok", f"{len(config.secrets.keys)} encryption keys can be read")
    for ref in config.secrets.keys:
        if ref.file is not None and (mode := ref.file.stat().st_mode & 0o077):
            yield Finding(
                "secrets", "warning", f"{ref.file} can be read by others (mode {mode:03o})", f"chmod 600 {ref.file}"
            )


def _store(config: Config) -> Iterator[Finding]:
    from addons.config import SecretMissing
    from ofapi_store import migrate
    from ofapi_store.errors import SchemaOutdated, SchemaUnknown, StoreError

    try:
        url = config.store_url
        file = sqlite_file(url)
        if file is not None and not file.exists():
            yield Finding("store", "wrong", f"{file} does not exist", "ofapi db init")
            return
        migrate.check(url)
    except SchemaUnknown as e:
        yield Finding("store", "wrong", str(e), "install the program that made it, or restore a backup from before")
        return
    except SchemaOutdated as e:
        yield Finding("store", "wrong", str(e), "ofapi db backup FILE, then ofapi db upgrade")
        return
    except (StoreError, SecretMissing) as e:
        yield Finding("store", "wrong", str(e), "check store.url, that the database runs, and its permissions")
        return
    for place in (file, file.parent) if file is not None else ():
        if not _writable(place):
            yield Finding("store", "wrong", f"{place} cannot be written", "give the gateway's user write permission")
            return
    yield Finding("store", "ok", f"{'SQLite ' + str(file) if file else 'PostgreSQL'}, schema {migrate.head()}")


def _read[T](config: Config, query: Callable[[Connection], T]) -> T | None:
    """What a query reads; None where the store cannot be read, which `_store` has said."""
    from ofapi_store.errors import StoreError

    try:
        with opened_store(config) as store, store.read() as conn:
            return query(conn)
    except (CliError, StoreError):
        return None


def _logins(config: Config) -> Iterator[Finding]:
    from ofapi_store.queries import accounts, teams

    found = _read(config, lambda conn: (accounts.list_live(conn), teams.list_all(conn)))
    if found is None:
        return
    live, owners = found
    try:
        box = open_secrets(config)
    except CliError:
        return  # `_secrets` has said it
    broken = [a.id for a in live if a.login and not _opens(box, a.login)]
    expired = [a.id for a in live if a.state == "session_expired"]
    if broken:
        text = f"{len(broken)} logins cannot be decrypted, the first of {broken[0]}"
        yield Finding("accounts", "wrong", text, "add the key they were written with to secrets.keys")
    if expired:
        text = f"{len(expired)} accounts have a dead session, the first {expired[0]}"
        yield Finding("accounts", "warning", text, "ofapi accounts connect --force, or POST /api/authenticate")
    if not broken and not expired:
        yield Finding("accounts", "ok", f"{len(live)} accounts of {len(owners)} teams")


def _opens(box: SecretBox, token: str) -> bool:
    from ofapi_store.errors import SecretError

    try:
        box.decrypt(token)
    except SecretError:
        return False
    return True


def _rules(config: Config) -> Iterator[Finding]:
    from addons.config.serving import PRICES
    from addons.pipeline.loader import load_rules
    from addons.pipeline.problems import RulesInvalid

    try:
        plan = load_rules(config.rules.dir)
    except RulesInvalid as e:
        count = f"{len(e.problems)} error{'s' if len(e.problems) > 1 else ''}"
        yield Finding("rules", "wrong", f"{count}, the first: {e.problems[0]}", "ofapi rules check lists all")
        return
    if not plan.rules:
        yield Finding(
            "rules", "wrong", f"no rules in {config.rules.dir}", "set rules.dir to the folder of the rule files"
        )
        return
    yield Finding("rules", "ok", f"{len(plan.rules)} rules in {config.rules.dir}")
    if unknown := [
        name for name in config.credits.operations if name not in PRICES and not fnmatch.filter(plan.by_id, name)
    ]:
        yield Finding(
            "credits",
            "warning",
            f"credits.operations prices {', '.join(unknown)}: no rule has that id",
            "ofapi rules list",
        )


def _upstream(config: Config) -> Iterator[Finding]:
    from addons.pipeline.upstream import load_signer

    try:
        load_signer(config.upstream.signer)
    except ValueError as e:
        yield Finding("upstream", "wrong", str(e), "put the module on PYTHONPATH, or set upstream.signer to null")
    problem = asyncio.run(_reach(config))
    if problem:
        yield Finding(
            "upstream",
            "wrong",
            f"{config.upstream.base_url}: {problem}",
            "check upstream.base_url, DNS, firewall, proxy",
        )
    else:
        yield Finding("upstream", "ok", f"{config.upstream.base_url} answers")


async def _reach(config: Config) -> str | None:
    import aiohttp

    from addons.jobs.upstream_client import open_session

    session = open_session(config)
    try:
        async with session.get(config.upstream.base_url + "/", allow_redirects=False):
            return None
    except (aiohttp.ClientError, TimeoutError, OSError) as e:
        return f"{type(e).__name__}: {e}"
    finally:
        await session.close()


def _disk(config: Config) -> Iterator[Finding]:
    for name, folder in (("media.dir", config.media.dir), ("exports.dir", config.exports.dir)):
        there = next(p for p in (folder, *folder.parents) if p.exists())
        usage = shutil.disk_usage(there)
        if not usage.total or not _writable(there):
            text = f"{there} cannot be written, so {name} ({folder}) cannot be used"
            yield Finding("disk", "wrong", text, "give the gateway's user write permission, or name another folder")
            continue
        free = usage.free
        least = max(LOW_DISK_BYTES, config.media.min_free_bytes)
        if free < least:
            text = f"{free / 1e9:.1f} GB free for {name} ({folder})"
            yield Finding("disk", "warning", text, "free space, or move the folder to a larger disk")
        else:
            yield Finding("disk", "ok", f"{free / 1e9:.1f} GB free for {name}")


def _writable(folder: Path) -> bool:
    import os

    return os.access(folder, os.W_OK)


def _web(config: Config) -> Iterator[Finding]:
    from addons.config import SecretMissing

    if config.web.password is None:
        yield Finding("web", "ok", "mitmweb gets a one-time password at each start")
        return
    try:
        known = config.web.password.resolve()
    except SecretMissing as e:
        yield Finding("web", "wrong", str(e), "set it, or set web.password to null for a one-time password")
        return
    if not known.startswith("$argon2"):
        mend = ".venv/bin/python -c 'import argon2, getpass; print(argon2.PasswordHasher().hash(getpass.getpass()))'"
        yield Finding("web", "wrong", "web.password is no argon2 hash", mend)
    else:
        yield Finding("web", "ok", "mitmweb has an argon2 password")


def _jobs(config: Config) -> Iterator[Finding]:
    from ofapi_store import outbox

    counts = _read(config, outbox.counts)
    if counts is None:
        return
    failed = sum(n for (_, state), n in counts.items() if state == "failed")
    waiting = sum(n for (_, state), n in counts.items() if state == "pending")
    if failed:
        yield Finding("jobs", "warning", f"{failed} failed jobs", "ofapi jobs list --state failed; ofapi jobs retry ID")
    else:
        yield Finding("jobs", "ok", f"{waiting} jobs wait, none failed")
