"""A click between its answer and the store: the line that is written, and what is read out of it later."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

import orjson
from ulid import ULID

from addons.links.clicks import AddressRanges, device_of, is_crawler, parameters
from addons.pipeline import phpquery
from ofapi_store.types import from_micros

if TYPE_CHECKING:
    from addons.config.working import Links

LONG_TEXT = 2048


class Countries(Protocol):
    """A MaxMind reader."""

    def get(self, address: str) -> Any: ...


@dataclass(slots=True)
class Record:
    """What the redirect knows of a click without parsing anything.

    `visitor`, `yesterday`: see VisitorIds. `ip` is empty where addresses are not to be stored; `country` and
    `is_datacenter` were then looked up before it was forgotten.
    """

    id: str
    smart_link_id: str
    pool_id: int | None
    is_shared: bool
    visitor: str
    yesterday: str
    ip: str
    user_agent: str
    referrer: str
    query: str
    is_prefetch: bool
    country: str | None = None
    is_datacenter: bool = False

    def line(self) -> bytes:
        return orjson.dumps([getattr(self, name) for name in _FIELDS]) + b"\n"


_FIELDS = tuple(Record.__dataclass_fields__)


def parse_lines(lines: Iterable[bytes]) -> list[Record]:
    """Records of a spool. A line that is none (a disk gone bad) is left out."""
    found = []
    for line in lines:
        try:
            found.append(Record(*orjson.loads(line)))
        except (orjson.JSONDecodeError, TypeError):
            continue
    return found


def clean(text: str | None) -> str:
    """Text that every database and JSON can hold: no NUL, no lone surrogates, at most 2048 characters."""
    return (text or "")[:LONG_TEXT].replace("\x00", "").encode("utf-8", "replace").decode()


class Places:
    """Country and data centre of an address, from the operator's files. Raises OSError or ValueError for bad files."""

    def __init__(self, config: Links) -> None:
        self._countries: Countries | None = None
        self._ranges = AddressRanges()
        if config.mmdb is not None:
            import maxminddb

            self._countries = maxminddb.open_database(config.mmdb)
        if config.datacenter_ranges_file is not None:
            self._ranges = AddressRanges.read(config.datacenter_ranges_file)

    def country(self, ip: str) -> str | None:
        """ISO 3166 code, None where it is not known."""
        if self._countries is None or not ip:
            return None
        try:
            found = self._countries.get(ip)
        except ValueError:
            return None
        place = found.get("country") or found.get("registered_country") if isinstance(found, dict) else None
        code = place.get("iso_code") if isinstance(place, dict) else None
        return code if isinstance(code, str) and len(code) == 2 else None

    def is_datacenter(self, ip: str) -> bool:
        return bool(ip) and ip in self._ranges


def created_at(click_id: str) -> datetime:
    """The time in a click's id."""
    return from_micros(int(ULID.from_str(click_id).milliseconds) * 1000)


def row_of(record: Record, places: Places) -> dict[str, Any]:
    """The click as the store keeps it, but for what other clicks decide (`is_duplicate`, `gross_clicks`)."""
    device = device_of(record.user_agent)
    datacenter = record.is_datacenter or places.is_datacenter(record.ip)
    is_bot = record.is_prefetch or datacenter or is_crawler(record.user_agent)
    sent = {name: value for name, value in parameters(_query(record.query)).items() if value is not None}
    return {
        "smart_link_id": record.smart_link_id,
        "id": record.id,
        "created_at": created_at(record.id),
        "pool_id": None if is_bot else record.pool_id,
        "visitor": record.visitor,
        "ip_address": record.ip[:45] or None,
        "user_agent": record.user_agent or None,
        "referrer": record.referrer or None,
        "device_type": device.device_type,
        "browser_name": _short(device.browser_name),
        "browser_family": _short(device.browser_family),
        "platform": _short(device.platform),
        "country_code": record.country or places.country(record.ip),
        "is_bot": is_bot,
        "is_duplicate": False,
        "is_shared": record.is_shared,
        "gross_clicks": 1,
        "params": sent or None,
    }


def _query(text: str) -> dict[str, str]:
    """Of equal names the first one counts, and of very many parameters the first thousand."""
    most = phpquery.MAX_PAIRS
    sent = "&".join(text.split("&", most)[:most])
    return {pair.name: clean(pair.value) for pair in reversed(phpquery.pairs(sent))}


def _short(text: str | None) -> str | None:
    return None if text is None else text[:120]
