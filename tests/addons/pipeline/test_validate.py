"""Queries and bodies against a rule: everything wrong is named at once, in Laravel's shape."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from addons.pipeline.errors import PayloadTooLarge, ValidationFailed
from addons.pipeline.rule_models import ParamRule
from addons.pipeline.validate import check_body, check_query, read_json

NOW = datetime(2025, 1, 31, tzinfo=UTC)
PARAMS = {
    "limit": ParamRule(type="int", min=1, max=20, default=10),
    "filter[total_spent]": ParamRule(type="int", min=0),
    "filter[tags][]": ParamRule(type="array", items=ParamRule(max_length=5)),
    "ids": ParamRule(type="array", separator=",", items=ParamRule(type="int")),
    "start_date": ParamRule(type="date", requires=["end_date"]),
    "end_date": ParamRule(type="date", requires=["start_date"], after="start_date"),
    "type": ParamRule(enum=["tips", "post"]),
    "tipsSource": ParamRule(only_with={"type": ["tips"]}),
    "kind": ParamRule(enum=["sale", "refund"]),
    "reason": ParamRule(required_when={"kind": ["refund"]}, pattern="[a-z]+", help="small letters"),
    "a": ParamRule(conflicts=["b"]),
    "b": ParamRule(),
}


def errors_of(query: str) -> dict[str, list[str]]:
    with pytest.raises(ValidationFailed) as caught:
        check_query(query, PARAMS, NOW)
    return caught.value.errors or {}


def test_good_queries_are_converted_and_defaulted() -> None:
    """Handlers find values under the names that the rule declares; undeclared parameters stay text."""
    got = check_query("filter[total_spent]=5&filter%5Btags%5D%5B%5D=a&ids=1,2&ids=3&other=x", PARAMS, NOW)
    assert got == {"filter[total_spent]": 5, "filter[tags][]": ["a"], "ids": [1, 2, 3], "other": "x", "limit": 10}


def test_every_wrong_field_is_named_at_once() -> None:
    """One answer lists all."""
    assert set(errors_of("limit=abc&filter[total_spent]=-1&type=x")) == {"limit", "filter.total_spent", "type"}


def test_a_list_in_brackets_may_hold_the_separator() -> None:
    """`ids=a,b` is two values, `ids[]=a,b` one; both spellings may be mixed, nothing is left of empty ones."""
    params = {"filter[tags]": ParamRule(type="array", separator=",")}
    query = "filter[tags][]=a,b&filter[tags]=c,,d&filter[tags][3]=e&filter[tags][]="
    assert check_query(query, params, NOW)["filter[tags]"] == ["a,b", "c", "d", "e"]


@pytest.mark.parametrize(
    ("query", "field", "text"),
    [
        ("limit=21", "limit", "The limit field must not be greater than 20."),
        ("limit=", None, None),  # PHP middleware turns an empty text into nothing
        ("type=", None, None),
        # a list where one value belongs
        ("limit[]=5", "limit", "The limit field must be an integer."),
        ("limit=5&limit[x]=7", "limit", "The limit field must be an integer."),
        ("type[]=tips", "type", "The type field must be a string."),
        ("start_date[0]=2025-01-01&end_date=2025-01-02", "start_date", "The start date field must be a valid date."),
        ("filter[total_spent][]=1", "filter.total_spent", "must be an integer"),
        ("limits[]=5", None, None),
        # dots instead of brackets
        ("filter.online=1", "filter.online", "Use bracket syntax: filter[online]."),
        # a word where one of several filters belongs
        ("filter=red", "filter", "must be an array. Use bracket syntax: filter[total_spent], filter[tags]."),
        ("filter[]=red&filter[tags][]=a", "filter", "must be an array"),
        ("filter[other]=red", None, None),
        # between fields
        ("start_date=2025-01-01", "end_date", "The end date field is required when start date is present."),
        ("end_date=2025-01-01", "start_date", "The start date field is required when end date is present."),
        ("start_date=2025-01-02&end_date=2025-01-01", "end_date", "must be a date after start date."),
        ("start_date=2025-01-02&end_date=2025-01-02", None, None),
        ("start_date=-30days&end_date=now", None, None),
        ("tipsSource=chat&type=post", "tipsSource", "only allowed when type is tips"),
        ("tipsSource=chat&type=tips", None, None),
        ("kind=refund", "reason", "The reason field is required when kind is refund."),
        ("kind=refund&reason=late", None, None),
        ("kind=sale", None, None),
        ("kind=lend", "kind", "is invalid"),  # it says nothing about the reason then
        ("reason=4", "reason", "The reason field format is invalid. Expected small letters."),
        ("a=1&b=2", "a", "must not be sent together with b"),
        # items of lists
        ("filter[tags][]=toolong", "filter.tags.0", "must not be greater than 5 characters"),
        ("ids=1,x", "ids.1", "must be an integer"),
    ],
)
def test_what_is_wrong_and_how_it_is_said(query: str, field: str | None, text: str | None) -> None:
    """The field, and the sentence."""
    if field is None:
        check_query(query, PARAMS, NOW)
        return
    found = errors_of(query)
    assert list(found) == [field]
    assert text is not None
    assert text in found[field][0]


def test_a_bare_filter_is_refused_where_nobody_else_reads_it() -> None:
    """A computed list without filters says so; a declared `filter`, or an upstream that may know it, gets it as before."""
    limit = {"limit": PARAMS["limit"]}
    with pytest.raises(ValidationFailed) as caught:
        check_query("filter=red", limit, NOW, computed=True)
    assert caught.value.errors == {"filter": ["The filter field is not supported here."]}
    assert check_query("filter=red", limit, NOW)["filter"] == "red"
    assert check_query("filter=red", {"filter": ParamRule()}, NOW, computed=True) == {"filter": "red"}


def test_the_first_text_is_the_message() -> None:
    """Contract 2.2: `message` repeats the first error."""
    with pytest.raises(ValidationFailed) as caught:
        check_query("limit=99", PARAMS, NOW)
    assert caught.value.body() == {
        "error": "VALIDATION_ERROR",
        "message": "The limit field must not be greater than 20.",
        "errors": {"limit": ["The limit field must not be greater than 20."]},
    }


BODY = {
    "name": ParamRule(required=True, max_length=5),
    "note": ParamRule(nullable=True),
    "price": ParamRule(type="number", min=0),
    "proxy": ParamRule(type="object", fields={"port": ParamRule(type="int", min=1, required=True)}),
}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, {"name": "The name field is required."}),
        ({"name": ""}, {"name": "The name field is required."}),
        ({"name": None}, {"name": "The name field is required."}),
        ([], {"body": "The request body must be a JSON object."}),
        ("x", {"body": "The request body must be a JSON object."}),
        ({"name": "x", "proxy": {}}, {"proxy.port": "The proxy.port field is required."}),
        ({"name": "x", "proxy": {"port": 0}}, {"proxy.port": "The proxy.port field must be at least 1."}),
    ],
)
def test_bodies_are_checked_field_by_field(body: Any, expected: dict[str, str]) -> None:
    """Nested fields are named with dots."""
    with pytest.raises(ValidationFailed) as caught:
        check_body(body, BODY, NOW)
    assert {k: v[0] for k, v in (caught.value.errors or {}).items()} == expected


def test_good_bodies_keep_what_no_rule_names() -> None:
    """Unknown fields and nulls that are allowed stay."""
    body = {"name": "x", "note": None, "extra": [1], "price": Decimal("1.10")}
    assert check_body(body, BODY, NOW) == body


@pytest.mark.parametrize("raw", [b"{", b"<html>", b"\xff\xfe", b"[" * 100_000, b"NaN", b"{} {}"])
def test_what_is_no_json_is_a_422(raw: bytes) -> None:
    """Whatever the bytes, the answer names the body."""
    with pytest.raises(ValidationFailed) as caught:
        read_json(raw, limit=1_000_000, content_type="application/json")
    assert list(caught.value.errors or {}) == ["body"]


def test_bodies_have_a_limit_and_exact_numbers() -> None:
    """Over the limit is 413; fractions are Decimal; nothing is None."""
    with pytest.raises(PayloadTooLarge):
        read_json(b'"12345678"', limit=9, content_type=None)
    assert read_json(b'{"p":1.10}', limit=100, content_type=None) == {"p": Decimal("1.10")}
    assert read_json(b"", limit=1, content_type=None) is None
