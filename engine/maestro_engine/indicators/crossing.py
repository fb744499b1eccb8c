"""crossing owns when a column changes its sign."""

from __future__ import annotations

from maestro_engine.indicators.compiled import inlined
from maestro_engine.market.bars import Floats, Ints


@inlined
def crossings(values: Floats, bar: Ints, side: Ints) -> int:
    """Write where *values* goes above 0 from at or below it (+1), or the reverse (-1); gives how many.

    *bar* and *side* have room for every value. NaN never crosses.
    """
    count = 0
    for i in range(1, len(values)):
        if (values[i] > 0.0) != (values[i - 1] > 0.0) or (values[i] < 0.0) != (values[i - 1] < 0.0):
            up = values[i] > 0.0 and values[i - 1] <= 0.0
            down = values[i] < 0.0 and values[i - 1] >= 0.0
            if up or down:
                bar[count] = i
                side[count] = 1 if up else -1
                count += 1
    return count
