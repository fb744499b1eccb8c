"""trend owns how far the price went compared with the way it took, and the channel of its extremes."""

from __future__ import annotations

import numpy as np

from maestro_engine.data.bars import Floats
from maestro_engine.indicators.compiled import compiled, inlined, kernel
from maestro_engine.indicators.flow import ratio, window_sum


@kernel
def path_length_into(close: Floats, out: Floats) -> None:
    """Write the running total of the absolute changes of *close*, ``(n + 1,)``; the first change is 0."""
    out[: min(2, len(out))] = 0.0
    total = 0.0
    for i in range(1, len(close)):
        total += abs(close[i] - close[i - 1])
        out[i + 1] = total


@inlined
def max_min(values: Floats) -> tuple[float, float]:
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
    highest, lowest = max_min(close[index - bars + 1 : index + 1])
    return ratio(highest - lowest, window_sum(walked, index, bars))


STRIDE = 8
"""Closes in a stride: from the extremes of strides, those of a longer stretch are found in an eighth of the steps."""


@inlined
def vhf_by_strides(tops: Floats, depths: Floats, walked: Floats, index: int, bars: int) -> float:
    """As :func:`vhf_at`, of :data:`STRIDE` *bars* or more.

    *tops* and *depths* are :func:`rolling_high` of the last STRIDE closes, and of the closes with the sign -1.
    """
    if index < bars:
        return np.nan
    top, depth = tops[index], depths[index]
    for i in range(index - bars + STRIDE, index, STRIDE):
        top, depth = max(top, tops[i]), max(depth, depths[i])
    return ratio(top + depth, window_sum(walked, index, bars))


@compiled
def vhf(close: Floats, bars: int) -> Floats:
    """Vertical horizontal filter (White, 1991): range of the last *bars* closes over the sum of their changes.

    Near 1 in a trend, near 0 in a range; NaN before there are *bars* changes and where nothing moved.
    """
    walked = np.empty(len(close) + 1)
    path_length_into(close, walked)
    out = np.empty(len(close))
    for i in range(len(close)):
        out[i] = vhf_at(close, walked, i, bars)
    return out


@inlined
def rolling_max_into(values: Floats, sign: float, bars: int, room: Floats, out: Floats) -> None:
    """Write the highest of ``sign * values[i : i + bars]`` for each *i*; NaN is passed over.

    There must be at least *bars* values. A stretch of 2 w values is two of w, so each pass doubles the length, and
    nothing in it waits for the value before. *room* is ``(2, len(values))`` at least.
    """
    here, there, left, width = room[0], room[1], len(values) - 1, 2
    if bars == 1:
        for i in range(len(out)):
            out[i] = max(-np.inf, sign * values[i])
        return
    for i in range(left):
        here[i] = max(-np.inf, sign * values[i], sign * values[i + 1])
    while 2 * width < bars:
        left -= width
        maximum_into(here, here[width:], there[:left])
        here, there, width = there, here, 2 * width
    maximum_into(here, here[bars - width :], out)


@inlined
def maximum_into(one: Floats, other: Floats, out: Floats) -> None:
    """Write the higher value at each place of *out*."""
    for i in range(len(out)):
        out[i] = max(one[i], other[i])


@compiled
def rolling_high(values: Floats, sign: float, bars: int) -> Floats:
    """Highest of the last *bars* of ``sign * values``, this one included; NaN before there are as many."""
    out = np.full(len(values), np.nan)
    if len(values) >= bars:
        rolling_max_into(values, sign, bars, np.empty((2, len(values))), out[bars - 1 :])
    return out


@compiled
def donchian(high: Floats, low: Floats, bars: int) -> tuple[Floats, Floats]:
    """Donchian channel: highest high and lowest low of the last *bars*, this one included; two ``(n,)``."""
    return rolling_high(high, 1.0, bars), -rolling_high(low, -1.0, bars)
