"""Logs: one JSON object a line through structlog, secrets masked, mitmproxy's own lines included."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, MutableMapping
from typing import Any, TextIO

import structlog

from addons.inspect.masking import HEADERS, MASK, mask_text

_SECRET_KEYS = frozenset(h.decode() for h in HEADERS) | frozenset(
    ("password", "secret", "token", "cookies", "xbc", "api_key", "code", "web_password")
)
QUIET = ("mitmproxy.proxy.server", "hpack", "h2", "tornado.access", "asyncio", "obstore", "botocore")


def mask_event(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A structlog processor: values under secret names go, texts lose what looks like a credential."""
    for key, value in event.items():
        if key.lower() in _SECRET_KEYS:
            event[key] = MASK
        elif isinstance(value, str):
            event[key] = mask_text(value)
    return event


_SHARED: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.format_exc_info,
    mask_event,
]


def configure(level: str = "info", fmt: str = "json", stream: TextIO | None = None) -> None:
    """Set up structlog and the standard library's logging. `fmt`: `json` or `text`. Idempotent."""
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            *_SHARED,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = _Handler(stream or sys.stderr)
    handler.setFormatter(_formatter(fmt))
    root = logging.getLogger()
    for old in [h for h in root.handlers if isinstance(h, _Handler)]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    mask_records()


class _Handler(logging.StreamHandler[TextIO]):
    """Ours, to be told from those that others added."""


def _formatter(fmt: str) -> structlog.stdlib.ProcessorFormatter:
    renderer: Any = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if fmt == "json"
        else structlog.dev.ConsoleRenderer(colors=False)
    )
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=_SHARED,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
    )


def mask_records() -> None:
    """Mask every record where it is made, so that mitmweb's event log and any handler get the masked text."""
    current = logging.getLogRecordFactory()
    if getattr(current, "masks_secrets", False):
        return
    logging.setLogRecordFactory(_masking(current))


def _masking(make: Callable[..., logging.LogRecord]) -> Callable[..., logging.LogRecord]:
    def factory(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = make(*args, **kwargs)
        if isinstance(record.msg, str):
            text = record.getMessage()
            masked = mask_text(text)
            if masked != text:
                record.msg, record.args = masked, ()
        return record

    factory.masks_secrets = True  # type: ignore[attr-defined]
    return factory
