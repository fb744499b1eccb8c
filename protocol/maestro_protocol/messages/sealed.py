"""sealed owns how sealed bars are known again, and what is counted of looks at them: plain tuples, never written."""

from __future__ import annotations

from typing import NamedTuple


class SealedDay(NamedTuple):
    """What sealed bars hold of one UTC day, ``[first_ms, end_ms)``, and how to know it again under another name."""

    first_ms: int
    end_ms: int
    whole: int | None
    """The print of the day; null where the bars hold only a part of it."""
    hours: tuple[int, ...]
    """The prints of its whole hours; none where the bars are longer than an hour."""


class SealedBars(NamedTuple):
    """Which bars an opening shows, whatever their interval, their file's name and what lies around them."""

    market: str | None
    """Null where nothing says; then their prints alone tell."""
    first_ms: int
    end_ms: int
    days: tuple[SealedDay, ...]


class Looks(NamedTuple):
    """Earlier looks at sealed bars: at the day that was looked at most, and at how many of the days at all."""

    earlier: int
    seen: int


class Claim(NamedTuple):
    """What is kept of an opening, in the transaction of the message that says it."""

    bars: SealedBars
    look: str
    """Names what is looked for: who looks for the very same again learns nothing new, and it is not counted."""
    earlier: int | None
    """The earlier looks that were counted; must still be true. Null where nobody counted."""
