"""addons/enrich/classify: a word from a text, patterns as data."""

from __future__ import annotations

from typing import Any

import pytest

from tests.addons.enrich.bench import run

TYPES: dict[str, Any] = {
    "each": "$.list[*]",
    "from": "description",
    "set": "type",
    "patterns": [
        {"starts": "tip", "is": "tips"},
        {"starts": ["subscription from", "recurring subscription from"], "is": "subs"},
        {"starts": ["payment for message from", "message from"], "is": "chat_messages"},
        {"regex": r"^post (purchase )?(by|from)\b", "is": "post"},
        {"equals": "stream", "is": "stream"},
        {"contains": "refund", "is": "refund"},
    ],
}


@pytest.mark.parametrize(
    ("text", "word"),
    [
        # contract 5.7, with HTML around it and in any case
        ('Subscription from <a href="https://onlyfans.com/x">Name</a>', "subs"),
        ("<b>Recurring</b> subscription&nbsp;from <a>X</a>", "subs"),
        ("TIP in chat from <a>post from</a>", "tips"),
        ("  Payment   for\nmessage from X", "chat_messages"),
        ("Post purchase by X", "post"),
        ("post FROM X", "post"),
        ("Stream", "stream"),
        ("some Refunded thing", "refund"),
        # whole words only, and nothing else
        ("Tipsy from X", None),
        ("Streaming", None),
        ("Referral from X", None),
        ("", None),
    ],
)
def test_first_pattern_that_fits_wins(text: str, word: str | None) -> None:
    """Tags, entities, spaces and case do not count; what nothing fits is null."""
    assert run("classify", TYPES, {"list": [{"description": text}]}).value["list"][0]["type"] == word


@pytest.mark.parametrize("row", [{}, {"description": None}, {"description": 5}, {"description": {"a": 1}}])
def test_no_text_is_unclassified(row: dict[str, Any]) -> None:
    """Without a text the word is `otherwise`."""
    ran = run("classify", {**TYPES, "otherwise": "unknown"}, {"list": [row]})
    assert ran.value["list"][0]["type"] == "unknown"
    assert ran.counts == {"unclassified": 1}
