"""macd_trend owns entries where the MACD histogram changes its sign."""

from __future__ import annotations

from maestro_engine.indicators.averages import MacdState, macd, macd_two
from maestro_engine.indicators.columns import Columns
from maestro_engine.indicators.compiled import kernel
from maestro_engine.indicators.crossing import crossed, note
from maestro_engine.market.bars import Floats, Ints
from maestro_engine.methods.common import bars
from maestro_engine.methods.method import Method


@kernel
def scan(columns: Columns, values: Floats, bar: Ints, side: Ints) -> int:
    """Signals of :data:`METHOD`; see :data:`maestro_engine.methods.method.Scan`."""
    close = columns.close
    weights, state = macd(values[0], values[1], values[2]), MacdState(close[0], close[0], 0.0)
    count, before = 0, 0.0
    for i in range(1, len(close) - 1, 2):
        first, second, state = macd_two(weights, state, close[i], close[i + 1])
        count = note(bar, side, count, i, crossed(before, first))
        count = note(bar, side, count, i + 1, crossed(first, second))
        before = second
    if len(close) % 2 == 0:
        last = macd_two(weights, state, close[-1], close[-1])[0]
        count = note(bar, side, count, len(close) - 1, crossed(before, last))
    return count


METHOD = Method(
    name="macd_trend",
    about="enter with the sign of the MACD histogram when it crosses zero",
    specs=(
        bars("macd_fast", 12, 2, 60, "span of the fast average"),
        bars("macd_slow", 26, 5, 200, "span of the slow average"),
        bars("macd_signal", 9, 2, 60, "span of the signal line"),
    ),
    scan=scan,
    ascending=(("macd_fast", "macd_slow"),),
)
