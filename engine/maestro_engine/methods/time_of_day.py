"""time_of_day owns entries at one hour of the UTC day, with the way the price went before."""

from __future__ import annotations

from maestro_engine.data.bars import Floats, Ints
from maestro_engine.indicators.columns import Columns
from maestro_engine.indicators.compiled import compiled
from maestro_engine.methods.common import bars, whole
from maestro_engine.methods.method import Method

_HOUR_MS = 3_600_000


@compiled
def scan(columns: Columns, values: Floats, bar: Ints, side: Ints) -> int:
    """Signals of :data:`METHOD`; see :data:`maestro_engine.methods.method.Scan`.

    The signal stands on the close of the first bar that opens in ``entry_hour``, with the sign of the close's change
    over the last ``drift_bars``; where it is what it was there is none.
    """
    close, hour, back, count = columns.close, int(values[0]), int(values[1]), 0
    for i in range(back, len(close)):
        now = columns.open_time[i] // _HOUR_MS
        if now % 24 != hour or now == columns.open_time[i - 1] // _HOUR_MS or close[i] == close[i - back]:
            continue
        bar[count], side[count] = i, 1 if close[i] > close[i - back] else -1
        count += 1
    return count


METHOD = Method(
    name="time_of_day",
    about="enter at one hour of the UTC day in the direction of the price before it",
    specs=(
        whole("entry_hour", 14, (0, 23), "hour", "hour of the UTC day in which the signal's bar opens"),
        bars("drift_bars", 12, 1, 288, "bars over which the price's direction is taken"),
    ),
    scan=scan,
)
