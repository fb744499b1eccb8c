"""ema_crossover owns entries where a fast average of the close crosses a slow one."""

from __future__ import annotations

from maestro_engine.indicators.averages import Decay, at, four, span_decay
from maestro_engine.indicators.columns import Columns
from maestro_engine.indicators.compiled import inlined, kernel
from maestro_engine.indicators.crossing import crossed, note
from maestro_engine.market.bars import Floats, Ints
from maestro_engine.methods.common import bars
from maestro_engine.methods.method import Method


@kernel
def scan(columns: Columns, values: Floats, bar: Ints, side: Ints) -> int:
    """Signals of :data:`METHOD`; see :data:`maestro_engine.methods.method.Scan`."""
    close = columns.close
    fast, slow = span_decay(values[0]), span_decay(values[1])
    last = close[0], close[0]
    count, before = 0, 0.0
    tail = (len(close) - 1) // 4 * 4 + 1
    for i in range(1, tail, 4):
        gaps, last = _gaps(fast, slow, last, close[i], close[i + 1], close[i + 2], close[i + 3])
        count = note(bar, side, count, i, crossed(before, gaps[0]))
        count = note(bar, side, count, i + 1, crossed(gaps[0], gaps[1]))
        count = note(bar, side, count, i + 2, crossed(gaps[1], gaps[2]))
        count = note(bar, side, count, i + 3, crossed(gaps[2], gaps[3]))
        before = gaps[3]
    x0, x1, x2, x3 = at(close, tail), at(close, tail + 1), at(close, tail + 2), at(close, tail + 3)
    gaps, last = _gaps(fast, slow, last, x0, x1, x2, x3)
    for j in range(len(close) - tail):
        count = note(bar, side, count, tail + j, crossed(before, gaps[j]))
        before = gaps[j]
    return count


@inlined
def _gaps(
    fast: Decay, slow: Decay, last: tuple[float, float], x0: float, x1: float, x2: float, x3: float
) -> tuple[tuple[float, float, float, float], tuple[float, float]]:
    """Fast average minus slow one at the next four closes, and both at the last of them."""
    f0, f1, f2, f3 = four(fast, last[0], x0, x1, x2, x3)
    s0, s1, s2, s3 = four(slow, last[1], x0, x1, x2, x3)
    return (f0 - s0, f1 - s1, f2 - s2, f3 - s3), (f3, s3)


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
