"""One canonical form of a request path, and the templates that are matched against it.

A path is split at `/` first and each segment is percent-decoded once, so `%2F` stays data inside its segment. Empty
segments (double or trailing slashes) are dropped. Dot segments, NUL and other control characters, bad percent escapes
and bytes that are not UTF-8 make a path unusable (400). Because the tail of a `{rest+}` template is taken exactly as it
was sent (`https://…` and its query included), such faults only count in the segments before that tail; the matcher
therefore asks `CanonicalPath.check(upto)` once it knows how much of the path a template covers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal as Lit
from urllib.parse import quote, unquote_to_bytes

from addons.pipeline.errors import ApiError

_BAD_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_SLASH = re.compile(r"[/\\]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_SAFE = "-._~!$&'()*+,;=:@"
_PART = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)(\+?)\}\Z")
_DOTTED_PART = re.compile(r"\{([A-Za-z_][A-Za-z0-9_.]*)(\+?)\}\Z")
_NAME_IN_TEXT = re.compile(r"\{([A-Za-z_][A-Za-z0-9_.]*)\}")


class BadPath(ApiError):
    """400 `bad_request`: the path cannot be routed safely."""

    def __init__(self, reason: str) -> None:
        super().__init__(400, "bad_request", f"The request path is not acceptable: {reason}.")


@dataclass(frozen=True)
class CanonicalPath:
    """`segments`: decoded once. `starts[i]`: where segment i begins in `target`, the request target as sent."""

    target: str
    segments: tuple[str, ...]
    starts: tuple[int, ...]
    faults: tuple[tuple[int, str], ...] = ()

    @cached_property
    def path(self) -> str:
        """The path as sent, without its query."""
        return self.target.partition("?")[0]

    @cached_property
    def query(self) -> str:
        """The query as sent, without `?`."""
        return self.target.partition("?")[2]

    @cached_property
    def canonical(self) -> str:
        """The path with every segment encoded one way; equal paths have equal text."""
        return "/" + "/".join(encode_segment(s) for s in self.segments)

    def tail(self, index: int) -> str:
        """The target as sent from segment `index` on, query included."""
        return self.target[self.starts[index] :]

    def check(self, upto: int | None = None) -> None:
        """Raise `BadPath` for a fault in the first `upto` segments (None: in any)."""
        for index, reason in self.faults:
            if upto is None or index < upto:
                raise BadPath(reason)

    def without(self, count: int) -> CanonicalPath:
        """The path below its first `count` segments (a mount such as `/api`)."""
        if count == 0:
            return self
        self.check(count)
        faults = tuple((i - count, reason) for i, reason in self.faults if i >= count)
        return CanonicalPath(self.target, self.segments[count:], self.starts[count:], faults)


def canonical_path(target: str) -> CanonicalPath:
    """Split a raw request target (`/api/acct_x/fans?limit=5`). Raises `BadPath` only if it is no path at all."""
    if not target.startswith("/"):
        raise BadPath("it must begin with `/`")
    path = target.partition("?")[0]
    segments: list[str] = []
    starts: list[int] = []
    faults: list[tuple[int, str]] = []
    at = 1
    for raw in path[1:].split("/"):
        if raw:
            text, fault = _decode(raw)
            if fault:
                faults.append((len(segments), fault))
            segments.append(text)
            starts.append(at)
        at += len(raw) + 1
    return CanonicalPath(target, tuple(segments), tuple(starts), tuple(faults))


def _decode(raw: str) -> tuple[str, str | None]:
    """A segment's text, and what makes it unusable."""
    if "%" not in raw and raw.isascii() and raw.isprintable() and "." not in raw:
        return raw, None
    if _BAD_PERCENT.search(raw):
        return raw, "a `%` is not followed by two hexadecimal digits"
    try:
        text = unquote_to_bytes(raw.encode("utf-8", "surrogateescape")).decode("utf-8")
    except UnicodeError:
        return raw, "it is not UTF-8"
    return text, _fault(text)


def _fault(text: str) -> str | None:
    if "\0" in text:
        return "it holds a NUL character"
    if _CONTROL.search(text):
        return "it holds a control character"
    if any(part in {".", ".."} for part in _SLASH.split(text)):
        return "it holds a dot segment (`.` or `..`)"
    return None


def encode_segment(text: str) -> str:
    """One path segment for a URL: `/`, `?`, `#`, `%` and everything outside of RFC 3986's pchar is encoded."""
    return quote(text, safe=_SAFE, errors="surrogateescape")


