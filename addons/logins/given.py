"""What clients and creators hand in to start a login, checked field by field in the contract's terms (contract 9.1)."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from addons.logins.authenticator import Secret
from addons.net.address_check import AddressPolicy, literal
from addons.pipeline.errors import ValidationFailed

if TYPE_CHECKING:
    from addons.config import Config

NEEDED = {"email_password": ("email", "password"), "raw_data": ("auth_id", "cookies", "user_agent", "xbc")}
_PLAIN = re.compile(r"[\x20-\x7e]+")
_EMAIL = re.compile(r"[^@\s\x00-\x1f]+@[^@\s\x00-\x1f]+")
_HOST = re.compile(r"(?=.{1,253}$)[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?")
_CODE = re.compile(r"[A-Za-z0-9]{4,12}")
_COUNTRIES = {"us": ("us",), "uk": ("uk", "gb"), "gb": ("gb", "uk")}

Errors = dict[str, list[str]]


@dataclass(frozen=True, slots=True)
class Given:
    """A start that makes sense. `secret` None: mobile_app, the creator gives it later. `name`: for people."""

    method: str
    secret: Secret | None
    proxy_url: str | None
    name: str | None
    force: bool

    def __repr__(self) -> str:
        return f"Given(method={self.method!r})"


def start(body: Mapping[str, Any], config: Config) -> Given:
    """The body of `POST /authenticate`. Raises ValidationFailed naming every wrong field."""
    errors: Errors = {}
    method = str(body.get("auth_type") or "email_password")
    secret = None
    if method == "mobile_app":
        for name in ("email", "password", "cookies"):
            if body.get(name):
                _wrong(errors, name, f"The {name} field is not allowed when auth type is mobile_app.")
    else:
        secret = _secret(method, body, errors)
    proxy = read_proxy(body, config, errors, country_field="proxyCountry")
    check_name(body, "name", errors)
    if errors:
        raise ValidationFailed(errors)
    usual = secret.email or secret.auth_id if secret is not None else None
    shown = str(body.get("name") or "").strip() or usual
    return Given(method, secret, proxy, shown, bool(body.get("force_connect")))


def of_session(body: Mapping[str, Any], config: Config) -> Secret:
    """The body of `POST /authenticate` with a client session's token: what a creator gives, nothing that a team decides."""
    errors: Errors = {}
    if body.get("auth_type") == "mobile_app":
        _wrong(errors, "auth_type", "The auth type field must be email_password or raw_data for a client session.")
    for name in ("force_connect", "proxyCountry", "customProxy"):
        if body.get(name):
            _wrong(errors, name, f"The {name} field is not allowed for a client session.")
    if errors:
        raise ValidationFailed(errors)
    wanted = start(body, config).secret
    assert wanted is not None
    return wanted


def credentials(body: Mapping[str, Any]) -> Secret:
    """E-mail and password, or a session: what replaces the login of an account. Raises ValidationFailed."""
    errors: Errors = {}
    session = any(body.get(name) for name in NEEDED["raw_data"])
    secret = _secret("raw_data" if session else "email_password", body, errors)
    if session and (body.get("email") or body.get("password")):
        _wrong(errors, "email", "Send either email and password, or auth_id, cookies, user_agent and xbc.")
    if errors or secret is None:
        raise ValidationFailed(errors)
    return secret


def _secret(method: str, body: Mapping[str, Any], errors: Errors) -> Secret | None:
    for name in NEEDED[method]:
        value = body.get(name)
        shown = name.replace("_", " ")
        if not isinstance(value, str) or not value.strip():
            _wrong(errors, name, f"The {shown} field is required when auth type is {method}.")
        elif name not in ("email", "password") and not _PLAIN.fullmatch(value.strip()):
            _wrong(errors, name, f"The {shown} field must hold printable ASCII characters only, on one line.")
    if errors:
        return None
    if method == "email_password":
        email = body["email"].strip()
        if not _EMAIL.fullmatch(email):
            _wrong(errors, "email", "The email field must be a valid email address.")
        return Secret(method, email=email, password=body["password"], xbc=secrets.token_hex(20))
    auth_id, cookies = body["auth_id"].strip(), body["cookies"].strip().removeprefix("Cookie:").strip()
    if not re.fullmatch(r"\d{1,20}", auth_id):
        _wrong(errors, "auth_id", "The auth id field must be the number in the cookie auth_id.")
    if not all("=" in part for part in cookies.split(";") if part.strip()):
        _wrong(errors, "cookies", "The cookies field must be the whole Cookie header, such as `sess=…; auth_id=…`.")
    session = {
        "auth_id": auth_id,
        "cookies": cookies,
        "user_agent": body["user_agent"].strip(),
        "xbc": body["xbc"].strip(),
    }
    return Secret(method, auth_id=auth_id, session=session)


