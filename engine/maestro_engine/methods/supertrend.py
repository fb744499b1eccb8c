"""supertrend owns entries where the close crosses its trailing ATR band."""

from __future__ import annotations

from maestro_engine.data.bars import Floats, Ints
from maestro_engine.indicators.columns import Columns
from maestro_engine.indicators.compiled import compiled
from maestro_engine.indicators.volatility import wilder_atr
from maestro_engine.methods.common import bars, number
from maestro_engine.methods.method import Method


@compiled
def scan(columns: Columns, values: Floats, bar: Ints, side: Ints) -> int:
    """Signals of :data:`METHOD`; see :data:`maestro_engine.methods.method.Scan`.

    Bands stand so many average true ranges from the middle of the bar's range; the lower one only rises while
    closes stay above it, the upper one only falls while they stay below (Seban's Supertrend). A close beyond the
    band of the bar before turns the trend and is a signal, from as many bars on as the ATR is long.
    """
    close, length = columns.close, int(values[0])
    atr = wilder_atr(columns.high, columns.low, close, length)
    trend, count, lower, upper = 0, 0, 0.0, 0.0
    for i in range(len(close)):
        middle, distance = (columns.high[i] + columns.low[i]) / 2.0, values[1] * atr[i]
        low, high = middle - distance, middle + distance
        if i > 0:
            turned = 1 if close[i] > upper else (-1 if close[i] < lower else trend)
            if turned != trend and trend != 0 and i >= length:
                bar[count], side[count] = i, turned
                count += 1
            trend = turned
            low = max(low, lower) if close[i - 1] >= lower else low
            high = min(high, upper) if close[i - 1] <= upper else high
        lower, upper = low, high
    return count


METHOD = Method(
    name="supertrend",
    about="enter with the close that crosses its trailing ATR band and turns the trend",
    specs=(
        bars("supertrend_bars", 10, 2, 200, "length of the average true range", search_low=5.0),
        number("supertrend_width", 3.0, (0.5, 8.0, 0.1), "x_atr", "distance of the bands, in ATR"),
    ),
    scan=scan,
)
