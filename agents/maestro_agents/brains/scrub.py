"""scrub owns what never leaves a brain: keys, by value and by the shape vendors give them."""

from __future__ import annotations

import re

_HINTS = ("k-", "xai-", "bearer")
"""What is in every key's shape; looking for these first spares long texts the search."""
_FIRST = ("sk-", "rk-", "pk-")
_SHAPES = re.compile(r"(?i)\b(?:sk|rk|pk|xai|gsk)-[a-z0-9_\-]{8,}[*a-z0-9_\-]*|\bbearer\s+[a-z0-9._\-]{8,}")
HIDDEN = "[hidden key]"
SHORTEST = 8
"""Characters below which a key is a local server's placeholder (``none``, ``ollama``): hiding it would eat words."""


def scrub(text: str, *secrets: str) -> str:
    """*text* without the given secrets, in whatever case, and without anything shaped like a vendor's key."""
    for secret in secrets:
        if len(secret) >= SHORTEST:
            text = re.sub(re.escape(secret), HIDDEN, text, flags=re.IGNORECASE)
    lower = text.lower()
    found = [hint for hint in _HINTS if hint in lower]
    if found == ["k-"]:  # perhaps of walk-forward
        found = [first for first in _FIRST if first in lower]
    return _SHAPES.sub(HIDDEN, text) if found else text