def read_proxy(body: Mapping[str, Any], config: Config, errors: Errors, *, country_field: str) -> str | None:
    """The URL of the upstream proxy that the client wants; problems go to `errors`."""
    country, custom = body.get(country_field), body.get("customProxy")
    if country and custom is not None:
        _wrong(errors, "customProxy", f"The custom proxy field must not be sent together with {country_field}.")
        return None
    if custom is not None:
        return _custom(custom, config, errors)
    if not country:
        return None
    for name in _COUNTRIES.get(str(country), (str(country),)):
        if name in config.auth.proxies:
            return str(config.auth.proxies[name])
    text = f"This gateway has no proxy for {country}. Name one in config auth.proxies, or send customProxy."
    _wrong(errors, country_field, text)
    return None


def _custom(value: Any, config: Config, errors: Errors) -> str | None:
    before = len(errors)
    if not isinstance(value, Mapping):
        _wrong(errors, "customProxy", "The custom proxy field must be an object.")
        return None
    host, port = value.get("host"), value.get("port")
    if not isinstance(host, str) or not host:
        _wrong(errors, "customProxy.host", "The custom proxy host field is required.")
    elif not _host_ok(host, config):
        _wrong(errors, "customProxy.host", "The custom proxy host field must be a public host name or IP address.")
    if port is None:
        _wrong(errors, "customProxy.port", "The custom proxy port field is required.")
    elif not isinstance(port, int) or isinstance(port, bool) or not 1 <= port <= 65535:
        _wrong(errors, "customProxy.port", "The custom proxy port field must be an integer between 1 and 65535.")
    user, password = value.get("username"), value.get("password")
    for name, text in (("username", user), ("password", password)):
        if text is not None and (not isinstance(text, str) or len(text) > 255):
            _wrong(errors, f"customProxy.{name}", f"The custom proxy {name} field must be a string of at most 255.")
    if password and not user:
        _wrong(errors, "customProxy.username", "The custom proxy username field is required when password is present.")
    if len(errors) > before:
        return None
    login = f"{quote(str(user), safe='')}:{quote(str(password or ''), safe='')}@" if user else ""
    return f"http://{login}{f'[{host}]' if ':' in str(host) else host}:{port}"


def _host_ok(host: str, config: Config) -> bool:
    """Addresses are refused here; what a name leads to is checked when it is connected to."""
    policy, address = AddressPolicy.of(map(str, config.network.allow_private)), literal(host)
    if address is not None:
        return host.isascii() and not policy.refuses(address)
    name = host.lower().rstrip(".")
    private = name == "localhost" or name.endswith((".localhost", ".local", ".internal"))
    return bool(_HOST.fullmatch(host)) and (not private or policy.trusts(name))


def answer(body: Mapping[str, Any]) -> str | None:
    """The code that was submitted, None for a selfie that was done (contract 9.3). Raises ValidationFailed."""
    code, selfie = body.get("code"), body.get("selfie_verification_completed")
    if isinstance(code, int) and not isinstance(code, bool):
        code = str(code)
    text = re.sub(r"[\s-]", "", code) if isinstance(code, str) else ""
    if text and selfie:
        raise ValidationFailed.of("code", "The code field must be empty when selfie verification completed is true.")
    if selfie is True and not text:
        return None
    if selfie not in (None, False, True):
        raise ValidationFailed.of(
            "selfie_verification_completed", "The selfie verification completed field must be true or false."
        )
    if not text:
        text = "The code field is required when selfie verification completed is not present."
        raise ValidationFailed.of("code", text)
    if not _CODE.fullmatch(text):
        raise ValidationFailed.of("code", "The code field must have 4 to 12 letters or digits.")
    return text


def check_name(body: Mapping[str, Any], field: str, errors: Errors) -> None:
    """Names that are shown and stored are one line of text."""
    value = body.get(field)
    if isinstance(value, str) and not value.isprintable():
        _wrong(errors, field, f"The {field.replace('_', ' ')} field must not contain control characters.")


def _wrong(errors: Errors, field: str, text: str) -> None:
    errors.setdefault(field, []).append(text)
