"""macd_trend owns entries where the MACD histogram changes its sign."""

from __future__ import annotations

from maestro_engine.indicators.averages import macd_histogram
from maestro_engine.indicators.columns import Columns
from maestro_engine.indicators.compiled import compiled
from maestro_engine.indicators.crossing import crossings
from maestro_engine.market.bars import Floats, Ints
from maestro_engine.methods.common import bars
from maestro_engine.methods.method import Method


@compiled
def scan(columns: Columns, values: Floats, bar: Ints, side: Ints) -> int:
    """Signals of :data:`METHOD`; see :data:`maestro_engine.methods.method.Scan`."""
    return crossings(macd_histogram(columns.close, values[0], values[1], values[2]), bar, side)


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
