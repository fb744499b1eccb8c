"""ema_crossover owns entries where a fast average of the close crosses a slow one."""

from __future__ import annotations

from maestro_engine.data.bars import Floats, Ints
from maestro_engine.indicators.averages import EmaWeights, ema_diff, ema_step4, span_weights, value_at
from maestro_engine.indicators.columns import Columns
from maestro_engine.indicators.compiled import compiled, inlined, kernel
from maestro_engine.indicators.crossing import BLOCK, crossings, denoise, line_buffer
from maestro_engine.methods.common import bars
from maestro_engine.methods.method import Method


@compiled
def scan(columns: Columns, values: Floats, bar: Ints, side: Ints) -> int:
    """Signals of :data:`METHOD`; see :data:`maestro_engine.methods.method.Scan`."""
    return _signals(columns.close, span_weights(values[0]), span_weights(values[1]), bar, side, line_buffer())


@kernel
def _signals(close: Floats, fast: EmaWeights, slow: EmaWeights, bar: Ints, side: Ints, line: Floats) -> int:
    last, count = (close[0] / fast.a, close[0] / slow.a), 0
    for begin in range(1, len(close), BLOCK):
        block = close[begin : begin + BLOCK]
        last = _differences(fast, slow, last, block, line[1 : len(block) + 1])
        denoise(line[1 : len(block) + 1], close[0])
        count = crossings(line, begin, len(block), bar, side, count)
    return count


@inlined
def _differences(
    fast: EmaWeights, slow: EmaWeights, last: tuple[float, float], close: Floats, out: Floats
) -> tuple[float, float]:
    """Write fast average minus slow one into *out*; gives both sums at the last of a whole number of four bars."""
    whole = len(close) // 4 * 4
    for i in range(0, whole, 4):
        f = ema_step4(fast, last[0], close[i], close[i + 1], close[i + 2], close[i + 3])
        s = ema_step4(slow, last[1], close[i], close[i + 1], close[i + 2], close[i + 3])
        out[i], out[i + 1] = ema_diff(fast, f[0], slow, s[0]), ema_diff(fast, f[1], slow, s[1])
        out[i + 2], out[i + 3] = ema_diff(fast, f[2], slow, s[2]), ema_diff(fast, f[3], slow, s[3])
        last = f[3], s[3]
    if whole < len(close):
        x0, x1, x2 = close[whole], value_at(close, whole + 1), value_at(close, whole + 2)
        f, s = ema_step4(fast, last[0], x0, x1, x2, 0.0), ema_step4(slow, last[1], x0, x1, x2, 0.0)
        for j in range(len(close) - whole):
            out[whole + j] = ema_diff(fast, f[j], slow, s[j])
    return last


METHOD = Method(
    name="ema_crossover",
    about="enter with the fast average when it crosses the slow one",
    specs=(
        bars("ema_fast", 20, 2, 100, "span of the fast average", below="ema_slow"),
        bars("ema_slow", 50, 5, 400, "span of the slow average"),
    ),
    scan=scan,
)
