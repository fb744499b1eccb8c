"""hours owns trading hours: whether what is missing are gaps or the hours in which a market is closed."""

from __future__ import annotations

import numpy as np

from maestro_engine.data.bars import Ints
from maestro_engine.data.faults.clock import HOUR_MS
from maestro_engine.data.timeframes import DAY_MS

_WEEK_MS = 7 * DAY_MS
_THURSDAY_MS = 3 * DAY_MS  # 1970 began on one; a week is to begin on a Monday
_LEAST_MISSING = 0.1
_SPARSEST = 20
"""Bars of an hour a day at 24 times as many would be a market of their own kind; what is sparser has holes."""
_SAME_HOURS = 0.8
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def closed_hours(times: Ints, step_ms: int) -> str | None:
    """In words when the market of *times* (UTC ms, increasing) is closed; None for one that trades around the clock.

    A market has sessions when a tenth and more of its bars are missing and four in five of those fall into hours of
    the week (of the day, with under two weeks of bars) in which no bar ever is.
    """
    cycle = _WEEK_MS if times[-1] - times[0] >= 2 * _WEEK_MS else DAY_MS
    expected = (int(times[-1]) - int(times[0])) // step_ms + 1
    if times[-1] - times[0] < 3 * DAY_MS or expected > _SPARSEST * len(times):
        return None
    slot_ms = max(HOUR_MS, step_ms)
    slots = cycle // slot_ms
    if slots < 2:
        return None
    grid = times[0] + step_ms * np.arange(expected)
    missing = grid[~np.isin(grid, times)]
    if len(missing) < _LEAST_MISSING * len(grid):
        return None
    traded = np.zeros(slots, dtype=np.bool_)
    traded[_slot(times, cycle, slot_ms)] = True
    closed = ~traded[_slot(missing, cycle, slot_ms)]
    if closed.mean() < _SAME_HOURS:
        return None
    return _in_words(~traded, slot_ms, cycle)


def _slot(times: Ints, cycle: int, slot_ms: int) -> Ints:
    return (times + _THURSDAY_MS) % cycle // slot_ms


def _in_words(closed: np.ndarray, slot_ms: int, cycle: int) -> str:
    """The longest stretch of *closed* slots, around the end of the cycle too: ``Sat 00:00 to Mon 00:00``."""
    twice = np.concatenate((closed, closed))
    edges = np.flatnonzero(np.diff(np.concatenate(([False], twice, [False]))))
    starts, ends = edges[::2], edges[1::2]
    longest = int(np.argmax(ends - starts))
    return " to ".join(_moment(int(place) * slot_ms % cycle, cycle) for place in (starts[longest], ends[longest]))


def _moment(place: int, cycle: int) -> str:
    day = f"{_DAYS[place // DAY_MS]} " if cycle > DAY_MS else ""
    return f"{day}{place % DAY_MS // HOUR_MS:02d}:{place % HOUR_MS // 60_000:02d}"
