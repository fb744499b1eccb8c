"""crossing owns when a column changes its sign."""

from __future__ import annotations

from maestro_engine.indicators.compiled import inlined
from maestro_engine.market.bars import Ints


@inlined
def crossed(before: float, now: float) -> int:
    """+1 when a value goes above 0 from at or below it, -1 for the reverse, else 0. NaN never crosses."""
    if not now * before <= 0.0:  # one comparison for the many bars on which nothing happens
        return 0
    return int(now > 0.0 and before <= 0.0) - int(now < 0.0 and before >= 0.0)


@inlined
def note(bar: Ints, side: Ints, count: int, index: int, direction: int) -> int:
    """Append a signal unless *direction* is 0; gives the new count.

    What is written without being counted is written over: nobody can guess the bars with a signal, and a machine
    that guesses wrong loses more than it does by writing on every bar.
    """
    bar[count] = index
    side[count] = direction
    return count + int(direction != 0)
