"""Where a visitor is sent, and what is written down of it before the answer."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import update

from addons.config import Config
from addons.links.records import Record, parse_lines, row_of
from addons.links.redirect import Redirects
from addons.links.writing import ClickWriter
from addons.pipeline.exchange import Entry, Exchange, Headers, Request, Response
from addons.pipeline.paths import canonical_path
from addons.pipeline.services import Services
from ofapi_store.engine import Store
from ofapi_store.queries import accounts, links, pools
from ofapi_store.queries.accounts import AccountRow
from ofapi_store.secrets import SecretBox
from tests.addons.links.making import START, make_smart
from tests.addons.links.test_storing import BROWSER


class Place:
    """A redirect over one smart link with two pool links; `seen` are the clicks as they stand in the spool."""

    def __init__(self, store: Store, account: AccountRow, box: SecretBox, folder: Path) -> None:
        self.store, self.account = store, account
        with store.write() as conn:
            self.smart = make_smart(conn, account.team_id, account.id)
            pools.add(conn, self.smart, ["a", "b"], now=START)
            for n, member in enumerate(pools.of_smart(conn, self.smart)):
                pk = links.ensure(conn, account.id, "tracking", n + 1)
                pools.made(conn, member.id, link_pk=pk, url=f"https://onlyfans.com/x/c{n}")
        (folder / "key").write_text(SecretBox.generate_key())
        config = Config.build(
            {"links": {"spool_dir": str(folder)}, "secrets": {"keys": [{"file": str(folder / "key")}]}}
        )
        self.writer = ClickWriter(Services(config, store, box))
        self.redirects = Redirects(Services(config, store, box), self.writer)
        self.seen: list[Record] = []

        async def write(record: Record) -> None:
            self.seen += parse_lines([record.line()])

        self.writer.write = write  # type: ignore[method-assign]

    async def go(self, query: str = "", ip: str = "203.0.113.9", agent: str = BROWSER, **headers: str) -> Response:
        fields = {"User-Agent": agent} | {name.replace("_", "-"): value for name, value in headers.items()}
        request = Request("GET", f"/{self.smart}{query}", Headers(fields.items()))
        x = Exchange(id="x", entry=Entry("reverse", "http", "gate.test", 80, ip), request=request, started=0.0)
        x.path = canonical_path(request.target)
        return await self.redirects.answer(x)


@pytest.fixture
def place(sqlite_store: Store, secret_box: SecretBox, tmp_path: Path) -> Place:
    from ofapi_store import testing

    with sqlite_store.write() as conn:
        account = testing.make_account(conn, testing.make_team(conn).id)
    return Place(sqlite_store, account, secret_box, tmp_path)


@pytest.mark.parametrize(
    ("query", "source"),
    [
        ("?utm_source=caf%C3%A9", "café"),
        ("?utm_source=café", "café"),
        ("?utm_source=a\udcff", "a\N{REPLACEMENT CHARACTER}"),
        ("?utm_source=a%ff", "a\N{REPLACEMENT CHARACTER}"),
        ("?utm_source=a%00b", "ab"),
        ("?utm_source=first&utm_source=second", "first"),
        ("?utm_source=" + "x" * 600, "x" * 512),
        ("?utm_source[]=x&utm_source", None),
        ("?utm_source=x&" + "&".join(f"p{n}" for n in range(2000)), "x"),
    ],
)
async def test_any_query_is_followed(place: Place, query: str, source: str | None) -> None:
    """Whatever bytes an advertiser sends, the visitor arrives and what can be read is kept."""
    assert (await place.go(query)).status == 302
    (record,) = place.seen
    assert (row_of(record, place.writer.places)["params"] or {}).get("utm_source") == source


async def test_a_new_user_name_breaks_no_link(place: Place) -> None:
    """Tracking links lead below the profile as it is called now."""
    first = await place.go(ip="203.0.113.1")
    assert (first.headers.get("location") or "").startswith(f"https://onlyfans.com/{place.account.username}/c")
    with place.store.write() as conn:
        conn.execute(update(accounts.ACCOUNTS).values(username="renamed"))
    place.redirects.forget(place.smart)
    again = await place.go(ip="203.0.113.1")
    assert (again.headers.get("location") or "").startswith("https://onlyfans.com/renamed/c")


async def test_visitors_are_who_the_front_proxy_says(place: Place) -> None:
    """Another address is another visitor with a link of its own; the same one comes to the same link again."""
    places = [(await place.go(ip=ip)).headers.get("location") for ip in ("203.0.113.1", "2001:db8::1", "203.0.113.1")]
    assert places[0] == places[2] != places[1]
    assert [record.ip for record in place.seen] == ["203.0.113.1", "2001:db8::1", "203.0.113.1"]
    assert len({record.visitor for record in place.seen}) == 2
