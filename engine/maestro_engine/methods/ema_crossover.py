"""ema_crossover owns entries where a fast average of the close crosses a slow one."""

from __future__ import annotations

from maestro_engine.indicators.averages import ema
from maestro_engine.indicators.columns import Columns
from maestro_engine.indicators.compiled import compiled
from maestro_engine.indicators.crossing import crossings
from maestro_engine.market.bars import Floats, Ints
from maestro_engine.methods.common import bars
from maestro_engine.methods.method import Method


@compiled
def scan(columns: Columns, values: Floats, bar: Ints, side: Ints) -> int:
    """Signals of :data:`METHOD`; see :data:`maestro_engine.methods.method.Scan`."""
    return crossings(ema(columns.close, values[0]) - ema(columns.close, values[1]), bar, side)


METHOD = Method(
    name="ema_crossover",
    about="enter with the fast average when it crosses the slow one",
    specs=(
        bars("ema_fast", 20, 2, 100, "span of the fast average"),
        bars("ema_slow", 50, 5, 400, "span of the slow average"),
    ),
    scan=scan,
    ascending=(("ema_fast", "ema_slow"),),
)
