"""volatility owns the true range, its Wilder average, and where that stands among its recent values."""

from __future__ import annotations

import numpy as np

from maestro_engine.indicators.averages import decay, decayed
from maestro_engine.indicators.compiled import compiled, inlined
from maestro_engine.market.bars import Floats

_BLOCK = 512
"""Values that are taken through one step after another, so that what is between the steps stays at hand."""


@compiled
def true_range(high: Floats, low: Floats, close: Floats) -> Floats:
    """The bar's range, extended to the close before it; the first bar has its own range. Shape ``(n,)``."""
    n = len(close)
    out = np.empty(n)
    if n:
        out[0] = high[0] - low[0]
    before, top, bottom, rest = close[:-1], high[1:], low[1:], out[1:]
    for i in range(len(before)):
        rest[i] = max(top[i], before[i]) - min(bottom[i], before[i])
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
    out = np.empty(n)
    means, squares = np.empty(min(n, _BLOCK)), np.empty(min(n, _BLOCK))
    total, square = 0.0, 0.0
    for begin in range(0, n, _BLOCK):
        end = min(begin + _BLOCK, n)
        total, square = _moments(values, bars, begin, end, total, square, means, squares)
        _stand(values[begin:end], values[0], means, squares, out[begin:end])
    out[: bars - 1] = np.nan
    return out


@inlined
def _moments(
    values: Floats, bars: int, begin: int, end: int, total: float, square: float, means: Floats, squares: Floats
) -> tuple[float, float]:
    """Write the means of the last *bars* values and of their squares, for each of ``[begin, end)``; gives the sums.

    Counted from the first value: sums of squares around a near value lose fewer digits.
    """
    share, origin = 1.0 / bars, values[0]
    full = min(max(begin, bars), end)
    for i in range(begin, full):
        x = values[i] - origin
        total += x
        square += x * x
        means[i - begin], squares[i - begin] = total * share, square * share
    for i in range(full, end):
        x, old = values[i] - origin, values[i - bars] - origin
        total += x - old
        square += x * x - old * old
        means[i - begin], squares[i - begin] = total * share, square * share
    return total, square


@inlined
def _stand(values: Floats, origin: float, means: Floats, squares: Floats, out: Floats) -> None:
    """Write the z-scores. Nothing waits for the value before, so that the machine takes several roots at once."""
    for i in range(len(values)):
        variance = squares[i] - means[i] * means[i]
        z = (values[i] - origin - means[i]) / np.sqrt(variance)
        out[i] = z if variance > 1e-12 * squares[i] else np.nan
