"""scrub owns keeping secrets out of everything that is written, and finding one that got there all the same."""

from __future__ import annotations

import re
from collections.abc import Iterable

HIDDEN = "***"
SHORTEST = 6
"""A given secret shorter than this is not looked for: it would be found in ordinary words."""
_SHAPES = re.compile(
    r"""
    \bsk-(?:ant-|proj-)?[A-Za-z0-9_-]{16,}            # keys of model vendors
    | \b[MN][A-Za-z\d]{23,25}\.[\w-]{6}\.[\w-]{27,}   # a Discord bot's token
    | (?<=://)[^/\s:@"]{1,64}:[^/\s@"]{1,128}(?=@)    # user and password of an address
    | (?<=[Bb]earer\ )[A-Za-z0-9._~+/-]{12,}
    | -----BEGIN\ [A-Z ]*PRIVATE\ KEY-----
    """,
    re.VERBOSE,
)
_NAMED = re.compile(
    r"""(?i)(["']?(?:api[_-]?key|api[_-]?secret|secret|token|passwo?r?d|signature|authorization)["']?\s*[:=]\s*["']?)"""
    r"""(?!\*\*\*|null|none)([^\s"',}&]{6,})"""
)
_HINTS = ("sk-", "://", "earer ", "private key", "key", "secret", "token", "passw", "signature", "authorization")
"""Without any of these, whatever their case, and without what follows, no text of ASCII looks like a secret."""
_DOTTED = re.compile(r"[MN][A-Za-z\d]{23,25}\.")


class Scrubber:
    """Replaces the given secrets, and whatever looks like one, by ``***``."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._known = tuple(sorted({s for s in secrets if len(s) >= SHORTEST}, key=len, reverse=True))

    def clean(self, text: str) -> str:
        for secret in self._known:
            text = text.replace(secret, HIDDEN)
        lowered = text.lower()
        if text.isascii() and not any(hint in lowered for hint in _HINTS) and _DOTTED.search(text) is None:
            return text  # most lines of a trail, at a tenth of what the patterns take
        return _NAMED.sub(rf"\g<1>{HIDDEN}", _SHAPES.sub(HIDDEN, text))

    def finds(self, text: str) -> bool:
        """Whether a secret is in *text*."""
        return self.clean(text) != text
