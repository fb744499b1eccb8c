"""sanitize owns which characters are not text but orders to what shows it: text of others must not give any."""

from __future__ import annotations

import json
import re

_ORDERS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 and C1 but tab and newline: escape sequences, bells, carriage returns
    "\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff"  # directions of writing, invisible spaces, line ends
    "\ud800-\udfff\ufff9-\ufffb\U000e0000-\U000e007f]"  # halves of characters, annotations, invisible tags
)


def printable(text: str) -> str:
    """*text* with a visible mark in place of each character that would command a terminal or a page."""
    return _ORDERS.sub("\N{REPLACEMENT CHARACTER}", text)


def one_line(text: str) -> str:
    """*text* in one line, without what commands a terminal: words of others must not look like a line of ours."""
    return printable(text).replace("\n", "\N{REPLACEMENT CHARACTER}").replace("\t", " ")


def escaped(text: str) -> str:
    """*text*, which is JSON, saying the same without a character that commands a terminal."""
    return _ORDERS.sub(lambda order: json.dumps(order[0])[1:-1], text)
