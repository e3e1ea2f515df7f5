"""Which job kinds exist and who runs them: a visible list of modules, each with a mapping `JOBS`.

A family module declares

    async def deliver(job: Job, services: Services) -> None: ...
    JOBS = {"webhooks.deliver": JobKind(deliver)}
    PERIODIC = {"webhooks.prune": lambda config: 3600.0}     # optional: kinds that run by themselves, seconds between
    LOOPS = {"webhooks": deliver}                            # optional: `async (services, worker's name)`, run beside the
                                                             # jobs until cancelled

and is named in `FAMILIES`. A handler may run more than once for one row (at least once): it must be safe to repeat.
It ends in one of these ways:

returns            the row is done
raises Again       the row is done and a new one is due later (periodic work, work in portions)
raises RetryLater  tried again at the time that it names
raises GiveUp      failed, not tried again
raises otherwise   tried again with backoff until the row's `max_attempts`, then failed
is cancelled       `ofapi jobs cancel`, or the worker stops: then the row is free for another worker at once
"""

from __future__ import annotations

import importlib
import importlib.metadata
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from addons.config import Config
    from addons.pipeline.services import Services
    from ofapi_store.outbox import Job as JobRow

FAMILIES: tuple[str, ...] = (
    "addons.jobs.upkeep",
    "addons.jobs.sync",
    "addons.media.jobs",
    "addons.jobs.webhooks",
    "addons.jobs.exports",
    "addons.jobs.logins",
    "addons.jobs.events",
    "addons.jobs.links_revenue",
    "addons.jobs.links_pool",
    "addons.jobs.postbacks",
)
ENTRY_POINTS = "ofapi.jobs"


class Again(Exception):
    """The work is done for now; run it again after `after_s` seconds, with `payload` if given. Counts as success."""

    def __init__(self, after_s: float, payload: Mapping[str, Any] | None = None) -> None:
        super().__init__(f"again in {after_s:g} s")
        self.after_s = after_s
        self.payload = payload


class RetryLater(Exception):
    """Not now: try again after `after_s` seconds. `count` False: the try does not count towards `max_attempts`."""

    def __init__(self, after_s: float, reason: str, *, count: bool = True) -> None:
        super().__init__(reason)
        self.after_s = after_s
        self.count = count


class GiveUp(Exception):
    """It cannot succeed; the text says why and what to do."""


async def _no_report(_: Mapping[str, Any]) -> None:
    return None


@dataclass(slots=True)
class Job:
    """One leased row. `payload` is what was enqueued; `attempts` counts this try, from 1."""

    id: int
    kind: str
    key: str | None
    payload: dict[str, Any]
    attempts: int = 1
    max_attempts: int = 10
    created_at: datetime | None = None
    progress: Mapping[str, Any] = field(default_factory=dict)
    report: Callable[[Mapping[str, Any]], Awaitable[None]] = _no_report
    """Stores what `ofapi jobs show` prints as progress; also extends the lease. Survives a restart (`progress`)."""

    @classmethod
    def of_row(cls, row: JobRow) -> Job:
        """The handler's view of a row of the outbox."""
        return cls(
            id=row.id,
            kind=row.kind,
            key=row.key,
            payload=dict(row.payload),
            attempts=row.attempts,
            max_attempts=row.max_attempts,
            created_at=row.created_at,
            progress=row.progress or {},
        )


Handler = Callable[[Job, "Services"], Awaitable[None]]
OnFailed = Callable[[Job, "Services", str], Awaitable[None]]
Loop = Callable[["Services", str], Awaitable[None]]
"""Work of its own kind that a worker runs beside jobs, for what has more rows than an outbox should: the worker's name
is given to it. It runs until it is cancelled, and is started again should it raise."""


@dataclass(frozen=True, slots=True)
class JobKind:
    """How a kind runs. `retry_s(attempt)`: wait after that try in seconds; None is the config's backoff.

    `on_failed(job, services, error)` runs, as a job of its own, when the row has failed for good, whether its handler
    said so or its worker died on the last try, or was cancelled by hand: it settles what depended on the row. It may run
    more than once. Such a row is not run again by hand, because nothing waits for it any more.
    `resumable`: loses nothing by being stopped, so a worker that stops does not wait for it. `routine`: runs all the
    time; its done rows are forgotten after a day, as those of periodic kinds are.
    """

    handler: Handler
    timeout_s: float | None = None
    retry_s: Callable[[int], float] | None = None
    on_failed: OnFailed | None = None
    resumable: bool = False
    routine: bool = False


@dataclass(frozen=True, slots=True)
class Registry:
    """All kinds by name, the kinds that run by themselves with the seconds between runs (0 is never), and the loops."""

    kinds: Mapping[str, JobKind]
    periodic: Mapping[str, Callable[[Config], float]] = field(default_factory=dict)
    loops: Mapping[str, Loop] = field(default_factory=dict)

    @property
    def routine(self) -> list[str]:
        return sorted({*self.periodic, *(name for name, kind in self.kinds.items() if kind.routine)})


def load_registry(families: tuple[str, ...] = FAMILIES) -> Registry:
    """Imports the families and the installed entry points of group `ofapi.jobs`. Raises ValueError on a doubled kind."""
    modules = [importlib.import_module(name) for name in families]
    modules += [e.load() for e in importlib.metadata.entry_points(group=ENTRY_POINTS)]
    kinds: dict[str, JobKind] = {}
    periodic: dict[str, Callable[[Config], float]] = {}
    loops: dict[str, Loop] = {}
    for module in modules:
        for name, kind in module.JOBS.items():
            if name in kinds:
                raise ValueError(f"job kind {name!r} is declared twice, the second time in {module.__name__}")
            kinds[name] = kind
        periodic.update(getattr(module, "PERIODIC", {}))
        loops.update(getattr(module, "LOOPS", {}))
    if unknown := sorted(set(periodic) - set(kinds)):
        raise ValueError(f"periodic kinds without a handler: {', '.join(unknown)}")
    return Registry(kinds, periodic, loops)
