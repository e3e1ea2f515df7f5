"""The rules in use, and their replacement while the gateway runs.

A change is loaded aside in a thread and swapped in by one reference; exchanges under way keep their plan. Files that are
being written are not read: nobody may have one open for writing (where the system tells), and two looks must agree.
Rules that do not load change nothing: the last good plan goes on, and `state()` says what is wrong. A folder that lost
its last rule file is taken for one that is being replaced.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import itertools
import os
import signal
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import structlog
import watchfiles

from addons.pipeline.loader import load_rules
from addons.pipeline.plan import Plan
from addons.pipeline.problems import Problem, RulesInvalid
from addons.pipeline.rule_files import RuleFiles, rule_files

log = structlog.get_logger(__name__)

SETTLE_S = 0.1
LOOKS_UNTIL_WARNING = 100
LOOK_AGAIN_MS = 2_000
Print = tuple[tuple[str | int, ...], ...]


class PlanHolder:
    """Holds the plan in use; call it to get the plan.

    Args:
        root: the folder of the rule files.
        load: how rules are loaded; default: `load_rules`.

    Raises RulesInvalid when the first load fails: a gateway without rules does not start.
    """

    def __init__(self, root: Path, *, load: Callable[[Path], Plan] = load_rules) -> None:
        self.root = root
        self._load = load
        self._seen = fingerprint(root)
        self._plan = load(root)
        self._attempt = self._plan.loaded_at
        self._problems: tuple[Problem, ...] = ()
        self._written: tuple[str, ...] = ()
        self._lock = asyncio.Lock()
        self.listeners: list[Callable[[Plan], None]] = []

    def __call__(self) -> Plan:
        return self._plan

    @property
    def plan(self) -> Plan:
        return self._plan

    def state(self) -> dict[str, Any]:
        """`{version, loaded_at, last_attempt_at, ok, errors, waiting_for}`.

        `errors`: the problems of a refused change. `waiting_for`: files that someone has had open for writing for long.
        """
        return {
            "version": self._plan.version,
            "loaded_at": self._plan.loaded_at,
            "last_attempt_at": self._attempt,
            "ok": not self._problems,
            "errors": [problem.as_json() for problem in self._problems],
            "waiting_for": list(self._written),
        }

    async def reload(self) -> bool:
        """Load the files as they are now. True: they are in use. False: refused, see `state()`."""
        async with self._lock:
            while True:
                seen = await asyncio.to_thread(fingerprint, self.root)
                plan, problems = await asyncio.to_thread(self._tried)
                if await asyncio.to_thread(fingerprint, self.root) == seen:
                    break
                await self._settle()
            self._seen = seen
            self._take(plan, problems)
            return not problems

    def _tried(self) -> tuple[Plan, tuple[Problem, ...]]:
        """The plan that the files make, or the plan in use with what is wrong with them."""
        try:
            plan = self._load(self.root)
        except RulesInvalid as error:
            return self._plan, tuple(error.problems)
        except Exception as error:  # whatever it is, the rules go on and the watching, too
            log.exception("the rules could not be loaded")
            text = f"loading failed: {type(error).__name__}: {error}"
            return self._plan, (Problem(str(self.root), 1, 1, "unexpected", text, "the gateway's log says more"),)
        if self._plan.files and not plan.files:
            text, hint = "the folder holds no rule files any more", "put them back; a restart begins without rules"
            return self._plan, (Problem(str(self.root), 1, 1, "empty-file", text, hint),)
        return plan, ()

    def _take(self, plan: Plan, problems: tuple[Problem, ...]) -> None:
        self._attempt = datetime.now(UTC)
        self._problems = problems
        if problems:
            log.error("rules refused, the last good ones go on", errors=len(problems), first=str(problems[0]))
        elif plan.version != self._plan.version:
            self._plan = plan
            log.info("rules loaded", version=plan.version[:12], rules=len(plan.rules))
            for listener in self.listeners:
                listener(plan)

    async def watch(self, stop: asyncio.Event | None = None) -> None:
        """Reload after every change until `stop` is set or the task is cancelled."""
        stop = stop or asyncio.Event()
        changes = partial(
            watchfiles.awatch, stop_event=stop, debounce=200, step=50, rust_timeout=LOOK_AGAIN_MS, yield_on_timeout=True
        )
        told = ""
        while not stop.is_set():
            watched = _identity(self.root)
            try:
                async with contextlib.aclosing(changes(self.root)) as seen:
                    async for _ in seen:
                        await self._look()
                        if _identity(self.root) != watched:
                            break  # another folder has this name now
            except (OSError, RuntimeError) as error:  # the folder is gone, or the system watches no more
                if str(error) != told:
                    log.warning("the rules folder cannot be watched; looking now and then", error=str(error))
                told = str(error)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), LOOK_AGAIN_MS / 1000)
                await self._look()

    async def _look(self) -> None:
        if await asyncio.to_thread(fingerprint, self.root) != self._seen:
            await self._settle()
            await self.reload()

    async def _settle(self) -> None:
        """Wait until nobody writes to a rule file."""
        before = None
        for look in itertools.count(1):
            now, written = await asyncio.to_thread(_look_at, self.root)
            if not written and now == before:
                self._written = ()
                return
            before = now
            if written and look % LOOKS_UNTIL_WARNING == 0:
                self._written = written
                log.warning("rule files are still being written; the rules before them go on", files=written)
            await asyncio.sleep(SETTLE_S)


def fingerprint(root: Path) -> Print:
    """Name, inode, size and times of every rule file, and what of the folder cannot be read."""
    return _print(rule_files(root))


def _print(files: RuleFiles) -> Print:
    found: list[tuple[str | int, ...]] = [(str(problem),) for problem in files.problems]
    for path in files.paths:
        with contextlib.suppress(OSError):
            stat = path.stat()  # st_ctime: a change of permissions shows in nothing else
            found.append((str(path), stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns))
    return tuple(found)


def _look_at(root: Path) -> tuple[Print, tuple[str, ...]]:
    """The fingerprint, and the names of files that someone has open for writing."""
    files = rule_files(root)
    return _print(files), tuple(files.name(path) for path in files.paths if being_written(path))


def _identity(folder: Path) -> tuple[int, int] | None:
    try:
        stat = folder.stat()
    except OSError:
        return None
    return stat.st_dev, stat.st_ino


def being_written(path: Path) -> bool:
    """Whether some process has the file open for writing; False where the system does not tell.

    Linux grants a read lease only on a file without writers. The lease is given back at once; should a writer come in
    that moment, the signal that we would get is one that is ignored by default.
    """
    set_lease, set_signal = getattr(fcntl, "F_SETLEASE", None), getattr(fcntl, "F_SETSIG", None)
    if set_lease is None or set_signal is None:
        return False
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.fcntl(fd, set_signal, signal.SIGURG)
        fcntl.fcntl(fd, set_lease, fcntl.F_RDLCK)
        fcntl.fcntl(fd, set_lease, fcntl.F_UNLCK)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(fd)
    return False
