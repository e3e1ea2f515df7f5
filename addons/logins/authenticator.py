"""How a login is done: the interface that the login job drives, and what it can answer.

Nothing here passes a captcha or a bot check: where upstream wants one, the answer is Refused with `captcha_required`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Protocol

SecondFactor = Literal["sms", "app", "face"]


@dataclass(frozen=True, slots=True)
class Secret:
    """All that is secret in an attempt; stored encrypted, wiped when the attempt ends.

    `kind`: email_password | raw_data. `session`: `{auth_id, cookies, user_agent, xbc}` once upstream gave cookies.
    `waits_for`: the second factor that upstream wants. `code`: one that waits to be sent; `selfie`: the creator says
    that the selfie check is done.
    """

    kind: str
    email: str | None = None
    password: str | None = None
    user_agent: str = ""
    xbc: str = ""
    session: Mapping[str, str] | None = None
    waits_for: SecondFactor | None = None
    code: str | None = None
    selfie: bool = False
    auth_id: str | None = None  # whose session the client said it is

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> Secret:
        return cls(**value)

    def __repr__(self) -> str:
        return f"Secret(kind={self.kind!r}, …)"


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Upstream gave a session: `{auth_id, cookies, user_agent, xbc}`."""

    session: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class NeedsFactor:
    """Upstream wants a second factor; `session` is the pending one. `phone_ending`: last digits. `url`: of the selfie."""

    kind: SecondFactor
    session: Mapping[str, str] = field(repr=False)
    phone_ending: str | None = None
    url: str | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """Upstream said no. `again`: the creator can try again in this attempt (another code)."""

    code: str
    message: str
    again: bool = False


@dataclass(frozen=True, slots=True)
class Restart:
    """Upstream has forgotten the half-finished login, or its answer got lost: it has to begin anew."""


@dataclass(frozen=True, slots=True)
class User:
    """What `GET /users/me` says."""

    data: Mapping[str, Any] = field(repr=False)


class LoginUnavailable(Exception):
    """Upstream cannot be reached or is in trouble: the same step may work later."""

    def __init__(self, reason: str, after_s: float = 5.0) -> None:
        super().__init__(reason)
        self.after_s = after_s


class Authenticator(Protocol):
    """One way to log in. Each call is one named step; it may be repeated after a crash. Raises LoginUnavailable."""

    async def sign_in(self, secret: Secret) -> SignedIn | NeedsFactor | Refused:
        """`started`, `submitting`: hand in what the creator gave."""
        ...

    async def second_factor(self, secret: Secret) -> SignedIn | Refused | Restart:
        """`checking`, while a code or a selfie waits to be sent."""
        ...

    async def who(self, secret: Secret) -> User | Refused:
        """`checking`: whose session it is."""
        ...
