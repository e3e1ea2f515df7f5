"""What `ofapi doctor` says of one thing that it looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Finding:
    """`mend`: what to do, where something is not right."""

    check: str
    status: Literal["ok", "warning", "wrong"]
    message: str
    mend: str = ""
