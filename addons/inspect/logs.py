"""Secrets out of every log record, whoever made it and wherever it goes: our JSON lines, mitmweb's event log."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from addons.inspect.masking import HEADERS, MASK, mask_text

_SECRET_KEYS = frozenset(h.decode() for h in HEADERS) | frozenset(
    ("password", "secret", "token", "cookies", "xbc", "api_key", "code", "web_password")
)


def mask_event(event: Mapping[str, Any]) -> dict[str, Any]:
    """A structured event: values under secret names go, texts lose what looks like a credential."""
    return {k: MASK if k.lower() in _SECRET_KEYS else _masked(v) for k, v in event.items()}


def _masked(value: Any) -> Any:
    return mask_text(value) if isinstance(value, str) else value


def mask_records() -> None:
    """Mask every record where it is made. Idempotent."""
    current = logging.getLogRecordFactory()
    if not getattr(current, "masks_secrets", False):
        logging.setLogRecordFactory(_masking(current))


def _masking(make: Callable[..., logging.LogRecord]) -> Callable[..., logging.LogRecord]:
    def factory(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = make(*args, **kwargs)
        if isinstance(record.msg, Mapping):  # a structlog event
            record.msg = mask_event(record.msg)
        elif isinstance(record.msg, str):
            text = record.getMessage()
            masked = mask_text(text)
            if masked != text:
                record.msg, record.args = masked, ()
        return record

    factory.masks_secrets = True  # type: ignore[attr-defined]
    return factory
