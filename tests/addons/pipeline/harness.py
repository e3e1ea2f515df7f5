"""A gateway on a real store, real rules and the real runner; only upstream's answers are the test's own."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from addons.compute.api import Answer, Call
from addons.config import Config
from addons.pipeline.check import Known
from addons.pipeline.exchange import (
    Entry,
    Exchange,
    Headers,
    Request,
    Response,
    UpstreamFailure,
    UpstreamRequest,
)
from addons.pipeline.gateway import Gateway
from addons.pipeline.loader import load_rules
from addons.pipeline.plan import Plan
from addons.pipeline.services import Services
from ofapi_store import testing
from ofapi_store.engine import Store
from ofapi_store.queries.accounts import AccountRow
from ofapi_store.queries.teams import TeamRow
from ofapi_store.secrets import SecretBox

RULES = """
- id: fans-active
  match: GET /{account}/fans/active
  source: hybrid
  why: Fans with their last reply.
  params:
    limit: {type: int, min: 1, max: 20, default: 10}
    offset: {type: int, min: 0}
    filter[total_spent]: {type: int, min: 0}
  upstream: GET /api2/v2/subscriptions/subscribers?type=active&format=infinite
  query: {default: {limit: '10'}, rename: {q: query}, drop: [fresh]}
  observe:
    - {into: fans, each: '$.list[*]', columns: {fan_id: id, username: username, name: name}}
  steps:
    - {addon: lookup, table: fans, each: '$.list[*]', by: {fan_id: id}, set: {lastReplyAt: last_reply_at}}
  present: {page: offset}
- id: messages-list
  match: GET /{account}/chats/{chat_id}/messages
  source: hybrid
  why: Messages.
  upstream: GET /api2/v2/chats/{chat_id}/messages
  query: {rename: {first_id: id, last_id: id}}
  steps:
    - {addon: rename, each: '$.list[*]', set: {fromUser: sender}}
  present: {page: cursor, steps: [{addon: unwrap, path: $.list}]}
- id: transactions
  match: GET /{account}/transactions
  source: passthrough
  why: Money.
  upstream: GET /api2/v2/payouts/transactions
  present: {page: marker}
- id: messages-send
  match: POST /{account}/chats/{chat_id}/messages
  source: passthrough
  why: Send.
  body: {text: {type: string, max_length: 100}}
  upstream: POST /api2/v2/chats/{chat_id}/messages
- id: stats
  match: GET /{account}/stats
  source: passthrough
  why: A bare answer.
  upstream: GET /api2/v2/stats
  present: {bare: true}
- id: costly
  match: GET /{account}/costly
  source: passthrough
  why: Costs more.
  upstream: GET /api2/v2/costly
  credits: 7
- {id: whoami, match: GET /whoami, source: computed, why: Who., handler: accounts.whoami, credits: 0}
- {id: accounts-list, match: GET /accounts, source: computed, why: Accounts., handler: accounts.list, credits: 0}
- {id: accounts-disconnect, match: 'DELETE /accounts/{account}', source: computed, why: Gone., handler: accounts.disconnect, priority: 10}
- id: notes-add
  match: POST /{account}/notes
  source: computed
  why: A computed write.
  body: {name: {type: string, required: true}}
  handler: notes.add
"""

Upstream = Callable[[UpstreamRequest], Response | UpstreamFailure]


def json_answer(value: Any, status: int = 200, **headers: str) -> Response:
    """Upstream's JSON answer. Header names: `_` for `-`."""
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    fields = [("Content-Type", "application/json"), *((k.replace("_", "-"), v) for k, v in headers.items())]
    return Response(status, Headers(fields), body)


async def add_note(call: Call) -> Answer:
    """A computed handler."""
    return Answer({"note": call.body, "at": datetime(2025, 1, 1, 1, 1, 1, tzinfo=UTC)})


@dataclass
class Got:
    """What the client got."""

    status: int
    headers: Headers
    body: bytes
    exchange: Exchange

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Bench:
    """One gateway with a team, a key and an account; `upstream` answers, `sent` is what reached it."""

    store: Store
    box: SecretBox
    gateway: Gateway
    services: Services
    team: TeamRow
    token: str
    account: AccountRow
    upstream: Upstream = lambda _: json_answer({})
    sent: list[UpstreamRequest] = field(default_factory=list)

    async def call(
        self,
        method: str,
        target: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        token: str | None = "",
        entry: Entry | None = None,
        settle: bool = True,
    ) -> Got:
        """One exchange through all stages, as an engine drives them. `{a}` in `target` is the account."""
        x = await self.admitted(method, target, body=body, headers=headers, token=token, entry=entry)
        if x.response is None:
            assert x.upstream is not None
            self.sent.append(x.upstream)
            answer = self.upstream(x.upstream)
            if isinstance(answer, UpstreamFailure):
                self.gateway.fail(x, answer)
            else:
                await self.gateway.finish(x, answer)
        assert x.response is not None
        out = Got(x.response.status, x.response.headers, x.response.body, x)
        await self.gateway.after(x)
        if settle:
            await self.gateway.parts.observer.flush()
        return out

    async def admitted(
        self,
        method: str,
        target: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        token: str | None = "",
        entry: Entry | None = None,
    ) -> Exchange:
        """An exchange that is about to go upstream, or has been answered."""
        fields = dict(headers or {})
        if token is not None:
            fields.setdefault("Authorization", f"Bearer {token or self.token}")
        request = Request(method, target.replace("{a}", self.account.id), Headers(fields.items()), body)
        x = self.gateway.begin(request, entry or Entry("reverse", "http", "gw.test", 8080, "127.0.0.1"))
        await self.gateway.admit(x)
        self.gateway.request_mode(x)
        await self.gateway.prepare(x)
        return x

    async def api(self, path: str, **kwargs: Any) -> Got:
        """GET in the envelope dialect."""
        return await self.call("GET", f"/api/{path}", **kwargs)

    async def raw(self, path: str, **kwargs: Any) -> Got:
        """GET in the raw dialect."""
        return await self.call("GET", f"/{path}", **kwargs)


def make_bench(
    store: Store, box: SecretBox, tmp_path: Path, *, rules: str = RULES, config: Any = None, **team: Any
) -> Bench:
    """A bench over `rules`; `team`: values of the team's row."""
    folder = tmp_path / "rules"
    folder.mkdir(exist_ok=True)
    (folder / "rules.yaml").write_text(rules)
    plan: Plan = load_rules(folder, known=Known())
    services = Services(Config.build(config or {"upstream": {"base_url": "https://up.test"}}), store, box)
    from addons.compute.registry import handlers

    gateway = Gateway(services, lambda: plan, handlers={**handlers(), "notes.add": add_note})
    with store.write() as conn:
        made = testing.make_team(conn, **team)
        key = testing.make_key(conn, made.id)
        account = testing.make_account(conn, made.id, box=box)
    return Bench(store, box, gateway, services, made, key.token, account)
