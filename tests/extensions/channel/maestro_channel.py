"""maestro_channel is a method from outside, with the names for its parameters that a newcomer would give them."""

from __future__ import annotations

from maestro_engine.data.bars import Floats, Ints
from maestro_engine.indicators.columns import Columns
from maestro_engine.indicators.compiled import compiled
from maestro_engine.indicators.volatility import wilder_atr
from maestro_engine.methods.common import bars, number
from maestro_engine.methods.method import Method


@compiled
def scan(columns: Columns, values: Floats, bar: Ints, side: Ints) -> int:
    """The close goes so many average true ranges beyond the highest or lowest close of the bars before."""
    close, length, count = columns.close, int(values[0]), 0
    atr = wilder_atr(columns.high, columns.low, close, length)
    for i in range(length, len(close)):
        before = close[i - length : i]
        if close[i] > before.max() + values[1] * atr[i]:
            bar[count], side[count] = i, 1
            count += 1
        elif close[i] < before.min() - values[1] * atr[i]:
            bar[count], side[count] = i, -1
            count += 1
    return count


METHOD = Method(
    name="channel_of_atr",
    about="enter with the close that leaves the channel of the closes before",
    specs=(
        bars("channel_bars", 30, 5, 200, "length of the channel"),
        number("channel_atr", 0.2, (0.0, 2.0, 0.1), "x_atr", "distance beyond it, in ATR"),
    ),
    scan=scan,
)
