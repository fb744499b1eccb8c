"""series owns what a column of numbers must be before a statistic may be taken of it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from maestro_protocol.errors import DataError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

# A spread this far below the values themselves is rounding, not variance.
FLAT = 1e-12


def column(values: npt.ArrayLike, what: str = "returns") -> Floats:
    """``values`` as a finite one-dimensional float array of shape ``(n,)``.

    Raises DataError when they have another shape or a missing or infinite value: whoever owns the
    series decides what a gap means, a statistic must not.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1:
        raise DataError(f"{what}: expected one column, got shape {array.shape}; pass one series at a time")
    return _finite(array, what)


def matrix(values: npt.ArrayLike, what: str = "returns") -> Floats:
    """``values`` as a finite float array of shape ``(periods, trials)``; raises DataError like ``column``."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 2:
        raise DataError(f"{what}: expected periods x trials, got shape {array.shape}")
    return _finite(array, what)


def is_flat(array: Floats) -> bool:
    """Whether a series has no variance beyond rounding (an empty one has none)."""
    if array.size == 0:
        return True
    return bool(np.ptp(array) <= FLAT * np.max(np.abs(array)))


def _finite(array: Floats, what: str) -> Floats:
    bad = np.argwhere(~np.isfinite(array))
    if len(bad):
        place = ", ".join(str(int(i)) for i in bad[0])
        raise DataError(f"{what}: value at [{place}] is missing or infinite; drop or fill it with a reason first")
    return array
