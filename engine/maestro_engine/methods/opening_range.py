"""opening_range owns entries where the close leaves the range in which the UTC day began."""

from __future__ import annotations

from maestro_engine.data.bars import Floats, Ints
from maestro_engine.indicators.columns import Columns
from maestro_engine.indicators.compiled import compiled
from maestro_engine.methods.common import bars
from maestro_engine.methods.method import Method

_DAY_MS = 86_400_000


@compiled
def scan(columns: Columns, values: Floats, bar: Ints, side: Ints) -> int:
    """Signals of :data:`METHOD`; see :data:`maestro_engine.methods.method.Scan`.

    The range is that of the first ``opening_bars`` of a UTC day (Crabel, 1990); the first close outside it is the
    day's one signal. A day of which the first bar is not there has no range.
    """
    length, at, count, high, low = int(values[0]), -1, 0, 0.0, 0.0
    for i in range(len(columns.close)):
        if columns.open_time[i] % _DAY_MS == 0:
            at, high, low = 0, columns.high[i], columns.low[i]
        elif at < 0 or columns.open_time[i] // _DAY_MS != columns.open_time[i - 1] // _DAY_MS:
            at = -1
            continue
        else:
            at += 1
        if at < length:
            high, low = max(high, columns.high[i]), min(low, columns.low[i])
        elif columns.close[i] > high or columns.close[i] < low:
            bar[count], side[count] = i, 1 if columns.close[i] > high else -1
            count += 1
            at = -1
    return count


METHOD = Method(
    name="opening_range",
    about="enter with the first close of a UTC day outside the range of its first bars",
    specs=(bars("opening_bars", 12, 2, 144, "bars of the day whose range counts"),),
    scan=scan,
)
