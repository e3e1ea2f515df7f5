"""Smart links, clicks and conversions in a store, for tests that need them to be there."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection

from ofapi_store.ids import ulid_at
from ofapi_store.queries import clicks, conversions, smart_links
from ofapi_store.queries.conversions import ConversionRow, NewConversion

START = datetime(2026, 1, 1, tzinfo=UTC)


def ulid(number: int, at: datetime = START) -> str:
    """The ULID number so-and-so of a moment."""
    return f"{ulid_at(at)[:10]}{number:016d}"


def make_smart(conn: Connection, team_id: str, account_id: str, number: int = 1, **values: Any) -> str:
    """Its id."""
    row = {"team_id": team_id, "account_id": account_id, "name": f"link {number}", "link_type": "tracking_link"}
    row |= {"free_trial_days": None, "state": "active", "pool_problem": None, "created_at": START}
    row |= {"updated_at": START, "display_name": "", "username": None}
    smart = ulid(number)
    smart_links.create(conn, smart_links.SmartRow(**{"id": smart, **row, **values}))
    return smart


def make_click(conn: Connection, smart: str, number: int, params: Mapping[str, str] | None = None) -> str:
    """The click's id."""
    row = dict.fromkeys(clicks.ClickRow.__slots__)
    row |= {"smart_link_id": smart, "id": ulid(number), "created_at": START, "visitor": f"v{number}"}
    row |= {"is_bot": False, "is_duplicate": False, "is_shared": False, "gross_clicks": 1, "params": params}
    clicks.insert(conn, [row])
    return ulid(number)


def convert(
    conn: Connection, account_id: str, smart: str, click: str, *, fan: int = 1, **payments: tuple[int, int]
) -> list[ConversionRow]:
    """A fan's `new_subscriber` and a `new_transaction` per payment `id=(gross, net)`; those that are new."""
    wanted = {(smart, fan, "new_subscriber", ""): NewConversion(START, 0, 0, click, False, False)}
    for fact, (gross, net) in payments.items():
        wanted[smart, fan, "new_transaction", fact] = NewConversion(START, net, gross, click, False, False)
    return conversions.replace(conn, account_id, [fan], wanted)
