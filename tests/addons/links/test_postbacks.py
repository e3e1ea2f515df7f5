"""Templates of postbacks: each value is made safe for the place where it stands."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.links.postbacks import (
    USER_AGENT,
    VARIABLES,
    filled_url,
    host_has_variable,
    prepare,
    unknown,
    values_of,
)
from ofapi_store.queries.postbacks import PostbackRow

AT = datetime(2026, 1, 1, tzinfo=UTC)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


def values(**given_: str) -> dict[str, str]:
    return {**dict.fromkeys(VARIABLES, ""), **given_}


def row(**given_: Any) -> PostbackRow:
    base = {"id": 1, "team_id": "t", "url": "https://a.test/", "http_method": "POST", "body": None, "headers": None}
    base |= {"conversion_types": [], "scope": "global", "created_at": AT, "updated_at": AT}
    return PostbackRow(**{**base, **given_})


@given(TEXT)
def test_in_a_url_a_value_is_one_parameter(value: str) -> None:
    """Whatever a click brought, the receiver decodes exactly that, and no other parameter changes."""
    url = str(filled_url("https://a.test/p?cid={external_click_id}&x=1", values(external_click_id=value)))
    assert parse_qs(urlsplit(url).query, keep_blank_values=True) == {"cid": [value], "x": ["1"]}


@given(TEXT)
def test_in_json_a_value_is_one_string(value: str) -> None:
    """No value ends the string that it stands in."""
    body = '{"cid": "{external_click_id}", "x": 1}'
    sent = prepare(row(body=body), [], values(external_click_id=value))
    assert sent.body is not None
    assert json.loads(sent.body) == {"cid": value, "x": 1}


@given(TEXT)
def test_in_a_header_a_value_stays_on_its_line(value: str) -> None:
    """No value begins a header of its own."""
    sent = prepare(row(), [{"name": "X-Id", "value": "a {gclid} b"}], values(gclid=value))
    found = dict(sent.headers)["X-Id"]
    assert found.startswith("a ")
    assert not any(ord(c) < 32 or 127 <= ord(c) < 160 for c in found)


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("https://a.test", "https://a.test/"),
        ("https://a.test?c={click_id}", "https://a.test/?c=K%2F1"),
        ("https://a.test:8443/{click_id}/p?q=%2B%20+&u=é#part", "https://a.test:8443/K%2F1/p?q=%2B%20+&u=%C3%A9"),
        ("https://bücher.test/a b?{click_id}", "https://xn--bcher-kva.test/a%20b?K%2F1"),
        ("https://a.test/?c={other}", "https://a.test/?c=%7Bother%7D"),
    ],
)
def test_what_a_url_has_encoded_stays(template: str, expected: str) -> None:
    """Only values, and what may not stand in a URL, are encoded; a fragment is not sent."""
    assert str(filled_url(template, values(click_id="K/1"))) == expected


@pytest.mark.parametrize(
    ("headers", "body", "kind", "sent"),
    [
        ([], '{"c":"{click_id}"}', "application/json", b'{"c":"a&\\""}'),
        ([], '\n[{amount_gross}, "{click_id}"]', "application/json", b'\n[1.50, "a&\\""]'),
        ([], "c={click_id}&d=1", "application/x-www-form-urlencoded", b"c=a%26%22&d=1"),
        ([("content-type", "text/plain")], "c={click_id}", "text/plain", b'c=a&"'),
        ([("Content-Type", "application/x+json; v=1")], '"{click_id}"', "application/x+json; v=1", b'"a&\\""'),
    ],
)
def test_a_body_is_escaped_by_its_type(headers: list[tuple[str, str]], body: str, kind: str, sent: bytes) -> None:
    """Content-Type is the postback's own, else what its body looks like."""
    given_ = [{"name": n, "value": v} for n, v in headers]
    prepared = prepare(row(body=body), given_, values(click_id='a&"', amount_gross="1.50"))
    assert prepared.body == sent
    assert {n.lower(): v for n, v in prepared.headers} == {"content-type": kind, "user-agent": USER_AGENT}


def test_get_sends_no_body() -> None:
    """A body template waits for the day when the method becomes POST."""
    prepared = prepare(row(http_method="GET", body="{click_id}"), [{"name": "User-Agent", "value": "me"}], values())
    assert (prepared.method, prepared.body, prepared.headers) == ("GET", None, [("User-Agent", "me")])


def test_every_variable_has_a_value() -> None:
    """Money with two decimals, what the click did not have as nothing; JSON around a variable is no variable."""
    payload = {"postback": 1, "conversion": 7, "type": "new_transaction", "smart_link": "L", "click": "C"}
    payload |= {"at": AT.isoformat(), "gross": 1250, "net": 1000, "params": {"fbclid": "f", "utm_source": "u"}}
    found = values_of(payload)
    assert sorted(found) == sorted(VARIABLES)
    assert (found["amount_gross"], found["amount_net"], found["fbclid"], found["gclid"]) == ("12.50", "10.00", "f", "")
    assert (found["click_id"], found["conversion_id"], found["conversion_type"]) == ("C", "7", "new_transaction")
    assert unknown('{"a": {click_id}, "b": "{ nope }"}') == []
    assert unknown("{clik_id}{click_id}{aff_s1}") == ["aff_s1", "clik_id"]
    assert host_has_variable("https://{click_id}.test/")
    assert not host_has_variable("https://a.test/{click_id}")
