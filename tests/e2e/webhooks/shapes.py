"""Whether a real payload has the shape of the sample that the API shows for its event."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

FREE = frozenset({"replacePairs", "media", "previews"})
"""Their content depends on the fact, their type does not."""


def differences(sample: Any, real: Any, at: str = "") -> list[str]:
    """Fields of the sample that are missing in the real one or of another type; null fits everything."""
    if sample is None or real is None:
        return []
    if isinstance(sample, Mapping):
        if not isinstance(real, Mapping):
            return [f"{at}: {type(real).__name__}, not an object"]
        found = (
            [] if at.rpartition(".")[2] in FREE else [f"{at}.{name}: missing" for name in sample if name not in real]
        )
        shared = [] if at.rpartition(".")[2] in FREE else [name for name in sample if name in real]
        return found + [text for name in shared for text in differences(sample[name], real[name], f"{at}.{name}")]
    kinds = ((bool,), (int, float, Decimal), (str,), (list, tuple))
    for kind in kinds:
        if isinstance(sample, kind):
            return [] if isinstance(real, kind) else [f"{at}: {type(real).__name__}, not {kind[0].__name__}"]
    return []
