"""addons/logins/authenticator: secrets survive the store and show nowhere."""

from __future__ import annotations

from addons.logins.authenticator import NeedsFactor, Secret, SignedIn


def test_secrets_come_back_as_they_were() -> None:
    """`of` undoes `as_json`."""
    secret = Secret(
        "email_password", email="a@b.test", password="p", session={"cookies": "c"}, waits_for="app", code="1"
    )
    assert Secret.of(secret.as_json()) == secret


def test_nothing_secret_in_a_repr() -> None:
    """Tracebacks and logs print these."""
    session = {"cookies": "sess=planted"}
    shown = [Secret("raw_data", password="planted", session=session), SignedIn(session), NeedsFactor("sms", session)]
    assert "planted" not in repr(shown)
