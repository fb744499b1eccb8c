"""null owns the null model: what entries at random would have earned with the same exits and exposure."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from maestro_engine.inference.statistics.series import Ints, column
from maestro_protocol.errors import UsageError


@dataclass(frozen=True, slots=True)
class NullTest:
    """``p`` estimates the chance that a random agent does at least as well; it is a valid p-value.

    ``upper`` is the upper 95 % confidence bound of that chance, since 200 agents know it only so well.
    """

    p: float
    upper: float
    reached: int
    draws: int


def null_test(observed: float, null: npt.ArrayLike, confidence: float = 0.95) -> NullTest:
    """Place of ``observed`` among ``null`` (shape ``(draws,)``, same statistic, larger is better).

    ``p = (1 + #{null >= observed}) / (1 + draws)`` (Davison and Hinkley, 1997; Phipson and Smyth, 2010);
    ``upper`` is the one-sided Clopper-Pearson bound. Raises UsageError without draws.
    """
    draws = column(null, "null draws")
    if len(draws) == 0 or not math.isfinite(observed):
        raise UsageError("null model: needs a finite observed value and at least one random draw")
    reached = int((draws >= observed).sum())
    return NullTest(
        (1 + reached) / (1 + len(draws)), upper_bound(reached, len(draws), confidence), reached, len(draws)
    )


def upper_bound(hits: int, draws: int, confidence: float = 0.95) -> float:
    """Upper Clopper-Pearson bound of a probability that showed ``hits`` times in ``draws``."""
    if hits >= draws:
        return 1.0
    k = np.arange(hits + 1)
    ways = np.array(
        [math.lgamma(draws + 1) - math.lgamma(i + 1) - math.lgamma(draws - i + 1) for i in range(hits + 1)]
    )
    low, high = hits / draws, 1.0
    for _ in range(50):
        p = (low + high) / 2.0
        at_most = float(np.exp(ways + k * math.log(p) + (draws - k) * math.log1p(-p)).sum())
        low, high = (p, high) if at_most > 1.0 - confidence else (low, p)
    return high


def random_entries(
    rng: np.random.Generator, draws: int, first: int, end: int, sides: npt.ArrayLike, holds: npt.ArrayLike
) -> tuple[Ints, Ints]:
    """``draws`` random entry schedules with the number, side mix and exposure of an observed trade list.

    ``sides`` (+1 long, -1 short) and ``holds`` (bars held, at least 1) are the observed trades', shape ``(n,)``;
    each schedule has the same trades in random order, side with hold, at random bars in ``[first, end)``,
    each with room for its hold before the next: every such placement is equally likely. Returns entry bars
    (ascending in each row) and sides, both of shape ``(draws, n)``. Raises UsageError when they do not fit.
    """
    side, hold = np.asarray(sides, dtype=np.int64), np.asarray(holds, dtype=np.int64)
    if side.ndim != 1 or side.shape != hold.shape or not np.isin(side, (-1, 1)).all() or (hold < 1).any():
        raise UsageError("random entries: sides must be +1 or -1 and holds at least 1 bar, one of each per trade")
    n = len(side)
    free = end - first - int(hold.sum())
    if first < 0 or free < 0:
        raise UsageError(
            f"random entries: {n} trades of {int(hold.sum())} bars together do not fit into bars {first} to {end}"
        )
    order = rng.permuted(np.tile(np.arange(n), (draws, 1)), axis=1)
    taken = np.cumsum(hold[order], axis=1) - hold[order]
    return first + _gaps(rng, draws, n, free) + taken, side[order]


def _gaps(rng: np.random.Generator, draws: int, n: int, free: int) -> Ints:
    """Free bars before each of ``n`` trades (cumulative), uniform over all ways to spread ``free`` of them."""
    rows = np.empty((draws, n), dtype=np.int64)
    for row in rows:  # a sorted n-subset of free + n slots, less its ranks, is one such way
        row[:] = np.sort(rng.choice(free + n, size=n, replace=False, shuffle=False))
    return rows - np.arange(n)
