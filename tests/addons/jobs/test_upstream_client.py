"""addons/jobs/upstream_client: jobs ask upstream like the gateway does, and bear what upstream does."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from addons.jobs.upstream_client import Refused, SessionExpired, Unavailable
from addons.pipeline.services import Services
from ofapi_store.engine import Store
from ofapi_store.queries import accounts
from scripts.simulator import Simulator
from tests.addons.jobs.upstream import SMALL, connected

ServicesOf = Callable[..., Services]


@pytest.fixture(scope="module")
def small_sim() -> Iterator[Simulator]:
    with Simulator.start(**SMALL) as sim:
        yield sim


@pytest.fixture
def sim(small_sim: Simulator) -> Iterator[Simulator]:
    small_sim.clear_requests()
    yield small_sim
    small_sim.faults.clear()


async def test_a_call_goes_out_as_the_rule_says(sim: Simulator, sqlite_store: Store, services_of: ServicesOf) -> None:
    """Path, fixed query, renames and the account's login are those of the rule and the account; what it observes is stored."""
    async with connected(sim, sqlite_store, services_of) as (services, account):
        client = await services.parts["upstream"].of(account)
        reply = await client.call("fans-active", query={"limit": 5})
    sent = sim.requests[-1]
    assert sent["path"] == "/api2/v2/subscriptions/subscribers?type=active&format=infinite&limit=5"
    assert sent["headers"]["cookie"] == sim.creators[0].cookies
    assert sent["headers"]["user-agent"] == sim.creators[0].user_agent
    assert "authorization" not in sent["headers"]
    with sqlite_store.read() as conn:
        stored = conn.exec_driver_sql("SELECT count(*) FROM fans").scalar()
    assert stored == len(reply.json()["list"]) > 0


async def test_429_waits_and_goes_on(sim: Simulator, sqlite_store: Store, services_of: ServicesOf) -> None:
    """A throttled request is sent again after Retry-After, and succeeds."""
    sim.faults.add("rate_limit", path="/users/me", count=2, params={"retry_after": 0})
    async with connected(sim, sqlite_store, services_of) as (services, account):
        client = await services.parts["upstream"].of(account)
        assert (await client.call("me-get")).status == 200
    assert [r["status"] for r in sim.requests] == [429, 429, 200]


async def test_throttled_for_good_is_for_later(sim: Simulator, sqlite_store: Store, services_of: ServicesOf) -> None:
    """After all tries the caller hears when to come again."""
    sim.faults.add("rate_limit", path="/users/me", count=0, params={"retry_after": 0})
    async with connected(sim, sqlite_store, services_of) as (services, account):
        client = await services.parts["upstream"].of(account)
        with pytest.raises(Unavailable) as caught:
            await client.call("me-get")
    assert caught.value.after_s > 0
    assert len(sim.requests) == 3


async def test_reset_connection_is_tried_again(sim: Simulator, sqlite_store: Store, services_of: ServicesOf) -> None:
    """A GET whose connection breaks goes out again."""
    sim.faults.add("reset", path="/users/me")
    async with connected(sim, sqlite_store, services_of) as (services, account):
        client = await services.parts["upstream"].of(account)
        assert (await client.call("me-get")).status == 200


async def test_dead_session_marks_the_account(sim: Simulator, sqlite_store: Store, services_of: ServicesOf) -> None:
    """Upstream's 401 ends the call and sets the account's state."""
    sim.faults.add("dead_session", path="/users/me")
    async with connected(sim, sqlite_store, services_of) as (services, account):
        client = await services.parts["upstream"].of(account)
        with pytest.raises(SessionExpired, match="connect the account again"):
            await client.call("me-get")
        with sqlite_store.read() as conn:
            row = accounts.by_id(conn, account)
    assert row is not None
    assert row.state == "session_expired"


async def test_refusals_are_not_repeated(sim: Simulator, sqlite_store: Store, services_of: ServicesOf) -> None:
    """A 4xx is final and says what upstream said."""
    async with connected(sim, sqlite_store, services_of) as (services, account):
        client = await services.parts["upstream"].of(account)
        with pytest.raises(Refused) as caught:
            await client.ask("GET", "/api2/v2/users/no-such-user-anywhere")
    assert caught.value.status == 404
    assert len(sim.requests) == 1


async def test_unknown_accounts_and_rules_are_errors(
    sim: Simulator, sqlite_store: Store, services_of: ServicesOf
) -> None:
    """There is no client for an account that is not connected, and no request for a rule that does not exist."""
    async with connected(sim, sqlite_store, services_of) as (services, account):
        with pytest.raises(LookupError):
            await services.parts["upstream"].of("acct_none")
        client = await services.parts["upstream"].of(account)
        with pytest.raises(KeyError):
            await client.call("no-such-rule")
    assert not sim.requests
