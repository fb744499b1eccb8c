"""prices owns what is one by one possible and together is not: wicks, and bars in another unit."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from maestro_engine.data.bars import Floats, Ints

Mask = npt.NDArray[np.bool_]

WICK_FACTOR = 3.0
"""A high this many times the body, or a low that part of it, is worth naming; flash crashes have made some."""
BREAK_FACTOR = 5.0
"""A bar that opens at this many times the close right before it, or that part of it, has another unit: where a market
trades on, a bar opens where the one before it closed, and a crash is within a bar."""


def wicks(opened: Floats, high: Floats, low: Floats, close: Floats) -> tuple[Mask, Floats]:
    """Bars of shape ``(n,)`` with a wick of over ``WICK_FACTOR``, and each bar's factor (>= 1)."""
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        factor = np.fmax(high / np.fmax(opened, close), np.fmin(opened, close) / low)
    return factor > WICK_FACTOR, factor


def breaks(times: Ints, opened: Floats, close: Floats, step_ms: int) -> tuple[Mask, Floats]:
    """Bars that open over ``BREAK_FACTOR`` away from the close right before them, and each bar's ratio open/close."""
    ratio = np.ones(len(opened))
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        ratio[1:] = opened[1:] / close[:-1]
        follows = np.diff(times, prepend=times[0] - step_ms) == step_ms
        away = (ratio > BREAK_FACTOR) | (ratio < 1 / BREAK_FACTOR)
    return away & follows, ratio
