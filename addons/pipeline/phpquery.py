"""Query strings as PHP reads them: `filter[tags][]=a` is a list below `filter`, the last of two equal names wins.

Names stay flat here: rules declare `filter[total_spent]`, `filter[tags][]`, `startDate`, and this module says which
values a query holds for such a name. Nothing is re-encoded: what goes upstream is built from `pairs`' raw text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import quote, unquote_plus

MAX_PAIRS = 1000  # PHP's max_input_vars
_INDEX = re.compile(r"\[\d*\]$")


@dataclass(frozen=True, slots=True)
class Pair:
    """One `name=value` of a query: decoded `name` and `value`, and the `text` as it was sent."""

    name: str
    value: str
    text: str


class TooManyParameters(ValueError):
    """More than 1,000 parameters in one query."""


def pairs(query: str) -> list[Pair]:
    """All pairs in order; empty ones (`a=1&&b=2`) are left out. Raises TooManyParameters."""
    if not query:
        return []
    texts = [t for t in query.split("&") if t]
    if len(texts) > MAX_PAIRS:
        raise TooManyParameters(f"the query has {len(texts)} parameters, the limit is {MAX_PAIRS}")
    out = []
    for text in texts:
        name, _, value = text.partition("=")
        out.append(Pair(_decode(name), _decode(value), text))
    return out


def _decode(text: str) -> str:
    return unquote_plus(text, errors="replace") if "%" in text or "+" in text else text


def list_name(name: str) -> str:
    """The name of the list that `tags[]`, `tags[0]` and `tags` are values of."""
    return _INDEX.sub("", name)


def values_of(parsed: Iterable[Pair], name: str) -> list[str]:
    """Every value of a list parameter, whichever of `name`, `name[]`, `name[3]` the client used."""
    base = list_name(name)
    return [p.value for p in parsed if p.name == base or (p.name.startswith(base) and list_name(p.name) == base)]


def value_of(parsed: Iterable[Pair], name: str) -> str | None:
    """The last value of a single parameter, None where it is absent."""
    found = None
    for p in parsed:
        if p.name == name:
            found = p.value
    return found


def head(name: str) -> str:
    """What stands before the first bracket: PHP puts all names with one head into one value."""
    return name.partition("[")[0]


@lru_cache(maxsize=1024)
def dotted(name: str) -> str:
    """Laravel's spelling of a name in errors: `filter[total_spent]` → `filter.total_spent`."""
    return name.replace("[]", "").replace("[", ".").replace("]", "") if "[" in name else name


def bracketed(name: str) -> str:
    """What a client that wrote `filter.online` should write: `filter[online]`."""
    head, *rest = name.split(".")
    return head + "".join(f"[{part}]" for part in rest)


def with_values(query: str, changes: dict[str, str | None]) -> str:
    """`query` with some parameters replaced (in place), added (at the end) or, for None, removed; all else as sent."""
    left = dict(changes)
    out: list[str] = []
    for pair in pairs(query):
        if pair.name not in changes:
            out.append(pair.text)
        elif (value := left.pop(pair.name, None)) is not None:
            out.append(f"{encode(pair.name)}={encode(value)}")
    out.extend(f"{encode(name)}={encode(value)}" for name, value in left.items() if value is not None)
    return "&".join(out)


def encode(text: str) -> str:
    """Percent-encoded for a query; brackets stay readable, as PHP clients send them."""
    return quote(text, safe="[]-_.~:,@")
