"""fingerprints owns how sealed bars are known again, whatever their interval, their file and what is around them."""

from __future__ import annotations

import hashlib
import re

import numpy as np

from maestro_engine.data.bars import UNKNOWN_SYMBOL, Bars, Ints
from maestro_engine.data.timeframes import DAY_MS
from maestro_protocol.messages.sealed import SealedBars, SealedDay

HOUR_MS = 3_600_000
DIGITS = 6
"""Significant digits of what is hashed: sums in another order, and files of fewer digits, differ beyond them."""
_CONTRACT = re.compile(r"[-_./ ]?(PERP|SWAP)$|:.*$")
_SEPARATORS = re.compile(r"[^A-Z0-9]")


def market_key(symbol: str, source: str, simulated: bool) -> str | None:
    """One name for one market: a simulated one's generator and seed, else its symbol without separators.

    None for a symbol that nobody knows.
    """
    if simulated:
        return source
    bare = _SEPARATORS.sub("", _CONTRACT.sub("", symbol.upper()))
    return bare if bare and symbol != UNKNOWN_SYMBOL else None


def sealed_bars(bars: Bars, first: int, end: int) -> SealedBars:
    """What bars *first* to *end* (excluded) of *bars* are known by: market, time, and prints by UTC day and hour.

    A print is a hash of open, high, low, close and volume of a whole UTC hour or day, which are the same for bars of
    1m and for those of 5m made of them. Neither symbol nor time is in it, so bars are known again under another name
    and in another time zone. Hours and days in which the price stood still have none: they would equal each other.
    """
    part = bars.slice(first, end)
    hours = _prints(part, HOUR_MS) if bars.step_ms <= HOUR_MS else {}
    whole = _prints(part, DAY_MS)
    since, until = int(part.open_time[0]), int(part.open_time[-1]) + part.step_ms
    return SealedBars(
        market=market_key(bars.symbol, bars.source, bars.simulated),
        first_ms=since,
        end_ms=until,
        days=tuple(
            SealedDay(
                first_ms=max(day, since),
                end_ms=min(day + DAY_MS, until),
                whole=whole.get(day),
                hours=tuple(hours[hour] for hour in range(day, day + DAY_MS, HOUR_MS) if hour in hours),
            )
            for day in range(since // DAY_MS * DAY_MS, until, DAY_MS)
        ),
    )


def _prints(bars: Bars, span_ms: int) -> dict[int, int]:
    """Start of each whole span of *span_ms* that *bars* hold and in which the price moved -> its print (int64)."""
    spans: Ints = bars.open_time // span_ms
    begins = np.flatnonzero(np.diff(spans, prepend=spans[0] - 1))
    lengths = np.diff(begins, append=len(bars))
    high, low = np.maximum.reduceat(bars.high, begins), np.minimum.reduceat(bars.low, begins)
    closes, volume = bars.close[begins + lengths - 1], np.add.reduceat(bars.volume, begins)
    told = zip(spans[begins], lengths, bars.open[begins], high, low, closes, volume, strict=True)
    return {
        int(span) * span_ms: _print(*values)
        for span, length, *values in told
        if length * bars.step_ms == span_ms and values[1] > values[2]
    }


def _print(*values: float) -> int:
    text = " ".join(f"{value:.{DIGITS}g}" for value in values)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little", signed=True)
