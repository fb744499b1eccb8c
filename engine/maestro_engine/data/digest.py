"""digest owns the fingerprint of bars: the same bars have the same one, whatever file they came from."""

from __future__ import annotations

import dataclasses
import hashlib

import numpy as np

from maestro_engine.data.bars import Bars

PRICE_COLUMNS = ("open", "high", "low", "close", "volume")
OPTIONAL_COLUMNS = ("taker_buy_volume", "funding_rate")


def digest_of(bars: Bars) -> str:
    """SHA-256 (64 hex digits) of the columns.

    Hashed in this order: ``open_time``, then open, high, low, close, volume, taker_buy_volume, funding_rate.
    A column that is None is left out; one that is there gives its name in ASCII, a line feed, and its
    values as little-endian int64 (``open_time``) or IEEE float64 with -0.0 written as 0.0. Symbol, source
    and file format are not part of it.
    """
    fingerprint = hashlib.sha256(b"open_time\n")
    fingerprint.update(np.ascontiguousarray(bars.open_time, dtype="<i8").tobytes())
    for name in (*PRICE_COLUMNS, *OPTIONAL_COLUMNS):
        column = getattr(bars, name)
        if column is not None:
            fingerprint.update(f"{name}\n".encode())
            fingerprint.update(np.ascontiguousarray(column + 0.0, dtype="<f8").tobytes())
    return fingerprint.hexdigest()


def sealed(bars: Bars) -> Bars:
    """The same bars with their digest filled in and every array read-only and contiguous."""
    frozen = {name: _read_only(getattr(bars, name)) for name in ("open_time", *PRICE_COLUMNS, *OPTIONAL_COLUMNS)}
    bars = dataclasses.replace(bars, **frozen)
    return dataclasses.replace(bars, digest=digest_of(bars))


def _read_only(column: np.ndarray | None) -> np.ndarray | None:
    if column is None:
        return None
    view = np.ascontiguousarray(column).view()
    view.flags.writeable = False
    return view
