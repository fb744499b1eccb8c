"""macd_trend owns entries where the MACD histogram changes its sign."""

from __future__ import annotations

from maestro_engine.data.bars import Floats, Ints
from maestro_engine.indicators.averages import MacdWeights, macd_init, macd_into, macd_weights
from maestro_engine.indicators.columns import Columns
from maestro_engine.indicators.compiled import compiled, kernel
from maestro_engine.indicators.crossing import BLOCK, crossings, denoise, line_buffer
from maestro_engine.methods.common import bars
from maestro_engine.methods.method import Method


@compiled
def scan(columns: Columns, values: Floats, bar: Ints, side: Ints) -> int:
    """Signals of :data:`METHOD`; see :data:`maestro_engine.methods.method.Scan`."""
    return _signals(columns.close, macd_weights(values[0], values[1], values[2]), bar, side, line_buffer())


@kernel
def _signals(close: Floats, weights: MacdWeights, bar: Ints, side: Ints, line: Floats) -> int:
    state, count = macd_init(weights, close[0]), 0
    for begin in range(1, len(close), BLOCK):
        block = close[begin : begin + BLOCK]
        state = macd_into(weights, state, block, line[1 : len(block) + 1])
        denoise(line[1 : len(block) + 1], close[0])
        count = crossings(line, begin, len(block), bar, side, count)
    return count


METHOD = Method(
    name="macd_trend",
    about="enter with the sign of the MACD histogram when it crosses zero",
    specs=(
        bars("macd_fast", 12, 2, 60, "span of the fast average", below="macd_slow"),
        bars("macd_slow", 26, 5, 200, "span of the slow average"),
        bars("macd_signal", 9, 2, 60, "span of the signal line"),
    ),
    scan=scan,
)
