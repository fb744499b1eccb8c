"""flow owns what takers did: cumulative volume delta and imbalance over the last bars."""

from __future__ import annotations

import numpy as np

from maestro_engine.indicators.compiled import compiled, inlined
from maestro_engine.market.bars import Floats


@compiled
def running_total(values: Floats) -> Floats:
    """``out[i]`` is the sum of the first *i* values; shape ``(n + 1,)``."""
    out = np.empty(len(values) + 1)
    total = 0.0
    out[0] = 0.0
    for i in range(len(values)):
        total += values[i]
        out[i + 1] = total
    return out


@compiled
def volume_delta(volume: Floats, taker_buy: Floats) -> Floats:
    """Volume bought minus volume sold by takers, ``2 taker_buy - volume``, per bar; shape ``(n,)``."""
    return 2.0 * taker_buy - volume


@inlined
def last_sum(totals: Floats, index: int, bars: int) -> float:
    """Sum of the *bars* values up to *index*, from their running totals; NaN when there are fewer."""
    if index + 1 < bars:
        return np.nan
    return totals[index + 1] - totals[index + 1 - bars]


@compiled
def cvd(volume: Floats, taker_buy: Floats, bars: int) -> Floats:
    """Cumulative volume delta over the last *bars*, base currency; NaN before there are as many."""
    totals = running_total(volume_delta(volume, taker_buy))
    out = np.empty(len(volume))
    for i in range(len(volume)):
        out[i] = last_sum(totals, i, bars)
    return out


@compiled
def imbalance(volume: Floats, taker_buy: Floats, bars: int) -> Floats:
    """Volume delta over volume of the last *bars*, -1 .. 1; NaN before there are as many or without volume."""
    deltas, volumes = running_total(volume_delta(volume, taker_buy)), running_total(volume)
    out = np.empty(len(volume))
    for i in range(len(volume)):
        out[i] = ratio(last_sum(deltas, i, bars), last_sum(volumes, i, bars))
    return out


@inlined
def ratio(part: float, whole: float) -> float:
    """*part* over *whole*; NaN when *whole* is not above zero."""
    return part / whole if whole > 0.0 else np.nan
