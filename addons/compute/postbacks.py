"""Postbacks: URLs of a team's that are called for conversions of its smart links (contract 6.9)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from addons.compute.api import Answer, Call, Checked, Handler
from addons.links.finding import parse_ulid
from addons.links.postbacks import NAME, NOT_TO_SET, VARIABLES, host_has_variable, unknown
from addons.net import url_check
from addons.pipeline.errors import Forbidden, NotFound, ValidationFailed
from ofapi_store.queries import postbacks, smart_links
from ofapi_store.queries.postbacks import GLOBAL, LinkName, PostbackRow, ResponseRow

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from addons.config import Config

MAX_ID = 2**63 - 1
SPECIFIC = "campaign_specific"


async def list_postbacks(call: Call) -> Answer:
    """Oldest first, no pages."""
    rows = await call.services.store.aread_slow(postbacks.list_for_team, call.team.id)
    return Answer(await _shown(call, rows))


async def get(call: Call) -> Answer:
    return await _one(call, await _mine(call))


async def create(call: Call) -> Answer:
    """`http_method` is GET where it is left out."""
    settings, links = await _settings(call)
    settings = {"http_method": "GET", "body": None, "headers": None} | settings
    row = await call.services.store.awrite(postbacks.create, call.team.id, settings, links, now=call.now())
    return await _one(call, row)


async def update(call: Call) -> Answer:
    """`http_method`, `body` and `headers` stay where they are left out; null takes body and headers away."""
    row = await _mine(call)
    settings, links = await _settings(call)
    changed = await call.services.store.awrite(postbacks.change, call.team.id, row.id, settings, links, now=call.now())
    if changed is None:
        raise NotFound("The postback was deleted meanwhile.")
    return await _one(call, changed)


async def delete(call: Call) -> Answer:
    """With its log; those that wait to be sent are not sent."""
    row = await _mine(call)
    await call.services.store.awrite(postbacks.remove, call.team.id, row.id)
    return Answer({"success": True, "message": "The postback was deleted."})


async def _mine(call: Call) -> PostbackRow:
    text = call.params["postback_id"]
    row = None
    if text.isascii() and text.isdecimal() and int(text) <= MAX_ID:
        row = await call.services.store.aread(postbacks.for_team, call.team.id, int(text))
    if row is None or not await _shown(call, [row]):
        raise NotFound("There is no such postback in this team. GET /smart-link-postbacks lists them.")
    return row


async def _one(call: Call, row: PostbackRow) -> Answer:
    shown = await _shown(call, [row])
    return Answer(shown[0])


async def _shown(call: Call, rows: Sequence[PostbackRow]) -> list[dict[str, Any]]:
    """Those that the key may see: one that is restricted to accounts sees postbacks for links of these accounts only."""
    names, last = await call.services.store.aread_slow(_read, [row.id for row in rows])
    allowed = call.key.account_ids
    return [
        _postback(call, row, names.get(row.id, []), last.get(row.id))
        for row in rows
        if allowed is None
        or (row.scope != GLOBAL and all(link.account_id in allowed for link in names.get(row.id, [])))
    ]


def _read(conn: Connection, ids: Sequence[int]) -> tuple[dict[int, list[LinkName]], dict[int, ResponseRow]]:
    return postbacks.links_of(conn, ids), postbacks.latest_responses(conn, ids)


def _postback(call: Call, row: PostbackRow, links: Sequence[LinkName], last: ResponseRow | None) -> dict[str, Any]:
    return {
        "id": row.id,
        "url": row.url,
        "http_method": row.http_method,
        "body": row.body,
        "headers": call.services.secrets.decrypt_json(row.headers) if row.headers else [],
        "conversion_types": row.conversion_types,
        "smart_link_scope": row.scope,
        "smart_link_ids": [link.id for link in links],
        "smart_links": [
            {
                "link_ulid": link.id,
                "name": link.name,
                "account_prefixed_id": link.account_id,
                "account_display_name": link.display_name,
            }
            for link in links
        ],
        "traffic_source_ids": [],
        "traffic_sources": [],
        "latest_response": None if last is None else _response(last),
        "created_at": row.created_at,
        "updated_at": row.updated_at,
    }


def _response(row: ResponseRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "conversion_type": row.conversion_type,
        "status_code": row.status_code,
        "succeeded": row.succeeded,
        "error_type": row.error_type,
        "error_message": row.error_message,
        "postback_url": row.postback_url,
        "created_at": row.created_at,
    }


# --- checks ---------------------------------------------------------------------------------------------------------


def _problems(config: Config, body: Mapping[str, Any]) -> dict[str, str]:
    """What the rule cannot say: where the URL leads, and variables that there are none of."""
    wrong: dict[str, str] = {}
    if "url" in body and (problem := _url_problem(config, body["url"])):
        wrong["url"] = problem
    if body.get("body") and (problem := _variable_problem("body", body["body"])):
        wrong["body"] = problem
    for i, header in enumerate(body.get("headers") or []):
        _header_problems(f"headers.{i}", header.get("name") or "", header.get("value") or "", wrong)
    if body.get("smart_link_scope") == SPECIFIC and body.get("smart_link_ids") == []:
        wrong["smart_link_ids"] = "The smart link ids field is required when smart link scope is campaign_specific."
    return wrong


async def _settings(call: Call) -> tuple[dict[str, Any], list[str]]:
    """Columns, only those that were sent, and the smart links. Raises ValidationFailed, Forbidden."""
    body = call.body
    scope = body["smart_link_scope"]
    sent = [] if scope == GLOBAL else body["smart_link_ids"]
    links = list(dict.fromkeys(parse_ulid(link) or link for link in sent))
    if problem := await _links_problem(call, links):
        raise ValidationFailed.of("smart_link_ids", problem)
    if call.key.account_ids is not None and scope == GLOBAL:
        raise Forbidden(
            "This API key is restricted to accounts: it may only make postbacks with smart_link_scope "
            "campaign_specific, for smart links of these accounts."
        )
    types = list(dict.fromkeys(body["conversion_types"]))
    found: dict[str, Any] = {"url": body["url"], "conversion_types": types, "scope": scope}
    found |= {name: body[name] for name in ("http_method", "body") if name in body}
    if "headers" in body:
        headers = _headers(body["headers"] or [])
        found["headers"] = call.services.secrets.encrypt_json(headers) if headers else None
    return found, links


def _url_problem(config: Config, url: str) -> str | None:
    if problem := url_check.problem(url, config.network):
        return f"The url field {problem}"
    if host_has_variable(url):
        return "The url field must not have a variable in its host."
    return _variable_problem("url", url)


def _variable_problem(field: str, text: str) -> str | None:
    names = unknown(text)
    if not names:
        return None
    known = ", ".join(f"{{{name}}}" for name in VARIABLES)
    return f"The {field} field has an unknown variable {{{names[0][:64]}}}. Known are {known}."


def _header_problems(field: str, name: str, value: str, wrong: dict[str, str]) -> None:
    """Puts what is wrong with one header into `wrong`; one that is empty is left out later."""
    if not name and not value:
        return
    if not name:
        wrong[f"{field}.name"] = f"The {field}.name field is required when {field}.value is present."
    elif not NAME.fullmatch(name):
        wrong[f"{field}.name"] = f"The {field}.name field format is invalid."
    elif name.lower() in NOT_TO_SET:
        wrong[f"{field}.name"] = f"The {field}.name field must not be {name}: the request sets it itself."
    if not value.replace("\t", " ").isprintable():
        wrong[f"{field}.value"] = f"The {field}.value field must be one line of printable characters."
    elif problem := _variable_problem(f"{field}.value", value):
        wrong[f"{field}.value"] = problem


def _headers(sent: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """`[{name, value}]` without empty ones."""
    pairs = [(header.get("name") or "", header.get("value") or "") for header in sent]
    return [{"name": name, "value": value} for name, value in pairs if name or value]


async def _links_problem(call: Call, links: Sequence[str]) -> str | None:
    possible = [link for link in links if parse_ulid(link)]
    known = await call.services.store.aread_slow(
        smart_links.among_team, call.team.id, possible, only=call.key.account_ids
    )
    missing = next((link for link in links if link not in known), None)
    return None if missing is None else f"The selected smart link {missing!r} is not a smart link of this team."


HANDLERS: dict[str, Handler] = {
    "postbacks.list": list_postbacks,
    "postbacks.create": Checked(create, _problems),
    "postbacks.get": get,
    "postbacks.update": Checked(update, _problems),
    "postbacks.delete": delete,
}
