"""keltner_breakout owns entries where the close leaves its Keltner channel."""

from __future__ import annotations

from maestro_engine.data.bars import Floats, Ints
from maestro_engine.indicators.averages import ema
from maestro_engine.indicators.columns import Columns
from maestro_engine.indicators.compiled import compiled
from maestro_engine.indicators.volatility import wilder_atr
from maestro_engine.methods.common import bars, number
from maestro_engine.methods.method import Method


@compiled
def scan(columns: Columns, values: Floats, bar: Ints, side: Ints) -> int:
    """Signals of :data:`METHOD`; see :data:`maestro_engine.methods.method.Scan`.

    The channel is the exponential average of the close and so many average true ranges on either side, as Linda
    Raschke has Keltner's. Only the first close outside counts, and only one that moved, from as many bars on as the
    averages are long.
    """
    close, length = columns.close, int(values[0])
    middle, atr = ema(close, values[0]), wilder_atr(columns.high, columns.low, close, length)
    before, count = 0, 0
    for i in range(min(length, len(close)), len(close)):
        distance = close[i] - middle[i]
        now = 1 if distance > values[1] * atr[i] else (-1 if distance < -values[1] * atr[i] else 0)
        if now != 0 and now != before and close[i] != close[i - 1]:
            bar[count], side[count] = i, now
            count += 1
        before = now
    return count


METHOD = Method(
    name="keltner_breakout",
    about="enter with the close that first leaves its Keltner channel",
    specs=(
        bars("keltner_bars", 20, 5, 200, "length of the average and of the average true range"),
        number("keltner_width", 2.0, (0.5, 5.0, 0.1), "x_atr", "half the width of the channel, in ATR"),
    ),
    scan=scan,
)
