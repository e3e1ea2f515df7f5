"""The route table, the call that handlers get, and paging."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import orjson

from scripts.simulator import times
from scripts.simulator.model import Creator

if TYPE_CHECKING:
    from aiohttp import web

    from scripts.simulator.model import Fan
    from scripts.simulator.world import World

MAX_LIMIT = 1000
PLAIN = re.compile(r"<[^>]+>")


class Fail(Exception):
    """Upstream's error answer: `{"error": {"code": int, "message": str}}`."""

    def __init__(self, status: int, message: str, code: int = 0) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code or status, message


@dataclass
class Reply:
    """An answer that is more than 200 with JSON. `body` bytes go out as they are."""

    body: Any
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    cookies: dict[str, str] = field(default_factory=dict)
    content_type: str = "application/json"


@dataclass
class Call:
    """One request of a logged-in creator."""

    world: World
    who: Creator
    params: dict[str, str]
    query: Sequence[tuple[str, str]]
    raw: bytes
    request: web.BaseRequest
    now: datetime
    memo: dict[str, Any] = field(default_factory=dict)

    def get(self, name: str, default: str | None = None) -> str | None:
        return next((value for key, value in self.query if key == name), default)

    def all(self, *names: str) -> list[str]:
        return [value for key, value in self.query if key in names]

    def flag(self, name: str) -> bool:
        return self.get(name, "") in {"1", "true", "all"}

    def number(self, name: str, default: int) -> int:
        try:
            return int(self.get(name) or default)
        except ValueError:
            raise Fail(400, f"Wrong value for {name}.") from None

    @property
    def limit(self) -> int:
        return min(max(self.number("limit", 10), 1), MAX_LIMIT)

    @property
    def offset(self) -> int:
        return max(self.number("offset", 0), 0)

    def id(self, name: str) -> int:
        """A numeric path parameter; anything else is upstream's 404."""
        text = self.params[name]
        if not text.isdigit():
            raise Fail(404, "Not found")
        return int(text)

    @property
    def body(self) -> dict[str, Any]:
        """The JSON object of the request; form fields are not read. An empty body is an empty object."""
        if not self.raw:
            return {}
        try:
            data = orjson.loads(self.raw)
        except orjson.JSONDecodeError:
            raise Fail(400, "Wrong request body.") from None
        if not isinstance(data, dict):
            raise Fail(400, "Wrong request body.")
        return data

    def field(self, *names: str, default: Any = None) -> Any:
        """The first of these names that the body has: upstream's spelling first, then the public one."""
        body = self.body
        return next((body[name] for name in names if name in body), default)

    def dates(self, days: int = 30) -> tuple[datetime, datetime]:
        """`startDate` and `endDate`; without them the last `days` days."""
        start = times.parse(self.get("startDate") or self.get("start_date"), self.now, self.now - timedelta(days=days))
        return start, times.parse(self.get("endDate") or self.get("end_date"), self.now, self.now)

    def fan(self, name: str = "uid") -> Fan:
        fan = self.who.fans.get(self.id(name)) or self.who.following.get(self.id(name))
        if fan is None or fan.deleted:
            raise Fail(404, "User not found")
        return fan


Handler = Callable[[Call], Any]


@dataclass
class Route:
    method: str
    template: str
    handler: Handler
    etag: bool = False
    stream: bool = False
    public: bool = False


class Table:
    """Method and number of segments -> candidates, literal segments first."""

    def __init__(self) -> None:
        self.routes: list[Route] = []
        self._index: dict[tuple[str, int], list[tuple[list[str], Route]]] = {}

    def add(self, route: Route) -> None:
        segments = route.template.strip("/").split("/")
        bucket = self._index.setdefault((route.method, len(segments)), [])
        bucket.append((segments, route))
        bucket.sort(key=lambda entry: [part.startswith("{") for part in entry[0]])
        self.routes.append(route)

    def match(self, method: str, path: str) -> tuple[Route, dict[str, str]] | None:
        parts = path.strip("/").split("/")
        for segments, route in self._index.get((method, len(parts)), ()):
            if all(want == part or want[0] == "{" for want, part in zip(segments, parts, strict=True)):
                return route, {want[1:-1]: part for want, part in zip(segments, parts, strict=True) if want[0] == "{"}
        return None

    def methods(self, path: str) -> list[str]:
        return [method for method in ("GET", "POST", "PUT", "PATCH", "DELETE") if self.match(method, path)]


TABLE = Table()


def route(*specs: str, etag: bool = False, stream: bool = False, public: bool = False) -> Callable[[Handler], Handler]:
    """Register a handler for `METHOD /path` specs (below `/api2/v2`)."""

    def register(handler: Handler) -> Handler:
        for spec in specs:
            method, template = spec.split(" ", 1)
            TABLE.add(Route(method, template, handler, etag, stream, public))
        return handler

    return register


def page[T](rows: Sequence[T], offset: int, limit: int) -> tuple[Sequence[T], bool]:
    """(rows[offset:offset+limit], whether more follow)."""
    return rows[offset : offset + limit], offset + limit < len(rows)


def matches(text: str | None, *fields: str) -> bool:
    """Case-insensitive substring search; no text matches everything."""
    return not text or any(text.lower() in one.lower() for one in fields)


def plain(html: str) -> str:
    return PLAIN.sub("", html)


def as_html(text: str) -> str:
    return text if text.startswith("<") else f"<p>{text}</p>"


def ids(values: Iterable[Any]) -> list[int]:
    """Numbers out of a list that may hold them as text; others are ignored."""
    return [int(value) for value in values if str(value).isdigit()]


OK = {"success": True}
