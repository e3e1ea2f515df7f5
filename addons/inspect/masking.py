"""Hiding secrets in what an operator sees or saves: keys, cookies, passwords, 2FA codes, x-bc.

Names decide, never the shape of a value: what a field of that name holds is replaced by `***`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from ofapi_store.ids import TOKENS

MASK = "***"
_MASK = MASK.encode()
HEADERS = frozenset(
    (
        b"authorization",
        b"proxy-authorization",
        b"cookie",
        b"set-cookie",
        b"x-bc",
        b"x-api-key",
        b"sign",
        b"x-hash",
        b"x-webhook-signature",
    )
)
_NAMES = (
    "pass(?:word|wd|phrase)?|new_?password|old_?password|password_confirmation|secret|signing_?secret|webhook_?secret|"
    "api_?key|apikey|access_?key|plain_?text_?token|token|access_?token|refresh_?token|csrf_?token|authorization|"
    "mobile_auth_session_deeplink|connect_url|cookies?|auth_?cookies|sess|session_?id|x-?_?bc|xbc|otp|otp_?code|two_?fa_?code|twofa|2fa|2fa_?code|"
    "verification_?code|auth_?code|captcha_?token"
)
_CODE_PATHS = re.compile(r"/(?:authenticate|connect|login|otp|2fa)(?:/|\?|$)")
_TOKEN_PATHS = re.compile(r"(/connect/)[^/?#]+")
_STRING = r'"(?:[^"\\]|\\.)*"'


def _json(names: str) -> re.Pattern[bytes]:
    scalar = rf"(?:{_STRING}|-?\d[\d.eE+-]*)"
    return re.compile(rf'("(?:{names})"\s*:\s*){scalar}'.encode(), re.IGNORECASE)


def _form(names: str) -> re.Pattern[bytes]:
    return re.compile(rf"((?:^|[?&])(?:{names})=)[^&#\s]*".encode(), re.IGNORECASE | re.MULTILINE)


_JSON, _FORM = _json(_NAMES), _form(rf"{_NAMES}|key|sig|signature|policy|key-pair-id")
_JSON_CODE, _FORM_CODE = _json(rf"{_NAMES}|code"), _form(rf"{_NAMES}|code")
_TEXT = (
    (re.compile(r"(?i)\b((?:proxy-)?authorization\s*[:=]\s*)(?:(?:bearer|basic)\s+)?[^\s,;'\"\\]+"), rf"\1{MASK}"),
    (re.compile(r"(?i)\b(bearer\s+)[A-Za-z0-9._~+/=|-]{6,}"), rf"\1{MASK}"),
    (re.compile(r"(?i)\b((?:set-)?cookie\s*[:=]\s*)[^'\"\r\n\\]+"), rf"\1{MASK}"),
    (re.compile(r"(?i)\b(x-bc\s*[:=]\s*)[^\s,;'\"\\]+"), rf"\1{MASK}"),
    (re.compile(r"(://[^/\s:@]*:)[^/\s@]+@"), rf"\1{MASK}@"),
    (re.compile(r"\$argon2[^\s'\"]+"), MASK),
)


def mask_fields(fields: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Header fields with secret values replaced."""
    return [(k, _MASK if k.lower() in HEADERS else v) for k, v in fields]


def mask_target(target: str) -> str:
    """A request target with secret query values, and tokens that open a page, replaced."""
    if "?" in target:
        path, _, query = target.partition("?")
        masked = _FORM.sub(rb"\g<1>" + _MASK, query.encode("utf-8", "surrogateescape"))
        target = f"{path}?{masked.decode('utf-8', 'surrogateescape')}"
    return TOKENS.sub(MASK, _TOKEN_PATHS.sub(rf"\g<1>{MASK}", target))


def mask_body(body: bytes, path: str) -> bytes:
    """A body, JSON or form, with secret fields replaced; the same object where there are none."""
    if not body:
        return body
    codes = _CODE_PATHS.search(path) is not None
    if body.lstrip()[:1] in (b"{", b"["):
        return (_JSON_CODE if codes else _JSON).sub(rb"\g<1>" + b'"***"', body)
    if b"=" in body[:4096] and len(body) < 100_000 and b"\n" not in body[:200]:
        return (_FORM_CODE if codes else _FORM).sub(rb"\g<1>" + _MASK, body)
    return body


def mask_value(pointer: str, value: str) -> str:
    """An edited value: masked where the last word of its JSON Pointer names a secret."""
    name = pointer.rpartition("/")[2].encode()
    probe = b'{"' + name + b'":"x"}'
    return MASK if _JSON.search(probe) else value


def mask_text(text: str) -> str:
    """Free text, such as a log line, with what looks like a credential replaced."""
    for pattern, replacement in _TEXT:
        text = pattern.sub(replacement, text)
    return text
