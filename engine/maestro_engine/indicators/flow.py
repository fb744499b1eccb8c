"""flow owns what takers did: cumulative volume delta and imbalance over the last bars."""

from __future__ import annotations

import numpy as np

from maestro_engine.data.bars import Floats
from maestro_engine.indicators.compiled import compiled, inlined, kernel


@kernel
def taker_flow_sums(volume: Floats, taker_buy: Floats, deltas: Floats, volumes: Floats) -> None:
    """Write the running totals of the volume delta, ``2 taker_buy - volume``, and of volume, both ``(n + 1,)``.

    The delta is what takers bought minus what they sold; entry *i* is the sum of the first *i* bars.
    """
    delta, total = 0.0, 0.0
    deltas[0], volumes[0] = delta, total
    for i in range(len(volume)):
        delta += 2.0 * taker_buy[i] - volume[i]
        total += volume[i]
        deltas[i + 1], volumes[i + 1] = delta, total


@inlined
def window_sum(totals: Floats, index: int, bars: int) -> float:
    """Sum of the *bars* values up to *index*, from their running totals; NaN when there are fewer."""
    if index + 1 < bars:
        return np.nan
    return totals[index + 1] - totals[index + 1 - bars]


GRAIN = 1e-9
"""To what ratios of running totals are compared: far above what rounding leaves in them, far below a step."""


@inlined
def delta_at(deltas: Floats, volumes: Floats, index: int, bars: int) -> float:
    """Volume delta of the *bars* up to *index*, 0 where only rounding is left of it; NaN when there are fewer."""
    delta = window_sum(deltas, index, bars)
    return 0.0 if abs(delta) <= GRAIN * window_sum(volumes, index, bars) else delta


@compiled
def cvd(volume: Floats, taker_buy: Floats, bars: int) -> Floats:
    """Cumulative volume delta over the last *bars*, base currency; NaN before there are as many."""
    deltas, volumes = np.empty(len(volume) + 1), np.empty(len(volume) + 1)
    taker_flow_sums(volume, taker_buy, deltas, volumes)
    out = np.empty(len(volume))
    for i in range(len(volume)):
        out[i] = delta_at(deltas, volumes, i, bars)
    return out


@compiled
def imbalance(volume: Floats, taker_buy: Floats, bars: int) -> Floats:
    """Volume delta over volume of the last *bars*, -1 .. 1; NaN before there are as many or without volume."""
    deltas, volumes = np.empty(len(volume) + 1), np.empty(len(volume) + 1)
    taker_flow_sums(volume, taker_buy, deltas, volumes)
    out = np.empty(len(volume))
    for i in range(len(volume)):
        out[i] = ratio(window_sum(deltas, i, bars), window_sum(volumes, i, bars))
    return out


@inlined
def ratio(part: float, whole: float) -> float:
    """*part* over *whole*; NaN when *whole* is not above zero."""
    return part / whole if whole > 0.0 else np.nan
