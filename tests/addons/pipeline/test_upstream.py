"""What of the client's request goes up: query, headers, signature."""

from __future__ import annotations

import pytest

from addons.pipeline.exchange import Headers
from addons.pipeline.upstream import QueryMap, accepts_gzip, load_signer, own_session_headers


@pytest.mark.parametrize("name", ["nowhere_at_all:x", "json:nothing", "json:__doc__"])
def test_a_signer_that_is_none_stops_the_start(name: str) -> None:
    """The message names the config key."""
    with pytest.raises(ValueError, match=r"upstream\.signer"):
        load_signer(name)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("gzip", True),
        ("br, GZIP;q=0.5", True),
        ("*", True),
        ("br", False),
        (None, False),
        ("gzip;q=0", False),
        ("xgzip", False),
    ],
)
def test_accept_encoding_is_read(value: str | None, expected: bool) -> None:
    """`q=0` is a no."""
    assert accepts_gzip(value) is expected


def test_query_maps() -> None:
    """Renames, dropped names, values, lists that are split, and the rule's own parameters."""
    rule = QueryMap(
        {"ids": "m[]"}, frozenset({"fresh"}), {"filter": {"with_tips": "who_tipped"}}, (("a", "1"),), {"ids": ","}
    )
    assert rule.apply("ids=1,2&fresh=1&filter=with_tips&x=%2F") == "a=1&m[]=1&m[]=2&filter=who_tipped&x=%2F"
    assert rule.apply("a=9") == "a=9"


@pytest.mark.parametrize("drop", [frozenset(), frozenset({"fresh"})])
def test_an_empty_value_gives_way_to_the_rules(drop: frozenset[str]) -> None:
    """`limit=` asks for no limit of its own; parameters without one in the rule go up as sent."""
    rule = QueryMap(drop=drop, static=(("limit", "10"),))
    assert rule.apply("limit=&query=&x=1") == "limit=10&query=&x=1"
    assert rule.apply("limit=5&limit=") == "limit=5"
    assert rule.apply("") == "limit=10"


def test_a_client_with_its_own_session_keeps_its_headers() -> None:
    """All but ours and the hop's."""
    mine = Headers(
        [
            ("Cookie", "s=1"),
            ("sign", "x"),
            ("Authorization", "Bearer k"),
            ("X-OFAPI-Account", "a"),
            ("Connection", "x-hop"),
            ("X-Hop", "1"),
        ]
    )
    assert [k for k, _ in own_session_headers(mine)] == ["Cookie", "sign"]
