"""`/__sim__/…`: faults, ground truth, the log, and making things happen. JSON in, JSON out; not logged, no login needed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import orjson
from aiohttp import web

from scripts.simulator import events
from scripts.simulator.truth import Truth

if TYPE_CHECKING:
    from scripts.simulator.app import App


def reply(data: Any, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(data), status=status, content_type="application/json")


async def answer(app: App, request: web.BaseRequest) -> web.Response:
    """Route one control request; bad input gives 400 with what was wrong."""
    path = request.path.removeprefix("/__sim__/").strip("/")
    try:
        body = orjson.loads(await request.read() or b"{}")
        return reply(_do(app, request.method, path, body))
    except LookupError as problem:
        return reply({"error": f"not found: {problem}"}, 404)
    except (ValueError, TypeError) as problem:
        return reply({"error": str(problem)}, 400)


def _do(app: App, method: str, path: str, body: dict[str, Any]) -> Any:
    head, _, rest = path.partition("/")
    if head == "faults":
        return {"removed": app.faults.clear(int(rest))} if rest else _faults(app, method, body)
    if head == "truth":
        return _truth(app, rest.split("/"))
    if head == "events" and method == "POST":
        return events.happen(app.world, rest, body)
    if path in PLAIN:
        return PLAIN[path](app, method)
    raise LookupError(path)


def _log(app: App, method: str) -> Any:
    records = list(app.log.records)
    if method == "DELETE":
        app.log.records.clear()
    return records


def _world(app: App, _method: str) -> Any:
    return {
        **Truth(app.world).summary(),
        "options": {key: value for key, value in asdict(app.world.options).items() if key != "now"},
    }


def _reset(app: App, method: str) -> Any:
    if method != "POST":
        raise ValueError("reset wants POST")
    app.faults.clear()
    app.log.records.clear()
    app.reset()
    return Truth(app.world).summary()


PLAIN: dict[str, Callable[[App, str], Any]] = {
    "log": _log,
    "world": _world,
    "reset": _reset,
    "accounts": lambda app, _method: [events.account(who) for who in app.world.creators],
}


def _faults(app: App, method: str, body: dict[str, Any]) -> Any:
    if method == "POST":
        return app.faults.add(**body).view()
    if method == "DELETE":
        return {"removed": app.faults.clear()}
    return [fault.view() for fault in app.faults.active()]


def _truth(app: App, parts: list[str]) -> Any:
    truth = Truth(app.world)
    topic, who = (
        parts[0],
        next((one for one in app.world.creators if parts[1:] and parts[1] in {str(one.id), one.username}), None),
    )
    if who is None:
        raise LookupError("creator (truth/links|transactions|last-reply/CREATOR)")
    if topic == "links":
        found = truth.links(who)
        return found if len(parts) == 2 else found[parts[2]]
    if topic == "transactions":
        return truth.transactions(who)
    if topic == "last-reply":
        return {str(key): value for key, value in truth.last_reply(who).items()}
    raise LookupError(topic)
