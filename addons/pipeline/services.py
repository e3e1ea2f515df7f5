"""What the stages and handlers share: built once by the launcher, passed along, never global."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from addons.config import Config
    from ofapi_store.engine import Store
    from ofapi_store.secrets import SecretBox


def utcnow() -> datetime:
    return datetime.now(UTC)


@dataclass(slots=True)
class Services:
    """`parts` holds optional services by name (media, meter, observer, …) that families register at start."""

    config: Config
    store: Store
    secrets: SecretBox
    clock: Callable[[], datetime] = utcnow
    parts: dict[str, Any] = field(default_factory=dict)
