"""`ofapi webhooks`, as programs see it: list, test, deliveries, redeliver, listen."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from addons.webhooks.loop import DeliveryLoop
from ofapi_store.engine import Store
from ofapi_store.queries import events, teams, webhooks
from scripts.cli import main
from scripts.cli.frame import open_config, open_secrets
from tests.addons.webhooks.receiver import Receiver

Ofapi = Callable[..., Any]


@pytest.fixture
def ofapi(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Ofapi:
    """Runs one command with --json over a store with one team; gives (exit code, value)."""
    path = tmp_path / "config.yaml"
    rules = Path(main.__file__).parents[2] / "rules"
    path.write_text(f"rules: {{dir: {rules}}}\nnetwork: {{allow_private: [127.0.0.0/8]}}\n")

    def call(*args: str) -> tuple[int, Any]:
        capsys.readouterr()
        code = main.run(["--config", str(path), *args, "--json"])
        return code, json.loads(capsys.readouterr().out)

    assert call("db", "init")[0] == 0
    assert call("teams", "create", "agency")[0] == 0
    return call


@pytest.fixture
def store(ofapi: Ofapi, tmp_path: Path) -> Iterator[Store]:
    opened = Store.open(open_config(tmp_path / "config.yaml").store_url)
    yield opened
    opened.close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """In a thread: the commands block."""
    running, ready, stop = Receiver(), threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        async with running.listening():
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    assert ready.wait(30)
    yield running
    loop.call_soon_threadsafe(stop.set)
    thread.join(30)
    loop.close()


def make(store: Store, tmp_path: Path, url: str) -> str:
    box = open_secrets(open_config(tmp_path / "config.yaml"))
    with store.write() as conn:
        team = teams.by_slug(conn, "agency")
        assert team is not None
        made = webhooks.create(
            conn, team.id, url=url, events=["tips.received"], account_scope="global", secret=box.encrypt("s3cret")
        )
    return made.id


def happen(store: Store, fact: str) -> None:
    with store.write() as conn:
        team = teams.by_slug(conn, "agency")
        assert team is not None
        assert events.emit(conn, team.id, "tips.received", fact, {"n": fact}, account_id="acct_a")


def test_a_sample_is_sent_and_its_answer_shown(ofapi: Ofapi, store: Store, tmp_path: Path, receiver: Receiver) -> None:
    """Signed like a real one; a refusal is a failure that says why. The list tells state, never the secret."""
    hook, bad = make(store, tmp_path, receiver.url()), make(store, tmp_path, receiver.url("/fail"))
    code, shown = ofapi("webhooks", "test", hook)
    assert (code, shown["ok"], shown["status_code"], shown["event"]) == (0, True, 204, "tips.received")
    assert receiver.got[0].hex_ok
    assert receiver.got[0].body["payload"]["type"] == "tip"
    assert ofapi("webhooks", "test", hook, "--event", "posts.liked")[1]["event"] == "posts.liked"
    code, shown = ofapi("webhooks", "test", bad)
    assert (code, shown["error"], shown["status_code"]) == (1, "delivery_failed", 500)
    code, rows = ofapi("webhooks", "list")
    assert [(row["id"], row["state"], row["waiting"]) for row in rows] == [(hook, "active", 0), (bad, "active", 0)]
    assert "s3cret" not in json.dumps(rows)


def test_deliveries_are_listed_and_sent_again(ofapi: Ofapi, store: Store, tmp_path: Path, receiver: Receiver) -> None:
    """By the delivery's uuid."""
    from addons.pipeline.services import Services

    hook = make(store, tmp_path, receiver.url())
    config = open_config(tmp_path / "config.yaml")
    services = Services(config, store, open_secrets(config))
    happen(store, "1")
    asyncio.run(DeliveryLoop(services, "one").run_until_idle())
    (row,) = ofapi("webhooks", "deliveries", hook)[1]
    assert (row["succeeded"], row["status_code"], row["payload"]) == (True, 204, {"n": "1"})
    assert ofapi("webhooks", "deliveries", hook, "--failed")[1] == []
    code, made = ofapi("webhooks", "redeliver", hook, row["delivery_uuid"])
    assert (code, made["delivery_id"]) == (0, row["delivery_uuid"])
    assert ofapi("webhooks", "list")[1][0]["waiting"] == 1


