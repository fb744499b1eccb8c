"""crossing owns where a line changes its sign, and how a method notes its signals."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from maestro_engine.indicators.compiled import compiled, inlined
from maestro_engine.market.bars import Floats, Ints

BLOCK = 512
"""Bars that are taken through one step after another, so that what is between the steps stays at hand."""


class Desk(NamedTuple):
    """What a method works on while it goes through a block."""

    line: Floats
    """Shape ``(BLOCK + 1,)``: the value before the block, then the block's."""
    marks: Ints
    """Shape ``(BLOCK,)``, a :func:`mark` for each bar."""


@compiled
def desk() -> Desk:
    """An empty desk; the line before the first block is 0."""
    return Desk(np.zeros(BLOCK + 1), np.empty(BLOCK, np.int64))


@inlined
def crossed(before: float, now: float) -> int:
    """+1 when a value goes above 0 from at or below it, -1 for the reverse, else 0. NaN never crosses."""
    return int((now > 0.0) & (before <= 0.0)) - int((now < 0.0) & (before >= 0.0))


@inlined
def mark(bar: int, direction: int) -> int:
    """Bar and direction (+1, 0, -1) as one number, which is odd when there is a signal."""
    return 4 * bar | (direction & 3)


@inlined
def gathered(marks: Ints, bar: Ints, count: int) -> int:
    """Append the *marks* that are signals to the *count* marks in *bar*; gives the new count.

    What is written without being counted is written over: nobody can guess the bars with a signal, and a machine
    that guesses wrong loses more than it does by writing on every bar.
    """
    room, found = bar[count:], 0
    for i in range(len(marks)):
        room[found] = marks[i]
        found += marks[i] & 1
    return count + found


@inlined
def told(bar: Ints, side: Ints, count: int) -> int:
    """Turn the first *count* marks of *bar* into bars and sides; gives the count."""
    for k in range(count):
        side[k] = 1 - (bar[k] & 2)
        bar[k] >>= 2
    return count


@inlined
def crossings(table: Desk, first: int, length: int, bar: Ints, count: int) -> int:
    """Append a mark for each of *length* bars from *first* on which the line crosses 0; gives the new count.

    The line's last value becomes the one before the next block.
    """
    before, now, marks = table.line[:length], table.line[1 : length + 1], table.marks[:length]
    for i in range(length):
        marks[i] = mark(first + i, crossed(before[i], now[i]))
    before[0] = now[-1]
    return gathered(marks, bar, count)