@dataclass(frozen=True, slots=True)
class Part:
    """One segment of a template: literal text, `{name}` (one segment) or `{name+}` (one or more, to the end)."""

    kind: Lit["literal", "param", "rest"]
    text: str


@dataclass(frozen=True, slots=True)
class Template:
    """`/{account}/media/download/{cdn_url+}`, parsed."""

    text: str
    parts: tuple[Part, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(p.text for p in self.parts if p.kind != "literal")

    @property
    def literals(self) -> int:
        return sum(p.kind == "literal" for p in self.parts)

    @property
    def has_rest(self) -> bool:
        return bool(self.parts) and self.parts[-1].kind == "rest"

    def bind(self, path: CanonicalPath) -> dict[str, str] | None:
        """The parameters with which this template is `path`, or None. `{rest+}` keeps its text as sent."""
        size = len(self.parts)
        if len(path.segments) < size or (len(path.segments) > size and not self.has_rest):
            return None
        found: dict[str, str] = {}
        for index, (part, segment) in enumerate(zip(self.parts, path.segments, strict=False)):
            if part.kind == "literal":
                if part.text != segment:
                    return None
            else:
                found[part.text] = path.tail(index) if part.kind == "rest" else segment
        return found

    def covers(self, other: Template) -> bool:
        """Whether every path that `other` matches is matched by this one."""
        mine, theirs = self.parts, other.parts
        if (other.has_rest and not self.has_rest) or len(mine) > len(theirs):
            return False
        if len(mine) < len(theirs) and not self.has_rest:
            return False
        return all(
            a.kind != "literal" or (b.kind == "literal" and a.text == b.text)
            for a, b in zip(mine, theirs, strict=False)
        )

    def overlaps(self, other: Template) -> bool:
        """Whether one path exists that both match."""
        mine, theirs = self.parts, other.parts
        if (len(mine) < len(theirs) and not self.has_rest) or (len(mine) > len(theirs) and not other.has_rest):
            return False
        return all(
            a.kind != "literal" or b.kind != "literal" or a.text == b.text for a, b in zip(mine, theirs, strict=False)
        )

    def fill(self, params: Mapping[str, str]) -> str:
        """The path with `params` put in; `{rest+}` goes in as it is."""
        out = []
        for part in self.parts:
            if part.kind == "literal":
                out.append(encode_segment(part.text))
            else:
                value = params[part.text]
                out.append(value if part.kind == "rest" else encode_segment(value))
        return "/" + "/".join(out)


def parse_template(text: str, *, dotted: bool = False) -> Template:
    """Parse `/a/{b}/{c+}`; `dotted` allows `{account.username}`. Raises ValueError with the reason."""
    if not text.startswith("/"):
        raise ValueError(f"`{text}` must begin with `/`")
    parts: list[Part] = []
    raw_parts = text[1:].split("/")
    if raw_parts == [""]:
        return Template(text, ())
    for index, raw in enumerate(raw_parts):
        part = _parse_part(raw, _DOTTED_PART if dotted else _PART)
        if part.kind == "rest" and index != len(raw_parts) - 1:
            raise ValueError(f"`{{{part.text}+}}` must be the last segment")
        if part.kind != "literal" and any(p.kind != "literal" and p.text == part.text for p in parts):
            raise ValueError(f"parameter `{part.text}` occurs twice")
        parts.append(part)
    return Template(text, tuple(parts))


def _parse_part(raw: str, pattern: re.Pattern[str]) -> Part:
    if not raw:
        raise ValueError("an empty segment (`//` or a trailing `/`) cannot be matched")
    found = pattern.match(raw)
    if found:
        return Part("rest" if found[2] else "param", found[1])
    if "{" in raw or "}" in raw:
        raise ValueError(f"`{raw}`: a parameter must be a whole segment, `{{name}}` or `{{name+}}`")
    text, fault = _decode(raw)
    if fault or "?" in raw or "#" in raw or " " in raw:
        raise ValueError(f"`{raw}` is not a path segment" + (f": {fault}" if fault else ""))
    return Part("literal", text)


def names_in(text: str) -> list[str]:
    """The `{names}` in a text template."""
    return _NAME_IN_TEXT.findall(text)


def fill_text(text: str, values: Mapping[str, str]) -> str:
    """Put `values` in place of `{names}`; nothing else in `text` is special."""
    return _NAME_IN_TEXT.sub(lambda m: values[m[1]], text)
