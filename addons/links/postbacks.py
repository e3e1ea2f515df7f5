"""What a postback sends: its templates with the variables of a conversion filled in (contract 6.9).

Values come from a public redirect's query: each is made safe for the place where it stands.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import orjson
from yarl import URL

from addons.links.clicks import CLICK_IDS
from ofapi_store.types import from_cents

if TYPE_CHECKING:
    from ofapi_store.queries.postbacks import PostbackRow

USER_AGENT = "OnlyFansAPI.com/Postback-Client"
VARIABLES = (
    "external_click_id",
    "click_id",
    "conversion_type",
    "amount_gross",
    *CLICK_IDS,
    "amount_net",
    "conversion_id",
    "conversion_at",
    "smart_link_id",
)
"""Those of the contract, and of ours: `conversion_id`, the same for every try, by which a receiver drops repeats."""
NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
NOT_TO_SET = frozenset({"connection", "content-length", "host", "te", "trailer", "transfer-encoding", "upgrade"})
_VARIABLE = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")
_MAY_STAND = "".join(c for c in map(chr, range(0x21, 0x7F)) if c not in '"<>\\^`{|}')
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
JSON_TYPE = "application/json"
FORM_TYPE = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class Prepared:
    """A request ready to be sent. `url` is encoded already."""

    method: str
    url: URL
    headers: list[tuple[str, str]]
    body: bytes | None


def unknown(text: str) -> list[str]:
    """Names in braces that are no variables: they would be sent as they stand."""
    return sorted({name for name in _VARIABLE.findall(text) if name not in VARIABLES})


def host_has_variable(url: str) -> bool:
    """Where a postback goes must not depend on a click."""
    return bool(_VARIABLE.search(urlsplit(url).netloc))


def values_of(payload: Mapping[str, Any]) -> dict[str, str]:
    """Every variable as text, empty where the click had none. `payload`: the job's."""
    params = payload["params"]
    found = {name: str(params.get(name) or "") for name in ("external_click_id", *CLICK_IDS)}
    return found | {
        "click_id": payload["click"],
        "conversion_type": payload["type"],
        "amount_gross": _money(payload["gross"]),
        "amount_net": _money(payload["net"]),
        "conversion_id": str(payload["conversion"]),
        "conversion_at": payload["at"],
        "smart_link_id": payload["smart_link"],
    }


def _money(cents: int) -> str:
    return f"{from_cents(cents):.2f}"


def prepare(row: PostbackRow, headers: Sequence[Mapping[str, str]], values: Mapping[str, str]) -> Prepared:
    """`headers`: `[{name, value}]` as decrypted. Raises ValueError where the URL cannot be used."""
    sent = [(h["name"], fill(h["value"], values, _for_header)) for h in headers]
    names = {name.lower() for name, _ in sent}
    if "user-agent" not in names:
        sent.append(("User-Agent", USER_AGENT))
    body = None
    if row.http_method == "POST" and row.body:
        kind = next((v for n, v in sent if n.lower() == "content-type"), None)
        if kind is None:
            kind = JSON_TYPE if row.body.lstrip()[:1] in ("{", "[") else FORM_TYPE
            sent.append(("Content-Type", kind))
        body = fill(row.body, values, _escape_of(kind)).encode()
    return Prepared(row.http_method, filled_url(row.url, values), sent, body)


def filled_url(template: str, values: Mapping[str, str]) -> URL:
    """Values percent-encoded whole; what the template itself has encoded stays as it is."""
    parts = urlsplit(template)
    rest = parts._replace(scheme="", netloc="", fragment="").geturl() or "/"
    if rest.startswith("?"):
        rest = "/" + rest
    pieces = _VARIABLE.split(rest)
    encoded = [
        _for_url(values[piece]) if i % 2 and piece in values else quote(f"{{{piece}}}" if i % 2 else piece, _MAY_STAND)
        for i, piece in enumerate(pieces)
    ]
    origin = URL(f"{parts.scheme}://{parts.netloc}").origin()
    return URL(str(origin).rstrip("/") + "".join(encoded), encoded=True)


def fill(template: str, values: Mapping[str, str], escape: Callable[[str], str]) -> str:
    """Each known variable replaced by its escaped value; anything else stays."""
    return _VARIABLE.sub(lambda found: _value(found[1], values, escape), template)


def _value(name: str, values: Mapping[str, str], escape: Callable[[str], str]) -> str:
    return escape(values[name]) if name in values else f"{{{name}}}"


def _escape_of(content_type: str) -> Callable[[str], str]:
    kind = content_type.partition(";")[0].strip().lower()
    if kind.endswith(("/json", "+json")):
        return _for_json
    return _for_url if kind == FORM_TYPE else _as_text


def _for_url(value: str) -> str:
    return quote(value.encode("utf-8", "replace"), safe="")


def _for_json(value: str) -> str:
    """What stands between the quotes of a JSON string."""
    return orjson.dumps(_as_text(value)).decode()[1:-1]


def _for_header(value: str) -> str:
    """A value must not begin a header of its own."""
    return _CONTROL.sub(" ", _as_text(value)).strip()


def _as_text(value: str) -> str:
    return value.encode("utf-8", "replace").decode()
