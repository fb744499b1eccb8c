"""trend owns how far the price went compared with the way it took, and the channel of its extremes."""

from __future__ import annotations

import numpy as np

from maestro_engine.indicators.compiled import compiled, inlined
from maestro_engine.indicators.flow import last_sum, ratio, running_total
from maestro_engine.market.bars import Floats


@compiled
def path(close: Floats) -> Floats:
    """Running total of the absolute changes of *close*; shape ``(n + 1,)``, the first change is 0."""
    steps = np.zeros(len(close))
    for i in range(1, len(close)):
        steps[i] = abs(close[i] - close[i - 1])
    return running_total(steps)


@inlined
def vhf_at(close: Floats, walked: Floats, index: int, bars: int) -> float:
    """Vertical horizontal filter at one bar; *walked* is :func:`path` of *close*."""
    if index < bars:
        return np.nan
    highest, lowest = close[index], close[index]
    for i in range(index - bars + 1, index):
        highest = max(highest, close[i])
        lowest = min(lowest, close[i])
    return ratio(highest - lowest, last_sum(walked, index, bars))


@compiled
def vhf(close: Floats, bars: int) -> Floats:
    """Vertical horizontal filter (White, 1991): range of the last *bars* closes over the sum of their changes.

    Near 1 in a trend, near 0 in a range; NaN before there are *bars* changes and where nothing moved.
    """
    walked = path(close)
    out = np.empty(len(close))
    for i in range(len(close)):
        out[i] = vhf_at(close, walked, i, bars)
    return out


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
