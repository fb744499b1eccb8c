"""trend_breakout owns entries where the close leaves the Donchian channel of the bars before it."""

from __future__ import annotations

import numpy as np

from maestro_engine.indicators.columns import Columns
from maestro_engine.indicators.compiled import compiled, kernel
from maestro_engine.indicators.crossing import note
from maestro_engine.indicators.trend import extremes_to_end
from maestro_engine.market.bars import Floats, Ints
from maestro_engine.methods.common import bars
from maestro_engine.methods.method import Method


@compiled
def scan(columns: Columns, values: Floats, bar: Ints, side: Ints) -> int:
    """Signals of :data:`METHOD`; see :data:`maestro_engine.methods.method.Scan`.

    Only the first close outside counts; the next one needs a close back inside, or outside on the other side.
    """
    length = int(values[0])
    return _breakouts(columns, length, np.empty(length), np.empty(length), bar, side)


@kernel
def _breakouts(columns: Columns, length: int, tops: Floats, bottoms: Floats, bar: Ints, side: Ints) -> int:
    """As :func:`scan`. The channel before a bar is made of the end of one block of bars and the start of the next.

    So each bar is compared twice, whatever the *length* (van Herk, 1992): *tops* and *bottoms*, ``(length,)``, are
    the extremes from each place of a block to its end, and the block's successor keeps its own as it goes.
    """
    high, low, close = columns.high, columns.low, columns.close
    count, outside = 0, 0
    for begin in range(length, len(close), length):
        extremes_to_end(high[begin - length : begin], low[begin - length : begin], tops, bottoms)
        top, bottom = -np.inf, np.inf
        for i in range(begin, min(begin + length, len(close))):
            above = close[i] > max(top, tops[i - begin])
            below = close[i] < min(bottom, bottoms[i - begin])
            now = int(above) - int(below)
            count = note(bar, side, count, i, now if now != outside else 0)
            outside = now
            top, bottom = max(top, high[i]), min(bottom, low[i])
    return count


METHOD = Method(
    name="trend_breakout",
    about="enter with the close that first leaves the Donchian channel of the bars before it",
    specs=(bars("breakout_bars", 48, 5, 400, "length of the channel"),),
    scan=scan,
)
