"""Where export files lie, and signed URLs to them.

    <exports.dir>/<team id>/<export id>.<csv|xlsx|zip>     finished files
    <exports.dir>/.spool/<export id>.jsonl                 rows between calculation and building

    <mounts.internal>/exports/<end>.<signature>/<team id>/<export id>.<type>      works until <end>, Unix seconds in hex

Several machines on one store share this folder. The signature is HMAC-SHA256 under a key derived from `secrets.keys`:
the first one signs, all verify.
"""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ofapi_store.queries.exports import ExportRow

MOUNT = "exports"
_ID = r"[A-Za-z0-9_-]{1,64}"
_LINK = re.compile(rf"/{MOUNT}/([0-9a-f]{{1,12}})\.([A-Za-z0-9_-]{{43}})/({_ID})/({_ID}\.(?:csv|xlsx|zip))")


class ExportFiles:
    """Paths and links. `secret_keys`: as in config."""

    def __init__(self, root: Path, secret_keys: Sequence[str]) -> None:
        self.root = root
        self._keys = [hmac.digest(k.encode(), b"ofapi export links v1", "sha256") for k in secret_keys]

    def final(self, row: ExportRow) -> Path:
        return self.root / row.team_id / f"{row.id}.{row.file_type}"

    def spool(self, export_id: str) -> Path:
        return self.root / ".spool" / f"{export_id}.jsonl"

    def link(self, row: ExportRow, ends: int) -> str:
        """The path below the internal mount. `ends`: Unix seconds."""
        name = f"{row.team_id}/{row.id}.{row.file_type}"
        return f"/{MOUNT}/{ends:x}.{_sign(self._keys[0], ends, name)}/{name}"

    def opened(self, path: str, now: float) -> Path | None:
        """The file of a genuine link, or None. Raises LinkEnded."""
        found = _LINK.fullmatch(path)
        if found is None:
            return None
        ends, name = int(found[1], 16), f"{found[3]}/{found[4]}"
        if not any(hmac.compare_digest(_sign(key, ends, name), found[2]) for key in self._keys):
            return None
        if now >= ends:
            raise LinkEnded
        return self.root / name


class LinkEnded(Exception):
    """The link was genuine and has ended."""


def _sign(key: bytes, ends: int, name: str) -> str:
    digest = hmac.digest(key, f"{ends:x}\n{name}".encode(), "sha256")
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
