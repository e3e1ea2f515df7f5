"""addons/logins/given: every wrong field of a start is named, in the contract's terms, and never repeated."""

from __future__ import annotations

from typing import Any

import pytest

from addons.config import Config
from addons.logins import given
from addons.pipeline.errors import ValidationFailed

CONFIG = Config.build({"auth": {"proxies": {"us": "http://us.proxy.test:1", "gb": "http://gb.proxy.test:1"}}})
LOGIN = {"email": "a@b.test", "password": "secret"}
SESSION = {"auth_type": "raw_data", "auth_id": "5", "cookies": "sess=1; auth_id=5", "user_agent": "UA", "xbc": "x"}


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        # what a method needs
        ({}, {"email", "password"}),
        ({"email": "a@b.test"}, {"password"}),
        ({"email": "nobody", "password": "x"}, {"email"}),
        ({"auth_type": "raw_data"}, {"auth_id", "cookies", "user_agent", "xbc"}),
        ({**SESSION, "auth_id": "5 or 6"}, {"auth_id"}),
        ({**SESSION, "cookies": "no pairs"}, {"cookies"}),
        ({**SESSION, "user_agent": "UA\r\nX-Other: 1"}, {"user_agent"}),
        ({**SESSION, "xbc": "ü"}, {"xbc"}),
        ({"auth_type": "mobile_app", "password": "x"}, {"password"}),
        ({**LOGIN, "name": "a\x00b"}, {"name"}),
        # proxies
        ({**LOGIN, "proxyCountry": "us", "customProxy": {"host": "p.test", "port": 1}}, {"customProxy"}),
        ({**LOGIN, "customProxy": {}}, {"customProxy.host", "customProxy.port"}),
        ({**LOGIN, "customProxy": "p:1"}, {"customProxy"}),
        ({**LOGIN, "customProxy": {"host": "p.test", "port": 0}}, {"customProxy.port"}),
        ({**LOGIN, "customProxy": {"host": "p.test", "port": 65536}}, {"customProxy.port"}),
        ({**LOGIN, "customProxy": {"host": "p.test", "port": True}}, {"customProxy.port"}),
        ({**LOGIN, "customProxy": {"host": "p.test", "port": 1, "password": "x"}}, {"customProxy.username"}),
        ({**LOGIN, "customProxy": {"host": "a/b", "port": 1}}, {"customProxy.host"}),
        # private addresses
        ({**LOGIN, "customProxy": {"host": "127.0.0.1", "port": 1}}, {"customProxy.host"}),
        ({**LOGIN, "customProxy": {"host": "169.254.169.254", "port": 1}}, {"customProxy.host"}),
        ({**LOGIN, "customProxy": {"host": "::1", "port": 1}}, {"customProxy.host"}),
        ({**LOGIN, "customProxy": {"host": "localhost", "port": 1}}, {"customProxy.host"}),
    ],
)
def test_wrong_fields(body: dict[str, Any], fields: set[str]) -> None:
    """Each wrong field is named, all at once, and no value is repeated."""
    with pytest.raises(ValidationFailed) as caught:
        given.start(body, CONFIG)
    assert set(caught.value.errors or {}) == fields
    assert "secret" not in str(caught.value.body())


def test_country_that_is_not_configured() -> None:
    """The text says which config key would help."""
    with pytest.raises(ValidationFailed, match=r"auth\.proxies"):
        given.start({**LOGIN, "proxyCountry": "us"}, Config.build({}))


@pytest.mark.parametrize(
    ("proxy", "url"),
    [
        ({}, None),
        ({"proxyCountry": "us"}, "http://us.proxy.test:1"),
        ({"proxyCountry": "uk"}, "http://gb.proxy.test:1"),
        ({"customProxy": {"host": "p.test", "port": 8080}}, "http://p.test:8080"),
        (
            {"customProxy": {"host": "8.8.8.8", "port": 1, "username": "u@x", "password": "p:w"}},
            "http://u%40x:p%3Aw@8.8.8.8:1",
        ),
    ],
)
def test_proxies(proxy: dict[str, Any], url: str | None) -> None:
    """A country is one of config's proxies, uk and gb are one; a custom one becomes a URL with its login encoded."""
    found = given.start({**LOGIN, **proxy}, CONFIG).proxy_url
    assert (found or "").rstrip("/") == (url or "")


def test_names_and_kinds() -> None:
    """The default name is the e-mail or the auth id; a pasted header may carry its own name; nothing shows in a repr."""
    password, session = given.start(LOGIN, CONFIG), given.start({**SESSION, "cookies": "Cookie: sess=1"}, CONFIG)
    assert (password.method, password.name) == ("email_password", "a@b.test")
    assert (session.method, session.name) == ("raw_data", "5")
    assert session.secret is not None
    assert session.secret.session is not None
    assert session.secret.session["cookies"] == "sess=1"
    assert given.start({"auth_type": "mobile_app", "name": " N "}, CONFIG).name == "N"
    assert "secret" not in repr(password) + repr(password.secret)


def test_new_credentials() -> None:
    """Either kind, not both."""
    assert given.credentials(LOGIN).kind == "email_password"
    assert given.credentials({k: v for k, v in SESSION.items() if k != "auth_type"}).kind == "raw_data"
    for body in ({}, {**SESSION, **LOGIN}):
        with pytest.raises(ValidationFailed):
            given.credentials(body)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"code": "123 456"}, "123456"),
        ({"code": 123456}, "123456"),
        ({"code": "", "selfie_verification_completed": True}, None),
        ({"selfie_verification_completed": True}, None),
    ],
)
def test_answers(body: dict[str, Any], code: str | None) -> None:
    """A code without blanks, or None for a selfie."""
    assert given.answer(body) == code


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"code": ""},
        {"code": "12"},
        {"code": "1234567890123"},
        {"code": "12345;"},
        {"code": "123456", "selfie_verification_completed": True},
        {"selfie_verification_completed": False},
        {"selfie_verification_completed": "yes"},
        {"code": ["1"]},
    ],
)
def test_answers_that_are_none(body: dict[str, Any]) -> None:
    """One of the two, and of its kind."""
    with pytest.raises(ValidationFailed):
        given.answer(body)
