"""No log record carries a secret, whoever made it and however it is rendered."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
import structlog

from addons.inspect.logs import mask_event, mask_records


@pytest.fixture(autouse=True)
def masked_records() -> Iterator[None]:
    before = logging.getLogRecordFactory()
    mask_records()
    mask_records()
    yield
    logging.setLogRecordFactory(before)


def test_library_records(caplog: pytest.LogCaptureFixture) -> None:
    """Records of libraries are masked, arguments included."""
    logging.getLogger("some.library").warning("bad header %r", b"Authorization: Bearer abcdef1234")
    assert caplog.messages == ["bad header b'Authorization: ***'"]


def test_structlog_events(caplog: pytest.LogCaptureFixture) -> None:
    """Events of ours lose values under secret names, and credentials in texts."""
    log = structlog.wrap_logger(
        logging.getLogger("ours"), processors=[structlog.stdlib.ProcessorFormatter.wrap_for_formatter]
    )
    log.warning("login", password="hunter2", url="http://u:pw123@proxy:1")
    assert "hunter2" not in str(caplog.records[0].msg)
    assert "pw123" not in str(caplog.records[0].msg)


def test_other_values_stay() -> None:
    """Numbers, lists and plain texts are as they were."""
    event = {"event": "request", "ms": 1.5, "skipped": ["a"], "path": "/x"}
    assert mask_event(event) == event
