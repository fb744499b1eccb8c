"""printing owns which characters are not text but orders to what shows it: text of others must not give any."""

from __future__ import annotations

import re

_ORDERS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 and C1 but tab and newline: escape sequences, bells, carriage returns
    "\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff"  # directions of writing, invisible spaces, line ends
    "\ud800-\udfff\ufff9-\ufffb\U000e0000-\U000e007f]"  # halves of characters, annotations, invisible tags
)


def printable(text: str) -> str:
    """*text* with a visible mark in place of each character that would command a terminal or a page."""
    return _ORDERS.sub("\N{REPLACEMENT CHARACTER}", text)
