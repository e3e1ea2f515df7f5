"""A gateway with its worker, started for a demo or for tests, in front of any upstream.

with Stack.start(tmp_path, upstream=sim.api_url, cdn=sim.cdn_url, logins=sim.creators) as stack:
    requests.get(f"{stack.base_url}/api/{stack.account}/fans/all", headers=stack.auth)
"""

from __future__ import annotations

import hashlib
import json
import shutil
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any, Self

import yaml

from scripts.cli.children import Child, write_atomically
from scripts.cli.frame import REPO, open_config
from scripts.cli.seed import Seeded, seed
from scripts.cli.setup import prepare

DEFAULTS: dict[str, Any] = {
    "proxy": {"port": 0, "allow_sessions": True},
    "web": {"port": 0},
    "limits": {"requests_per_minute": 1_000_000},  # a demo is measured, too
    "network": {"allow_private": ["127.0.0.0/8", "::1/128"]},
    "sync": {"interval_s": 0},
    "webhooks": {"look_interval_s": 10},
    "jobs": {"poll_interval_s": 0.1},
}


def merged(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """`other` over `one`, section by section."""
    out = dict(one)
    for key, value in other.items():
        both = isinstance(value, Mapping) and isinstance(out.get(key), Mapping)
        out[key] = merged(out[key], value) if both else value
    return out


def copy_rules(source: Path, target: Path) -> Path:
    """The rules in a folder of their own. Files that nobody edited there follow the originals, also out of the folder."""
    origin = target / ".origin.json"
    known: dict[str, str] = json.loads(origin.read_text()) if origin.exists() else {}
    now: dict[str, str] = {}
    for path in sorted(p for p in source.rglob("*") if p.is_file() and not p.name.startswith(".")):
        name = str(path.relative_to(source))
        now[name] = _digest(path)
        copy = target / name
        if not copy.exists() or _digest(copy) == known.get(name):
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
    for name in known.keys() - now.keys():
        if (target / name).is_file() and _digest(target / name) == known[name]:
            (target / name).unlink()
    write_atomically(origin, json.dumps(now), mode=0o644)
    return target


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def simulated_logins(seed_number: int = 7) -> list[dict[str, Any]]:
    """The logins of the simulator's creators, which depend on its seed alone."""
    from scripts.simulator import events
    from scripts.simulator.world import Options, World

    tiny = dict.fromkeys(("fans", "chats", "messages", "transactions", "posts", "media"), 1)
    world = World(Options(seed=seed_number, campaigns=0, trials=0, **tiny))
    return [dict(events.account(who)) for who in world.creators]


@dataclass
class Stack:
    """Addresses and keys of a running gateway; `stop()` or leaving the block ends it."""

    folder: Path
    config_path: Path
    rules_dir: Path
    store_url: str
    seeded: Seeded
    output: IO[bytes] | None = None
    gateway: Child | None = field(default=None, repr=False)
    base_url: str = ""
    proxy_url: str | None = None
    web_url: str | None = None
    web_password: str | None = None

    @classmethod
    def start(
        cls,
        folder: Path,
        *,
        upstream: str,
        cdn: str | None = None,
        logins: Sequence[Mapping[str, Any]] | None = None,
        rules_dir: Path | None = None,
        config: Mapping[str, Any] | None = None,
        port: int = 0,
        web: bool = False,
        worker: bool = True,
        output: IO[bytes] | None = None,
    ) -> Self:
        """Everything made and answering. Raises CliError or RuntimeError.

        Args:
            folder: config, store, key, media and exports go there; what is there already is used again.
            upstream, cdn: where requests and media fetches go.
            logins: of the two accounts; default the simulator's.
            rules_dir: default a copy of the repository's rules in `folder`.
            config: sections over the demo's.
            output: file for what the processes print; default our standard error.
        """
        stack = cls.prepare(
            folder, logins=logins, rules_dir=rules_dir, config=config, port=port, web=web, worker=worker, output=output
        )
        stack.point_to(upstream, cdn)
        return stack.run()

    @classmethod
    def prepare(
        cls,
        folder: Path,
        *,
        logins: Sequence[Mapping[str, Any]] | None = None,
        rules_dir: Path | None = None,
        config: Mapping[str, Any] | None = None,
        port: int = 0,
        web: bool = False,
        worker: bool = True,
        output: IO[bytes] | None = None,
    ) -> Self:
        """Config, store, teams, keys and accounts, without starting anything."""
        folder = folder.absolute()
        folder.mkdir(parents=True, exist_ok=True)
        rules = (rules_dir or copy_rules(REPO / "rules", folder / "rules")).absolute()
        base = {
            "listen": {"port": port},
            "rules": {"dir": str(rules)},
            "jobs": {"worker": "process" if worker else "none"},
        }
        data = merged(merged(DEFAULTS, base), config or {})
        if web:
            data = merged(data, {"web": {"enabled": True}})
        path = folder / "config.yaml"
        write_atomically(path, yaml.safe_dump(data, sort_keys=False), mode=0o644)
        loaded = open_config(path)
        prepare(loaded, upgrade=True)
        seeded = seed(loaded, [dict(x) for x in logins or simulated_logins()], folder / "demo-keys.json")
        return cls(folder, path, rules, loaded.store_url, seeded, output)

    def point_to(self, upstream: str, cdn: str | None) -> None:
        """Writes where upstream is into the config. Raises CliError for what is no URL."""
        data = yaml.safe_load(self.config_path.read_text(encoding="utf-8"))
        data = merged(data, {"upstream": {"base_url": upstream}, "media": {"upstream_base_url": cdn}})
        write_atomically(self.config_path, yaml.safe_dump(data, sort_keys=False), mode=0o644)
        open_config(self.config_path)

    def run(self, *, stop: threading.Event | None = None) -> Self:
        """Starts the gateway (and its worker) and waits until it answers. Raises Stopped when `stop` is set before."""
        ready = self.folder / ".gateway-ready.json"
        args = ["-m", "scripts.cli.main", "--config", str(self.config_path), "run", "--ready-file", str(ready)]
        self.gateway = Child("the gateway", args, ready_file=ready, output=self.output)
        try:
            found = self.gateway.wait_ready(stop=stop)
        except BaseException:
            self.gateway.stop()
            raise
        self.base_url, self.proxy_url = found["base_url"], found.get("proxy_url")
        self.web_url, self.web_password = found.get("web_url"), found.get("web_password")
        return self

    @property
    def api_key(self) -> str:
        return self.seeded.api_key

    @property
    def account(self) -> str:
        return self.seeded.account

    @property
    def auth(self) -> dict[str, str]:
        """Headers of the first team's key."""
        return {"Authorization": f"Bearer {self.seeded.api_key}"}

    @property
    def other_auth(self) -> dict[str, str]:
        """Headers of the second team's key."""
        return {"Authorization": f"Bearer {self.seeded.other_api_key}"}

    @property
    def cdn_url(self) -> str:
        """Root of our own cached copies."""
        return f"{self.base_url}/cdn"

    @property
    def ca_file(self) -> Path:
        """The authority that clients of the proxy trust."""
        return open_config(self.config_path).proxy.ca_dir / "mitmproxy-ca-cert.pem"

    def facts(self) -> dict[str, Any]:
        """What programs need to know, as in the demo's ready file."""
        return {
            "base_url": self.base_url,
            **asdict(self.seeded),
            "cdn_url": self.cdn_url,
            "web_url": self.web_url,
            "web_password": self.web_password,
            "proxy_url": self.proxy_url,
            "ca_file": str(self.ca_file),
            "rules_dir": str(self.rules_dir),
            "config": str(self.config_path),
            "store_url": self.store_url,
            "data_dir": str(self.folder),
        }

    def restart(self) -> None:
        """Stops and starts the gateway; ports may change."""
        self.stop()
        self.run()

    def stop(self) -> None:
        if self.gateway is not None:
            self.gateway.stop()
            self.gateway = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
