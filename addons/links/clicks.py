"""What a click's request says: device, browser, campaign parameters, click ids, and whether a robot sent it.

Parsing is never on the way of the redirect's answer: it runs where click batches are written (contract 6.3).
"""

from __future__ import annotations

import ipaddress
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

UTM = ("utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content")
CLICK_IDS = ("fbclid", "gclid", "gbraid", "wbraid", "ttclid", "sccid")
AFFILIATE = ("aff_s1", "aff_s2", "aff_s3", "aff_s4", "aff_s5")
TEXT_LIMIT = 512
_EXTERNAL = ("external_click_id", "click_id", "clickid")
_PREFETCH = ("purpose", "sec-purpose", "x-purpose", "x-moz")


@dataclass(frozen=True, slots=True)
class Device:
    """`device_type`: desktop | mobile | tablet | bot | other."""

    device_type: str
    browser_name: str | None
    browser_family: str | None
    platform: str | None


class CrawlerNames(Protocol):
    def is_crawler(self, user_agent: str) -> bool: ...


@lru_cache(maxsize=1)
def _crawlers() -> CrawlerNames:
    from crawlerdetect import CrawlerDetect

    detector: CrawlerNames = CrawlerDetect()
    return detector


@lru_cache(maxsize=8192)
def is_crawler(user_agent: str) -> bool:
    """Whether a user agent names itself a robot; none at all counts as one."""
    return not user_agent.strip() or _crawlers().is_crawler(user_agent)


@lru_cache(maxsize=8192)
def device_of(user_agent: str) -> Device:
    """Device, browser and platform from the user agent alone."""
    user_agent = user_agent.encode("utf-8", "replace").decode()[:1024]  # the parser refuses lone surrogates
    if is_crawler(user_agent):
        return Device("bot", None, None, None)
    import ua_parser

    seen = ua_parser.parse(user_agent)
    browser, system = seen.user_agent, seen.os
    family = browser.family if browser else None
    name = f"{family} {browser.major}" if browser and browser.major else family
    kind = _device_type(user_agent, system.family if system else "", seen.device.family if seen.device else "")
    return Device(kind, name, family, system.family if system else None)


def _device_type(user_agent: str, system: str, model: str) -> str:
    if "iPad" in user_agent or "Tablet" in user_agent or "Kindle" in model:
        return "tablet"
    if system == "Android":
        return "mobile" if "Mobile" in user_agent else "tablet"
    if system in ("iOS", "Windows Phone", "KaiOS", "BlackBerry OS") or "Mobile" in user_agent:
        return "mobile"
    if system in ("Windows", "Mac OS X", "Linux", "Ubuntu", "Chrome OS", "Fedora", "Debian", "FreeBSD"):
        return "desktop"
    return "other"


def parameters(query: Mapping[str, Any]) -> dict[str, str | None]:
    """Campaign parameters of the redirect's query by column name; absent is None, longer than 512 characters is cut."""
    out: dict[str, str | None] = {name: _text(query.get(name)) for name in (*UTM, *CLICK_IDS, *AFFILIATE)}
    out["external_click_id"] = next((v for n in _EXTERNAL if (v := _text(query.get(n))) is not None), None)
    return out


def _text(value: Any) -> str | None:
    if not isinstance(value, str) or not value:
        return None
    return value.replace("\x00", "")[:TEXT_LIMIT]


def is_prefetch(method: str, headers: Mapping[str, str]) -> bool:
    """HEAD and declared prefetches are no visits. `headers` has lower-case names."""
    if method == "HEAD":
        return True
    return any(
        "prefetch" in value or "preview" in value for name in _PREFETCH if (value := headers.get(name, "").lower())
    )


class AddressRanges:
    """Addresses of data centres, from a file of one CIDR range a line (`#` starts a comment).

    Raises ValueError naming file and line where a range cannot be read.
    """

    def __init__(self, ranges: Iterable[str] = (), *, source: str = "ranges") -> None:
        self._spans: dict[int, tuple[list[int], list[int]]] = {4: ([], []), 6: ([], [])}
        spans: dict[int, list[tuple[int, int]]] = {4: [], 6: []}
        for number, line in enumerate(ranges, 1):
            text = line.split("#", 1)[0].strip()
            if not text:
                continue
            try:
                net = ipaddress.ip_network(text, strict=False)
            except ValueError as e:
                raise ValueError(f"{source}:{number}: `{text}` is no address range such as 203.0.113.0/24") from e
            spans[net.version].append((int(net.network_address), int(net.broadcast_address)))
        for version, found in spans.items():
            starts, ends = self._spans[version]
            for start, end in sorted(found):
                if ends and start <= ends[-1] + 1:
                    ends[-1] = max(ends[-1], end)
                else:
                    starts.append(start)
                    ends.append(end)

    @classmethod
    def read(cls, path: Path) -> AddressRanges:
        return cls(path.read_text("utf-8").splitlines(), source=str(path))

    def __contains__(self, address: object) -> bool:
        try:
            ip = ipaddress.ip_address(str(address))
        except ValueError:
            return False
        if ip.version == 6 and ip.ipv4_mapped:
            ip = ip.ipv4_mapped
        starts, ends = self._spans[ip.version]
        at = bisect_right(starts, int(ip)) - 1
        return at >= 0 and int(ip) <= ends[at]
