"""vwap_reversion owns entries where the close comes back towards its volume-weighted average price."""

from __future__ import annotations

import numpy as np

from maestro_engine.data.bars import Floats, Ints
from maestro_engine.indicators.columns import Columns
from maestro_engine.indicators.compiled import compiled
from maestro_engine.indicators.volatility import wilder_atr
from maestro_engine.methods.common import bars, number
from maestro_engine.methods.method import Method


@compiled
def scan(columns: Columns, values: Floats, bar: Ints, side: Ints) -> int:
    """Signals of :data:`METHOD`; see :data:`maestro_engine.methods.method.Scan`.

    The average is that of the typical prices (high + low + close) / 3 of the last ``vwap_bars``, each weighted by its
    volume; where nothing traded in all of them there is none. Long with the first close that is no longer
    ``vwap_width`` average true ranges of the same length below it, short with the first that is no longer as far
    above. A close that does not move comes from nowhere.
    """
    close, length = columns.close, int(values[0])
    atr = wilder_atr(columns.high, columns.low, close, length)
    origin, count, before = close[0], 0, 0.0
    traded, weighted = np.zeros(len(close) + 1), np.zeros(len(close) + 1)
    for i in range(len(close)):
        typical = (columns.high[i] + columns.low[i] + close[i]) / 3.0
        traded[i + 1] = traded[i] + columns.volume[i]
        weighted[i + 1] = weighted[i] + columns.volume[i] * (typical - origin)
        if i == 0 or i + 1 < length:
            continue
        volume = traded[i + 1] - traded[i + 1 - length]
        if not (volume > 0.0 and atr[i] > 0.0):
            before = 0.0
            continue
        vwap = origin + (weighted[i + 1] - weighted[i + 1 - length]) / volume
        distance = (close[i] - vwap) / atr[i]
        if close[i] == close[i - 1]:
            continue
        if before < -values[1] <= distance:
            bar[count], side[count] = i, 1
            count += 1
        elif before > values[1] >= distance:
            bar[count], side[count] = i, -1
            count += 1
        before = distance
    return count


METHOD = Method(
    name="vwap_reversion",
    about="enter with the close that comes back towards its volume-weighted average price",
    specs=(
        bars("vwap_bars", 96, 12, 576, "length of the average price and of the average true range"),
        number("vwap_width", 2.0, (0.5, 8.0, 0.1), "x_atr", "distance from the average to come back from, in ATR"),
    ),
    scan=scan,
)
