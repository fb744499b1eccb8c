"""columns owns what a kernel reads of the bars: contiguous read-only arrays, one machine type for all callers."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from maestro_engine.data.bars import Bars, Floats, Ints

_NONE: Floats = np.empty(0)


class Columns(NamedTuple):
    """Columns of shape ``(n,)``; ``taker_buy`` has shape ``(0,)`` where the source has no such volume."""

    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    taker_buy: Floats
    open_time: Ints
    """Milliseconds since 1970, UTC."""


def _fixed(column: Floats | None) -> Floats:
    """A read-only view: numba compiles once more for every mix of writable and read-only arguments."""
    view = np.ascontiguousarray(_NONE if column is None else column, dtype=np.float64).view()
    view.flags.writeable = False
    return view


def _times(column: Ints) -> Ints:
    view = np.ascontiguousarray(column, dtype=np.int64).view()
    view.flags.writeable = False
    return view


def columns_of(bars: Bars) -> Columns:
    """The columns of *bars*, as views."""
    return Columns(
        _fixed(bars.open),
        _fixed(bars.high),
        _fixed(bars.low),
        _fixed(bars.close),
        _fixed(bars.volume),
        _fixed(bars.taker_buy_volume),
        _times(bars.open_time),
    )
