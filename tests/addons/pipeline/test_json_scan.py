"""addons/pipeline/json_scan: places of members and items."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from addons.pipeline import json_scan

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)
STYLES = st.sampled_from([None, 0, 2])


@given(st.dictionaries(st.text(max_size=4), JSON, max_size=5), STYLES, st.booleans())
def test_members(value: dict[str, object], indent: int | None, ascii_only: bool) -> None:
    """Each member is found with its name and exact text, in any spacing and escaping."""
    raw = json.dumps(value, indent=indent, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    spans = json_scan.members(raw)
    assert [json_scan.key_text(raw[s.key_start : s.key_end]) for s in spans] == list(value)
    parts = [raw[s.value_start : s.value_end] for s in spans]
    assert [json.loads(part) for part in parts] == list(value.values())
    if value:
        assert json_scan.members_known(raw, parts) == spans


@given(st.lists(JSON, max_size=6), STYLES)
def test_items(value: list[object], indent: int | None) -> None:
    """Each item is found with its exact text."""
    raw = json.dumps(value, indent=indent).encode()
    assert [json.loads(raw[a:b]) for a, b in json_scan.items(raw)] == value


def test_duplicates_are_not_taken_for_known() -> None:
    """Values that belong to other members are noticed, however much they look alike."""
    assert json_scan.members_known(b'{"a":1,"a":1}', [b"1"]) is None
    assert json_scan.members_known(b'{"a":12,"b":0,"a":1}', [b"1", b"0"]) is None
    assert [s.value_start for s in json_scan.members(b'{"a":12,"b":0,"a":1}')] == [5, 12, 18]
