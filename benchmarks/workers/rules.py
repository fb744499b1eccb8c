"""rules owns the strategy that every engine runs, so that a ratio compares equal work.

The MACD histogram crossing zero at the close of bar t enters at the open of t + 1. A stop of *stop_atr* x ATR(14,
Wilder) and a target of *target_usd* stand from the close of t; inside a bar the stop is tested first, a gap fills at
the open; after *timeout* bars the next open closes. One unit, one position at a time, fees on both sides.
"""

from __future__ import annotations

from itertools import product
from typing import NamedTuple


class Rules(NamedTuple):
    """One parameter set."""

    fast: int = 12
    slow: int = 26
    signal: int = 9
    stop_atr: float = 1.5
    target_usd: float = 300.0
    timeout: int = 60


FEE = 4e-4
"""Of the notional, a side."""
WARMUP = 200
"""Bars before the first signal."""
ATR_BARS = 14
CASH = 1e8
"""More than any engine could lose: sizes never shrink."""

REFERENCE = Rules()
GRID = [
    Rules(fast=fast, stop_atr=stop, target_usd=target)
    for fast, stop, target in product((8, 10, 12, 14, 16), (1.0, 1.5, 2.0, 2.5), (150.0, 250.0, 350.0, 450.0, 600.0))
]
"""A hundred parameter sets."""
