"""bollinger_reversion owns entries where the close comes back into its Bollinger bands."""

from __future__ import annotations

from maestro_engine.data.bars import Floats, Ints
from maestro_engine.indicators.columns import Columns
from maestro_engine.indicators.compiled import compiled
from maestro_engine.indicators.volatility import zscore
from maestro_engine.methods.common import bars, number
from maestro_engine.methods.method import Method


@compiled
def scan(columns: Columns, values: Floats, bar: Ints, side: Ints) -> int:
    """Signals of :data:`METHOD`; see :data:`maestro_engine.methods.method.Scan`.

    The bands are the mean of the last ``bollinger_bars`` closes and so many population standard deviations on either
    side (Bollinger on Bollinger Bands, 2001), so the close is outside where its z-score is beyond the width. Long
    with the first close that is back inside from below, short with the first that is back from above; a close that
    does not move comes from nowhere.
    """
    close, width, count = columns.close, values[1], 0
    z = zscore(close, int(values[0]))
    for i in range(1, len(z)):
        if close[i] == close[i - 1]:
            continue
        if z[i - 1] < -width <= z[i]:
            bar[count], side[count] = i, 1
            count += 1
        elif z[i - 1] > width >= z[i]:
            bar[count], side[count] = i, -1
            count += 1
    return count


METHOD = Method(
    name="bollinger_reversion",
    about="enter with the close that comes back into its Bollinger bands",
    specs=(
        bars("bollinger_bars", 20, 5, 288, "length of mean and standard deviation"),
        number("bollinger_width", 2.0, (0.5, 4.0, 0.1), "z", "half the width of the bands, in standard deviations"),
    ),
    scan=scan,
)
