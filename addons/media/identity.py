"""Which URLs are media files, and which URLs are the same file (issue: same file, same copy).

A file is its host class (the pattern that the host matched) and its path. The signature in the query changes on every
answer; only parameters that `rules/media.yaml` lists are kept.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import parse_qsl, quote, urlencode

PATTERN = re.compile(r"[a-z0-9*-]+(\.[a-z0-9*-]+)+")
_PATH = r"/[^\x00-\x20\x7f\"#<>?\\^`{|}]*"
_QUERY = r"[^\x00-\x20\x7f\"#<>\\]*"
_BEYOND_ASCII = re.compile(r"[^\x00-\x7f]+")
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_DOTS = re.compile(r"/(?:\.|%2[Ee]){1,2}(?:/|$)")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


class MediaKey(NamedTuple):
    """`text` identifies the file in the index; `url` is where it was seen, signature included: treat it as a secret."""

    text: str
    url: str

    @property
    def name(self) -> str:
        """The last segment of the path: what a saved file is called."""
        path = self.text.partition(" ")[2].partition("?")[0]
        return path.rsplit("/", 1)[-1]

    def __repr__(self) -> str:
        return f"MediaKey({self.text!r})"


class MediaIdentity:
    """The compiled `media:` section of the rules.

    Args:
        hosts: patterns such as `cdn*.onlyfans.com`; `*` is letters, digits and hyphens inside one label.
        identity_params: query parameters that tell files apart, in no particular order.

    Raises ValueError for a pattern that is no host name.
    """

    def __init__(self, hosts: Sequence[str], identity_params: Sequence[str] = ()) -> None:
        for host in hosts:
            if not PATTERN.fullmatch(host) or host.rsplit(".", 1)[-1].isdigit() or "*" in host.split(".", 1)[1]:
                raise ValueError(f"{host!r} is no host pattern: expected a name such as cdn*.onlyfans.com")
        self.hosts = tuple(hosts)
        self.identity_params = frozenset(identity_params)
        groups = "|".join(f"({host_regex(host)})" for host in hosts) or "(?!)"
        self._url = re.compile(rf"https://(?:{groups})(?::443)?({_PATH})(?:\?({_QUERY}))?(?:#.*)?", re.I | re.A)

    def key(self, url: str) -> MediaKey | None:
        """The file that `url` names, or None when it is no media URL: another scheme, host, port, or user info.

        Letters beyond ASCII are percent-encoded, as browsers do.
        """
        try:
            url = url if url.isascii() else _BEYOND_ASCII.sub(lambda found: quote(found[0]), url)
        except UnicodeEncodeError:  # half a surrogate pair
            return None
        found = self._url.fullmatch(url)
        if found is None:
            return None
        *hosts, path, query = found.groups()
        at = next(i for i, host in enumerate(hosts) if host is not None)
        text = self.text_of(at, path, query or "")
        return None if text is None else MediaKey(text, url)

    def text_of(self, pattern: int, path: str, query: str) -> str | None:
        """The key's text of a URL that was already taken apart: `pattern` is the index of its host's pattern."""
        if len(path) < 2 or ("/." in path and _DOTS.search(path)):
            return None
        if "%" in path:
            if _DOTS.search(path) or _BAD_ESCAPE.search(path):
                return None
            path = _ESCAPE.sub(_normal_escape, path)
        text = f"{self.hosts[pattern]} {path}"
        if self.identity_params and query:
            kept = sorted(kv for kv in parse_qsl(query, keep_blank_values=True) if kv[0] in self.identity_params)
            text += "?" + urlencode(kept) if kept else ""
        return text


def host_regex(pattern: str) -> str:
    """The regular expression of one host pattern."""
    return re.escape(pattern).replace(r"\*", "[a-z0-9-]*")


def _normal_escape(found: re.Match[str]) -> str:
    char = chr(int(found[1], 16))
    return char if char in _UNRESERVED else found[0].upper()


def expires_at(url: str) -> float | None:
    """When the URL's signature ends, in Unix seconds: `Expires=` or the CloudFront policy; None where it says nothing."""
    params = dict(parse_qsl(url.partition("?")[2]))
    if params.get("Expires", "").isdigit():
        return float(params["Expires"])
    policy = params.get("Policy")
    if not policy:
        return None
    try:  # CloudFront: base64 with + = / written as - _ ~
        text = base64.b64decode(policy.replace("-", "+").replace("_", "=").replace("~", "/"), validate=False)
        statement = json.loads(text)["Statement"][0]
        return float(statement["Condition"]["DateLessThan"]["AWS:EpochTime"])
    except (ValueError, KeyError, IndexError, TypeError, binascii.Error):
        return None
