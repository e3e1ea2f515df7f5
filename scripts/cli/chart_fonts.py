"""Fonts for the title of a chart: a name may be written in letters that the usual font lacks."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from matplotlib.font_manager import FontEntry


class Title(NamedTuple):
    """`text` is empty where it cannot be shown. `families`: fonts for it, empty for the usual one."""

    text: str
    families: list[str]


def title(name: str) -> Title:
    """The name as a picture can show it. Symbols that no font has are left out; a name with such letters is not shown."""
    from matplotlib import rcParams
    from matplotlib.font_manager import FontProperties, findfont

    usual = FontProperties(family=rcParams["font.family"])
    missing = {char for char in name if char.isprintable() and not char.isspace()} - _letters(findfont(usual))
    if not missing:
        return Title(name, [])
    letters = {char for char in missing if unicodedata.category(char)[0] in "LMN"}
    if (font := _having(missing) or _having(letters)) is not None:
        return Title(_without(name, missing - _letters(font.fname)), [usual.get_name(), font.name])
    return Title("" if letters else _without(name, missing), [])


def _without(name: str, missing: set[str]) -> str:
    return " ".join("".join(char for char in name if char not in missing and char != "\ufe0f").split())


def _having(chars: set[str]) -> FontEntry | None:
    """The first installed font, by name, with all of these characters; None for none, and for no characters.

    Not matplotlib's own last resort, which has a box for every character.
    """
    from matplotlib.font_manager import fontManager

    if not chars:
        return None
    for entry in sorted(fontManager.ttflist, key=lambda entry: (entry.style != "normal", entry.name)):
        if not entry.name.startswith("Last Resort") and chars <= _letters(entry.fname):
            return entry
    return None


def _letters(path: str) -> set[str]:
    """The characters of a font file, none where it cannot be read."""
    from matplotlib.ft2font import FT2Font

    try:
        return {chr(code) for code in FT2Font(path).get_charmap()}
    except (OSError, RuntimeError):
        return set()
