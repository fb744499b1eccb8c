"""volatility owns the true range, its Wilder average, and where that stands among its recent values."""

from __future__ import annotations

import numpy as np

from maestro_engine.indicators.averages import decay, decayed
from maestro_engine.indicators.compiled import compiled
from maestro_engine.market.bars import Floats


@compiled
def true_range(high: Floats, low: Floats, close: Floats) -> Floats:
    """The bar's range, extended to the close before it; the first bar has its own range. Shape ``(n,)``."""
    n = len(close)
    out = np.empty(n)
    if n:
        out[0] = high[0] - low[0]
    for i in range(1, n):
        out[i] = max(high[i], close[i - 1]) - min(low[i], close[i - 1])
    return out


@compiled
def wilder_atr(high: Floats, low: Floats, close: Floats, bars: int) -> Floats:
    """Average true range by Wilder's smoothing, weight ``1 / bars`` (New Concepts, 1978).

    Seeded with the first true range instead of Wilder's mean of the first *bars*, so that it is defined from
    the first bar; the two agree after the warm-up. Shape ``(n,)``.
    """
    return decayed(true_range(high, low, close), decay(1.0 / bars))


@compiled
def zscore(values: Floats, bars: int) -> Floats:
    """How many standard deviations (population) a value lies above the mean of the last *bars*, itself included.

    NaN before there are *bars* values and where all of them are equal. Shape ``(n,)``.
    """
    n = len(values)
    out = np.full(n, np.nan)
    if n == 0:
        return out
    origin = values[0]  # sums of squares around a near value lose fewer digits
    total, squares, share = 0.0, 0.0, 1.0 / bars
    for i in range(n):
        x = values[i] - origin
        old = values[i - bars] - origin if i >= bars else 0.0
        total += x - old
        squares += x * x - old * old
        mean, square = total * share, squares * share
        variance = square - mean * mean
        if i >= bars - 1 and variance > 1e-12 * square:
            out[i] = (x - mean) / np.sqrt(variance)
    return out
