"""volatility owns the true range, its Wilder average, and where that stands among its recent values."""

from __future__ import annotations

import numpy as np

from maestro_engine.data.bars import Floats
from maestro_engine.indicators.averages import ema_into, ema_weights
from maestro_engine.indicators.compiled import compiled, inlined, kernel
from maestro_engine.indicators.crossing import BLOCK

Z_BLOCK = BLOCK
"""Values of a z-score that are taken through one step after another."""


@inlined
def true_range_into(before: Floats, high: Floats, low: Floats, out: Floats) -> None:
    """Write the true ranges of bars with the close *before* each; all ``(n,)``."""
    for i in range(len(before)):
        out[i] = max(high[i], before[i]) - min(low[i], before[i])


@compiled
def true_range(high: Floats, low: Floats, close: Floats) -> Floats:
    """The bar's range, extended to the close before it; the first bar has its own range. Shape ``(n,)``."""
    out = high - low
    true_range_into(close[:-1], high[1:], low[1:], out[1:])
    return out


@compiled
def wilder_atr(high: Floats, low: Floats, close: Floats, bars: int) -> Floats:
    """Average true range by Wilder's smoothing, weight ``1 / bars`` (New Concepts, 1978).

    Seeded with the first true range instead of Wilder's mean of the first *bars*, so that it is defined from
    the first bar; the two agree after the warm-up. Shape ``(n,)``.
    """
    out = np.empty(len(close))
    atr_into(high, low, close, bars, out)
    return out


@kernel
def atr_into(high: Floats, low: Floats, close: Floats, bars: int, out: Floats) -> None:
    """Write :func:`wilder_atr` into *out*."""
    d, last = ema_weights(1.0 / bars), 0.0
    for i in range(min(1, len(close))):
        out[i] = high[i] - low[i]
        last = out[i] / d.a
    for begin in range(1, len(close), BLOCK):
        end = min(begin + BLOCK, len(close))
        true_range_into(close[begin - 1 : end - 1], high[begin:end], low[begin:end], out[begin:end])
        last = ema_into(d, last, out[begin:end], out[begin:end])


@compiled
def zscore(values: Floats, bars: int) -> Floats:
    """How many standard deviations (population) a value lies above the mean of the last *bars*, itself included.

    NaN before there are *bars* values and where all of them are equal. Shape ``(n,)``.
    """
    out = np.empty(len(values))
    zscore_into(values, bars, np.empty(Z_BLOCK), np.empty(Z_BLOCK), out)
    return out


@kernel
def zscore_into(values: Floats, bars: int, sums: Floats, squares: Floats, out: Floats) -> None:
    """Write :func:`zscore` into *out*; *sums* and *squares* are room to work in, ``(Z_BLOCK,)``.

    What need not wait for the bar before is apart from what must, so that the machine takes several at once.
    """
    total, square = 0.0, 0.0
    for begin in range(0, len(values), Z_BLOCK):
        end = min(begin + Z_BLOCK, len(values))
        _window_changes(values, bars, begin, end, sums, squares)
        for i in range(end - begin):
            total += sums[i]
            square += squares[i]
            sums[i], squares[i] = total, square
        _standardize(values[begin:end], values[0], 1.0 / bars, sums, squares, out[begin:end])
    out[: bars - 1] = np.nan


@inlined
def _window_changes(values: Floats, bars: int, begin: int, end: int, sums: Floats, squares: Floats) -> None:
    """Write what each of ``[begin, end)`` adds to the sum of the last *bars* values, and to that of their squares.

    Counted from the first value: sums of squares around a near value lose fewer digits.
    """
    origin, full = values[0], min(max(begin, bars), end)
    fresh = values[begin:full]
    for i in range(len(fresh)):
        x = fresh[i] - origin
        sums[i], squares[i] = x, x * x
    come, gone, more, most = values[full:end], values[full - bars :], sums[full - begin :], squares[full - begin :]
    for i in range(len(come)):
        x, old = come[i] - origin, gone[i] - origin
        more[i], most[i] = x - old, x * x - old * old


@inlined
def _standardize(values: Floats, origin: float, share: float, sums: Floats, squares: Floats, out: Floats) -> None:
    """Write the z-scores of *values* from the sums of those that count."""
    for i in range(len(values)):
        mean, square = sums[i] * share, squares[i] * share
        variance = square - mean * mean
        z = (values[i] - origin - mean) / np.sqrt(variance)
        out[i] = z if variance > 1e-12 * square else np.nan
