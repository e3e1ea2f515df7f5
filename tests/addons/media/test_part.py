"""What is known of a file while it is fetched."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from addons.media.part import Busy, PartHead, content_type, lock_part


def response(**headers: str) -> Any:
    return SimpleNamespace(headers={k.replace("_", "-"): v for k, v in headers.items()})


@pytest.mark.parametrize(
    ("given", "name", "kind"),
    [
        ("video/mp4", "x.jpg", "video/mp4"),
        ("image/jpeg; q=1", "x", "image/jpeg; q=1"),
        (None, "x.jpg", "image/jpeg"),
        ("binary/octet-stream", "x.mp4", "video/mp4"),
        ("Application/Octet-Stream", "x.unheardof", "Application/Octet-Stream"),
        (None, "x", "application/octet-stream"),
    ],
)
def test_a_type_that_says_nothing_gives_way_to_the_name(given: str | None, name: str, kind: str) -> None:
    """Upstream's word stands, but storage's default type does not keep a browser from showing a picture."""
    assert content_type(response(**({"Content_Type": given} if given is not None else {})), name) == kind


def test_what_the_rest_of_a_file_is_asked_for_with() -> None:
    """A strong ETag, else the date, else nothing; only the ETag lets another process resume."""
    date = "Mon, 01 Jan 2024 00:00:00 GMT"
    strong = PartHead.of(response(ETag='"a"', Last_Modified=date), 5, "x")
    weak = PartHead.of(response(ETag='W/"a"', Last_Modified=date), 5, "x")
    none = PartHead.of(response(Last_Modified="yesterday"), None, "x")
    assert [(h.validator(), h.if_range()) for h in (strong, weak, none)] == [('"a"', '"a"'), (None, date), (None, None)]


def test_one_writer(tmp_path: Path) -> None:
    """A part is locked until its writer lets go of it."""
    with lock_part(tmp_path / "x.part"):
        with pytest.raises(Busy):
            lock_part(tmp_path / "x.part")
    lock_part(tmp_path / "x.part").close()
