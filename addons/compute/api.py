"""What a computed handler gets and gives."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from addons.pipeline import pagination, phpquery
from addons.pipeline.exchange import AccountContext, ApiKey, Request, Team, UpstreamRequest

if TYPE_CHECKING:
    from addons.config import Config
    from addons.pipeline.services import Services


@dataclass(slots=True)
class Call:
    """One call of a handler.

    `params`: path parameters, decoded. `query` and `body`: as validated by the rule's `params` and `body` blocks
    (converted, defaults filled in); `body` is None where the rule takes none. `base_url`: public root of this
    gateway without trailing slash, dialect prefix not included. `prefix`: `/api` in the envelope dialect, else "".
    `args`: the rule's own settings for the handler, for example which kind of link it is about. `upstream`: the body of
    upstream's 2xx answer, for a handler that a forwarded rule names in `then`.
    """

    params: Mapping[str, str]
    query: Mapping[str, Any]
    body: Any
    request: Request
    team: Team
    key: ApiKey
    account: AccountContext | None
    services: Services
    base_url: str
    prefix: str
    client_ip: str
    queries: list[str] = field(default_factory=list)
    args: Mapping[str, Any] = field(default_factory=dict)
    upstream: bytes | None = None

    def now(self) -> datetime:
        """The clock of the services, UTC."""
        return self.services.clock()

    def page_url(self, changes: Mapping[str, str]) -> str:
        """The absolute URL of this request with other query parameters."""
        query = phpquery.with_values(self.request.target.partition("?")[2], dict(changes))
        return pagination.page_url(self.base_url, self.request.target, query)

    async def booked(self) -> None:
        """Waits until the ledger holds what this process has answered so far."""
        if (meter := self.services.parts.get("meter")) is not None:
            await meter.flush()


@dataclass(slots=True)
class NextPage:
    """Query parameters of the next page, merged over the request's own; None means that this is the last page."""

    query: Mapping[str, Any] | None = None


@dataclass(slots=True)
class Answer:
    """`data`: plain Python (Decimal is an exact JSON number, datetime upstream's format) or bytes of JSON.

    `bare`: no envelope in either dialect. `page`: adds `_pagination` in the envelope. `raw`: a non-JSON body with its
    own Content-Type in `headers` (a redirect, a page); `data` is then ignored.
    """

    data: Any = None
    status: int = 200
    bare: bool = False
    page: NextPage | None = None
    headers: list[tuple[str, str]] = field(default_factory=list)
    raw: bytes | None = None
    meta: Mapping[str, Any] | None = None
    pagination: Mapping[str, Any] | None = None  # extra members of `_pagination`, e.g. notice


Handler = Callable[[Call], Awaitable[Answer | UpstreamRequest]]
"""An UpstreamRequest is a hop to our own file server: media handlers stream."""


@dataclass(frozen=True, slots=True)
class Selection:
    """The rows of a page, as the store knows them: upstream is asked for these alone.

    `check` gets the JSON text of a row as upstream has it: True where it belongs on the page, False where it no longer
    does, None where upstream does not say enough. `source`: what the answer tells of the index. `table`: where it is.
    """

    ids: Sequence[int]
    has_more: bool
    check: Callable[[bytes], bool | None]
    source: Mapping[str, Any]
    table: str


Selector = Callable[[Call], Awaitable[Selection]]
"""What a rule names in `index.handler`. `body` and `upstream` of its call are None."""


BodyCheck = Callable[["Config", Mapping[str, Any]], Mapping[str, str]]
"""What is wrong by field, of the fields that the rule found right."""


@dataclass(frozen=True, slots=True)
class Checked:
    """A handler with a look of its own at the body: one 422 tells what it finds together with what the rule finds."""

    run: Handler
    check: BodyCheck

    def __call__(self, call: Call) -> Awaitable[Answer | UpstreamRequest]:
        return self.run(call)
