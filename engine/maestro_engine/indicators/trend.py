"""trend owns how far the price went compared with the way it took, and the channel of its extremes."""

from __future__ import annotations

import numpy as np

from maestro_engine.indicators.compiled import compiled, inlined, kernel
from maestro_engine.indicators.flow import last_sum, ratio
from maestro_engine.market.bars import Floats


@kernel
def path(close: Floats, out: Floats) -> None:
    """Write the running total of the absolute changes of *close*, ``(n + 1,)``; the first change is 0."""
    out[: min(2, len(out))] = 0.0
    total = 0.0
    for i in range(1, len(close)):
        total += abs(close[i] - close[i - 1])
        out[i + 1] = total


@inlined
def extremes(values: Floats) -> tuple[float, float]:
    """Highest and lowest of *values*. Four running pairs, as one would make each value wait for the one before."""
    h0 = h1 = h2 = h3 = l0 = l1 = l2 = l3 = values[0]
    whole = len(values) // 4 * 4
    for i in range(0, whole, 4):
        h0, l0 = max(h0, values[i]), min(l0, values[i])
        h1, l1 = max(h1, values[i + 1]), min(l1, values[i + 1])
        h2, l2 = max(h2, values[i + 2]), min(l2, values[i + 2])
        h3, l3 = max(h3, values[i + 3]), min(l3, values[i + 3])
    for i in range(whole, len(values)):
        h0, l0 = max(h0, values[i]), min(l0, values[i])
    return max(h0, h1, h2, h3), min(l0, l1, l2, l3)


@inlined
def vhf_at(close: Floats, walked: Floats, index: int, bars: int) -> float:
    """Vertical horizontal filter at one bar; *walked* is :func:`path` of *close*."""
    if index < bars:
        return np.nan
    highest, lowest = extremes(close[index - bars + 1 : index + 1])
    return ratio(highest - lowest, last_sum(walked, index, bars))


@compiled
def vhf(close: Floats, bars: int) -> Floats:
    """Vertical horizontal filter (White, 1991): range of the last *bars* closes over the sum of their changes.

    Near 1 in a trend, near 0 in a range; NaN before there are *bars* changes and where nothing moved.
    """
    walked = np.empty(len(close) + 1)
    path(close, walked)
    out = np.empty(len(close))
    for i in range(len(close)):
        out[i] = vhf_at(close, walked, i, bars)
    return out


@inlined
def extremes_to_end(high: Floats, low: Floats, tops: Floats, bottoms: Floats) -> None:
    """Write the highest high and the lowest low from each bar to the last; all ``(n,)``."""
    top, bottom = -np.inf, np.inf
    for j in range(len(high)):
        i = len(high) - 1 - j
        top, bottom = max(top, high[i]), min(bottom, low[i])
        tops[i], bottoms[i] = top, bottom


@compiled
def rolling_high(values: Floats, bars: int) -> Floats:
    """Highest of the last *bars* values, this one included; NaN before there are as many.

    The places of falling values are kept in a queue, so that every value enters and leaves once.
    """
    n = len(values)
    out = np.full(n, np.nan)
    queue = np.empty(n, np.int64)
    head, tail = 0, 0
    for i in range(n):
        while tail > head and values[queue[tail - 1]] <= values[i]:
            tail -= 1
        queue[tail] = i
        tail += 1
        if queue[head] <= i - bars:
            head += 1
        if i >= bars - 1:
            out[i] = values[queue[head]]
    return out


@compiled
def donchian(high: Floats, low: Floats, bars: int) -> tuple[Floats, Floats]:
    """Donchian channel: highest high and lowest low of the last *bars*, this one included; two ``(n,)``."""
    return rolling_high(high, bars), -rolling_high(-low, bars)
