"""trend_breakout owns entries where the close leaves the Donchian channel of the bars before it."""

from __future__ import annotations

from maestro_engine.indicators.columns import Columns
from maestro_engine.indicators.compiled import compiled
from maestro_engine.indicators.crossing import note
from maestro_engine.indicators.trend import donchian
from maestro_engine.market.bars import Floats, Ints
from maestro_engine.methods.common import bars
from maestro_engine.methods.method import Method


@compiled
def scan(columns: Columns, values: Floats, bar: Ints, side: Ints) -> int:
    """Signals of :data:`METHOD`; see :data:`maestro_engine.methods.method.Scan`.

    Only the first close outside counts; the next one needs a close back inside, or outside on the other side.
    """
    close = columns.close
    upper, lower = donchian(columns.high, columns.low, int(values[0]))
    count, outside = 0, 0
    for i in range(1, len(close)):
        now = int(close[i] > upper[i - 1]) - int(close[i] < lower[i - 1])  # NaN compares as inside
        count = note(bar, side, count, i, now if now != outside else 0)
        outside = now
    return count


METHOD = Method(
    name="trend_breakout",
    about="enter with the close that first leaves the Donchian channel of the bars before it",
    specs=(bars("breakout_bars", 48, 5, 400, "length of the channel"),),
    scan=scan,
)
