"""rsi_reversion owns entries where the relative strength index comes back from an extreme."""

from __future__ import annotations

from maestro_engine.data.bars import Floats, Ints
from maestro_engine.indicators.columns import Columns
from maestro_engine.indicators.compiled import compiled
from maestro_engine.methods.common import bars, number
from maestro_engine.methods.method import Method


@compiled
def scan(columns: Columns, values: Floats, bar: Ints, side: Ints) -> int:
    """Signals of :data:`METHOD`; see :data:`maestro_engine.methods.method.Scan`.

    RSI = 100 U / (U + D) with U and D Wilder's averages, weight 1 / length, of the rises and falls of the close
    (New Concepts in Technical Trading Systems, 1978), both beginning at 0. Long with the close at which it rises
    back over ``rsi_band``, short with the one at which it falls back under ``100 - rsi_band``. While the close
    does not move the index stands.
    """
    close, weight, band = columns.close, 1.0 / values[0], values[1]
    up = down = 0.0
    before, count = 50.0, 0
    for i in range(1, len(close)):
        change = close[i] - close[i - 1]
        up += weight * (max(change, 0.0) - up)
        down += weight * (max(-change, 0.0) - down)
        rsi = 100.0 * up / (up + down) if change != 0.0 else before
        if i >= values[0]:
            if before < band <= rsi:
                bar[count], side[count] = i, 1
                count += 1
            elif before > 100.0 - band >= rsi:
                bar[count], side[count] = i, -1
                count += 1
        before = rsi
    return count


METHOD = Method(
    name="rsi_reversion",
    about="enter when the relative strength index comes back from oversold or overbought",
    specs=(
        bars("rsi_bars", 14, 2, 100, "length of Wilder's averages of rises and falls", search_low=5.0),
        number("rsi_band", 30.0, (5.0, 45.0, 1.0), "points", "oversold below this, overbought above 100 less this"),
    ),
    scan=scan,
)