def test_listening_prints_events_without_any_webhook(ofapi: Ofapi, store: Store, tmp_path: Path) -> None:
    """From now on, of one team; the listener leaves nothing behind and is no webhook."""

    def later() -> None:
        end = time.monotonic() + 30
        while time.monotonic() < end:
            with store.write() as conn:
                team = teams.by_slug(conn, "agency")
                assert team is not None
                if events.wanted(conn, team.id, "acct_a"):
                    events.emit(conn, team.id, "tips.received", "now", {"n": 2}, account_id="acct_a")
                    return
            time.sleep(0.02)

    thread = threading.Thread(target=later)
    thread.start()
    code, seen = ofapi("webhooks", "listen", "--count", "1", "--for", "30")
    thread.join()
    assert code == 0
    assert [(one["event"], one["account_id"], one["payload"]) for one in seen] == [
        ("tips.received", "acct_a", {"n": 2})
    ]
    assert ofapi("webhooks", "list")[1] == []
    with store.read() as conn:
        team = teams.by_slug(conn, "agency")
        assert team is not None
        assert events.wanted(conn, team.id, "acct_a") == frozenset()


def test_listening_without_a_team_follows_all_of_them(ofapi: Ofapi, store: Store) -> None:
    """Each event says whose it is; no listener stays behind, of no team. A named team is followed alone."""
    assert ofapi("teams", "create", "second")[0] == 0

    def later() -> None:
        for slug in ("agency", "second"):
            end = time.monotonic() + 30
            while time.monotonic() < end:
                with store.write() as conn:
                    team = teams.by_slug(conn, slug)
                    assert team is not None
                    if events.emit(conn, team.id, "tips.received", slug, {}, account_id="acct_a"):
                        break
                time.sleep(0.02)

    thread = threading.Thread(target=later)
    thread.start()
    code, seen = ofapi("webhooks", "listen", "--count", "2", "--for", "30")
    thread.join()
    assert (code, [one["team"] for one in seen]) == (0, ["agency", "second"])
    with store.read() as conn:
        assert not any(events.wanted(conn, team.id, "acct_a") for team in teams.list_all(conn))
    thread = threading.Thread(target=_emit_once_wanted, args=(store, "second"))
    thread.start()
    code, seen = ofapi("webhooks", "listen", "--team", "second", "--count", "1", "--for", "30")
    thread.join()
    assert (code, [one["team"] for one in seen]) == (0, ["second"])


def test_an_event_that_is_committed_late_is_printed_too(ofapi: Ofapi, store: Store) -> None:
    """With PostgreSQL a lower id may show up after a higher one: nothing is skipped, nothing printed twice."""

    def later() -> None:
        for name, id_ in (("high", 50), ("low", 40)):
            end = time.monotonic() + 30
            while time.monotonic() < end:
                with store.write() as conn:
                    (team,) = teams.list_all(conn)
                    if events.emit(conn, team.id, "tips.received", name, {"n": name}, account_id="acct_a"):
                        newest = webhooks.newest_event(conn, None)
                        conn.execute(events.EVENTS.update().where(events.EVENTS.c.id == newest).values(id=id_))
                        break
                time.sleep(0.02)
            time.sleep(0.5)

    thread = threading.Thread(target=later)
    thread.start()
    code, seen = ofapi("webhooks", "listen", "--for", "4")
    thread.join()
    assert (code, [one["payload"]["n"] for one in seen]) == (0, ["high", "low"])


def _emit_once_wanted(store: Store, slug: str) -> None:
    """For that team; the others are asked each time, and must want nothing."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        with store.write() as conn:
            rows = teams.list_all(conn)
            done = [t.slug for t in rows if events.emit(conn, t.id, "tips.received", "later", {}, account_id="acct_a")]
        if done:
            assert done == [slug]
            return
        time.sleep(0.02)


def test_wrong_names_say_what_exists(ofapi: Ofapi) -> None:
    """Each with its own code."""
    assert ofapi("webhooks", "test", "wh_none")[1]["error"] == "webhook_not_found"
    assert ofapi("webhooks", "listen", "--event", "nothing")[1]["error"] == "bad_value"
    assert ofapi("webhooks", "listen", "--team", "nobody")[1]["error"] == "team_not_found"
