r"""Finds media URLs in JSON bytes and puts links to cached copies in their place (contract 10).

Works on the bytes, not on a parsed document: a URL counts at any depth, in any string, inside longer texts (message
HTML), with `/` and `&` written plain or as JSON escapes. Bytes outside of a swapped URL are never touched.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from addons.media.identity import MediaIdentity, MediaKey, host_regex

SLASH = rb"(?:\\?/|\\u002[fF])"
# RFC 3986 characters but for `'` (ends HTML attributes) and `#` (what follows stays as it is), plus JSON escapes of such
# characters. A list of URLs without blanks (`srcset`, CSV) ends before the next one; so does an entity of HTML but
# `&amp;`. Possessive: no backtracking, linear time.
ENTITY = rb"(?!(?!amp;)[A-Za-z][A-Za-z0-9]{1,31};|#)"
_REST = re.compile(
    rb"(?:[A-Za-z0-9._~:/?\]@!$)*+=%-]++|[,;(\[](?!https?:)|&" + ENTITY + rb"|\\/|\\u0026" + ENTITY + rb"|"
    rb"\\u00(?:2[14589A-Fa-f]|3[AaBbDdFf]|40|5[BbDd]|7[Ee]))++"
)
_ESCAPE = re.compile(rb"\\/|\\u00([0-9A-Fa-f]{2})")
_ESCAPED_END = re.compile(rb"\\(?:[bfnrt]|u[0-9A-Fa-f]{4})\Z")
_STRING_REST = re.compile(rb'(?:[^"\\]++|\\.)*+"[ \t\r\n]*+(:?)', re.S)
_ENDS_OF_VALUES = frozenset((b'",', b'"}', b'"]'))
_TRAILING = b".,;:!?)]*"
# What can stand before a URL. After anything else it may be a part of another URL, say of its query.
_BEFORE = b"\"'`<>()[]{}|,; \t\r\n"
_LOOK_BACK = 2048
# A string of these up to its closing quote, as nearly every URL is, needs no closer look.
_PLAIN = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/?&=%+@$:"
_LONGEST = 8192


class Found(NamedTuple):
    """A media URL at `body[start:end]`, and the text of its key."""

    start: int
    end: int
    text: str


@dataclass(slots=True)
class Swapped:
    """`body` after the swap. `missing`: each file seen that has no copy, once, with the URL that was seen."""

    body: bytes
    count: int = 0
    missing: list[MediaKey] = field(default_factory=list)


class Scanner:
    """The compiled search for one set of host patterns."""

    def __init__(self, identity: MediaIdentity) -> None:
        self._identity = identity
        hosts = "|".join(f"({host_regex(h)})" for h in identity.hosts).encode() or b"(?!)"
        self._start = re.compile(
            rb"https:" + SLASH + SLASH + rb"(?:" + hosts + rb")(?::443)?(?=[/\\])"  # no look-behind: ten times slower
        )
        # Texts that every URL of a pattern contains, whatever its escapes: most bodies hold none.
        self._needles = tuple({h.rsplit("*", 1)[-1].encode() for h in identity.hosts})

    def find(self, body: bytes) -> list[Found]:
        """All media URLs of a JSON body, in order. Cheap where there are none: a search for a fixed text."""
        if not any(needle in body for needle in self._needles):
            return []
        out: list[Found] = []
        end_of_last = 0
        for match in self._start.finditer(body):
            if match.start() >= end_of_last and (found := self._take(match)) is not None:
                out.append(found)
                end_of_last = found.end
        return _in_values(body, out)

    def _take(self, match: re.Match[bytes]) -> Found | None:
        body, at = match.string, match.end()
        before = body[match.start() - 1 : match.start()]
        if before not in _BEFORE and _continues(body, match.start(), before):
            return None
        end = body.find(b'"', at, at + _LONGEST)
        rest = body[at:end] if end > at else b"\n"
        if b"\\" in rest:
            rest = rest.replace(b"\\/", b"/").replace(b"\\u0026", b"&")
        if rest.translate(None, _PLAIN) or rest[-1] in _TRAILING:
            return self._take_slowly(match)
        pattern = match.lastindex
        assert pattern is not None
        mark = rest.find(b"?")
        path = (rest if mark < 0 else rest[:mark]).decode("ascii")
        query = rest[mark + 1 :].decode("ascii") if mark >= 0 and self._identity.identity_params else ""
        text = self._identity.text_of(pattern - 1, path, query)
        return None if text is None else Found(match.start(), end, text)

    def _take_slowly(self, match: re.Match[bytes]) -> Found | None:
        """A URL inside a text, or with rare characters or escapes: its end takes looking for."""
        rest = _REST.match(match.string, match.end())
        if rest is None:
            return None
        start, end = match.start(), _without_trailing(match.string, match.start(), rest.end())
        key = self._identity.key(_url_at(match.string, start, end))
        return None if key is None else Found(start, end, key.text)


def swap(
    body: bytes,
    scanner: Scanner,
    lookup: Callable[[list[str]], Mapping[str, str]],
) -> Swapped:
    """Put cached copies' links into `body`.

    `lookup` gets the keys of all files of the body at once, and answers with a link for those that have a copy.
    """
    found = scanner.find(body)
    if not found:
        return Swapped(body)
    links = lookup(list({f.text for f in found}))
    return put(body, found, links)


def put(body: bytes, found: list[Found], links: Mapping[str, str]) -> Swapped:
    """The body with `links` (by key text) in the places `found`; the link is escaped as the URL before it was."""
    out: list[bytes] = []
    missing: dict[str, MediaKey] = {}
    at = count = 0
    for f in found:
        link = links.get(f.text)
        if link is None:
            if f.text not in missing:
                missing[f.text] = MediaKey(f.text, _url_at(body, f.start, f.end))
            continue
        out.append(body[at : f.start])
        out.append(_escape(link, body, f))
        at = f.end
        count += 1
    if not count:
        return Swapped(body, 0, list(missing.values()))
    out.append(body[at:])
    return Swapped(b"".join(out), count, list(missing.values()))


def _in_values(body: bytes, found: list[Found]) -> list[Found]:
    """Those that stand in values: the name of a member is not ours to change."""
    out, string_ends, is_name = [], -1, False
    for f in found:
        if body[f.end : f.end + 2] in _ENDS_OF_VALUES:
            string_ends, is_name = f.end, False
        elif f.end > string_ends:
            rest = _STRING_REST.match(body, f.end)
            string_ends, is_name = (rest.end(), bool(rest[1])) if rest else (len(body), False)
        if not is_name:
            out.append(f)
    return out


def _continues(body: bytes, start: int, before: bytes) -> bool:
    """Whether what looks like a URL at `start` is a part of a word or of another URL."""
    if before.isalnum():
        return not _ESCAPED_END.search(body, max(0, start - 6), start)
    word = body[max(0, start - _LOOK_BACK) : start].replace(b"\\/", b"/")
    at = max(word.rfind(one) for one in _BEFORE)
    return b"://" in word[at + 1 :]


def _escape(link: str, body: bytes, f: Found) -> bytes:
    """The link as the writer of the URL before it would have written it: its slashes, its ampersands."""
    raw = link.encode("ascii")
    if b"&" in raw:
        url = body[f.start : f.end]
        ampersand = b"&amp;" if b"amp;" in url else b"&"
        raw = raw.replace(b"&", ampersand.replace(b"&", b"\\u0026") if b"\\u0026" in url else ampersand)
    at = f.start + len(b"https:")
    if body[at] != 0x5C:
        return raw
    slash = body[at : at + 2]
    return raw.replace(b"/", b"\\/" if slash == b"\\/" else body[at : at + 6])


def _url_at(body: bytes, start: int, end: int) -> str:
    """The URL without the escapes of JSON and HTML."""
    return _ESCAPE.sub(_unescape, body[start:end]).decode("ascii").replace("&amp;", "&")


def _unescape(found: re.Match[bytes]) -> bytes:
    return bytes((int(found[1], 16),)) if found[1] else b"/"


def _without_trailing(body: bytes, start: int, end: int) -> int:
    """Where the URL ends: without the punctuation of the sentence around it."""
    while end > start and body[end - 1] in _TRAILING:
        if body[end - 1] == 0x29 and body.count(b"(", start, end) >= body.count(b")", start, end):
            break
        end -= 1
    return end
