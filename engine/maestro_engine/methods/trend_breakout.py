"""trend_breakout owns entries where the close leaves the Donchian channel of the bars before it."""

from __future__ import annotations

import numpy as np

from maestro_engine.data.bars import Floats, Ints
from maestro_engine.indicators.columns import Columns
from maestro_engine.indicators.compiled import compiled, kernel
from maestro_engine.indicators.crossing import BLOCK, crossings, line_buffer
from maestro_engine.indicators.trend import rolling_max_into
from maestro_engine.methods.common import bars
from maestro_engine.methods.method import Method


@compiled
def scan(columns: Columns, values: Floats, bar: Ints, side: Ints) -> int:
    """Signals of :data:`METHOD`; see :data:`maestro_engine.methods.method.Scan`.

    Only the first close outside counts; the next one needs a close back inside, or outside on the other side.
    """
    length = int(values[0])
    return _signals(columns, length, bar, side, line_buffer(), np.empty((4, BLOCK + length)))


@kernel
def _signals(columns: Columns, length: int, bar: Ints, side: Ints, line: Floats, room: Floats) -> int:
    """As :func:`scan`. The line is how far the close is outside: above 0 over the channel, below 0 under it."""
    count = 0
    for begin in range(length, len(columns.close), BLOCK):
        close = columns.close[begin : begin + BLOCK]
        tops, bottoms, outside = room[2, : len(close)], room[3, : len(close)], line[1:]
        before = slice(begin - length, begin + len(close) - 1)
        rolling_max_into(columns.high[before], 1.0, length, room, tops)
        rolling_max_into(columns.low[before], -1.0, length, room, bottoms)
        for i in range(len(close)):
            outside[i] = max(0.0, close[i] - tops[i]) + min(0.0, close[i] + bottoms[i])
        count = crossings(line, begin, len(close), bar, side, count)
    return count


METHOD = Method(
    name="trend_breakout",
    about="enter with the close that first leaves the Donchian channel of the bars before it",
    specs=(bars("breakout_bars", 48, 5, 400, "length of the channel"),),
    scan=scan,
)
