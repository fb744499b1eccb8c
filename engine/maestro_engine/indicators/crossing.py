"""crossing owns where a line changes its sign, and how a method notes its signals."""

from __future__ import annotations

import numpy as np

from maestro_engine.data.bars import Floats, Ints
from maestro_engine.indicators.compiled import compiled, inlined
from maestro_engine.indicators.intrinsics import LANES, above, at_least, at_most, below, lowest_bit

BLOCK = 512
"""Bars that are taken through one step after another, so that what is between the steps stays at hand."""
_ONE = np.uint64(1)
_COARSE = 4096.0
"""Times a price: adding that much leaves of a number what is more than 2^-41 of the price."""


@compiled
def line_buffer() -> Floats:
    """Room for the value before a block and the block's, ``(BLOCK + 1,)``; the value before the first one is 0."""
    return np.zeros(BLOCK + 1)


@inlined
def denoise(line: Floats, price: float) -> None:
    """Round every value of a line of price differences to a trillionth of *price* or so, in place.

    Where a price stands still its averages agree but for their last digits, and those cross 0 for no reason.
    """
    large = price * _COARSE
    for i in range(len(line)):
        line[i] = (line[i] + large) - large


@inlined
def crossings(line: Floats, first: int, length: int, bar: Ints, side: Ints, count: int) -> int:
    """Note every of *length* bars from *first* on with which *line* crosses 0; gives the new count of signals.

    +1 when it goes above 0 from at or below it, -1 for the reverse; NaN never crosses. The line's last value becomes
    the one before the next block.
    """
    for at in range(0, length, LANES):
        up = above(line, at + 1) & at_most(line, at)
        left = up | below(line, at + 1) & at_least(line, at)
        if length - at < LANES:
            left &= (_ONE << np.uint64(length - at)) - _ONE
        while left:
            here = lowest_bit(left)
            bar[count] = first + at + here
            side[count] = 2 * np.int64(up >> np.uint64(here) & _ONE) - 1
            left &= left - _ONE
            count += 1
    line[0] = line[length]
    return count
