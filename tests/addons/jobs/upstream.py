"""A simulated upstream, an account of it in a store, and the clients of jobs."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from addons.jobs.upstream_client import UpstreamClients
from addons.pipeline.loader import load_rules
from addons.pipeline.plan import Plan
from addons.pipeline.services import Services
from ofapi_store import testing
from ofapi_store.engine import Store
from ofapi_store.queries import accounts
from scripts.simulator import Simulator

REPO = Path(__file__).resolve().parents[3]
SMALL: dict[str, Any] = {
    "fans": 45, "chats": 12, "messages": 240, "transactions": 230, "campaigns": 4, "trials": 3, "posts": 2, "media": 4,
}  # fmt: skip
PACE = {"min_interval_s": 0.0, "attempts": 3, "backoff_max_s": 1}


@functools.cache
def plan() -> Plan:
    """The repository's rules, loaded once per process."""
    return load_rules(REPO / "rules")


@asynccontextmanager
async def connected(
    sim: Simulator, store: Store, services_of: Callable[..., Services], **sections: Any
) -> AsyncIterator[tuple[Services, str]]:
    """Services with upstream clients, and the id of an account of the first simulated creator."""
    login = sim.creators[0]
    services = services_of(
        store, upstream={"base_url": sim.api_url}, sync={**PACE, **sections.pop("sync", {})}, **sections
    )
    secret = services.secrets.encrypt_json({k: login[k] for k in ("auth_id", "cookies", "user_agent", "xbc")})
    with store.write() as conn:
        team = testing.make_team(conn)
        values = {"login": secret, "onlyfans_id": str(login["id"]), "username": login["username"]}
        row = accounts.create(conn, team.id, display_name="creator", state="authenticated", **values)
    clients = services.parts["upstream"] = UpstreamClients(services, plan)
    try:
        yield services, row.id
    finally:
        await clients.close()
