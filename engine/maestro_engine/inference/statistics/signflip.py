"""signflip owns the paired permutation test: did a change help on the very same windows?

Under "the change makes no difference" each difference is as likely with either sign (Fisher's randomisation
test; Edgington and Onghena, "Randomization tests", 2007). Differences of windows that overlap in time are not
independent, so windows of one group get one sign together.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from maestro_engine.inference.statistics.series import Floats, Ints, column
from maestro_protocol.errors import UsageError

EXACT_GROUPS = 14
_ROUNDING = 1e-12
_CHUNK = 2**14


@dataclass(frozen=True, slots=True)
class SignFlip:
    """Outcome of the test that the mean difference is above 0.

    ``smallest_p`` is what perfect data would have given; when it is above the level in use, the sample
    cannot show anything. ``p`` is None without a difference other than 0.
    """

    p: float | None
    mean: float | None
    pairs: int
    groups: int
    arrangements: int
    exact: bool
    smallest_p: float


def sign_flip(
    differences: npt.ArrayLike, groups: npt.ArrayLike | None = None, draws: int = 9999, seed: int = 0
) -> SignFlip:
    """One-sided test of ``differences`` (after less before, shape ``(n,)``): is their mean above 0?

    ``groups`` (shape ``(n,)``, any integers) marks windows that share time; each pair is its own group without
    it. All arrangements are enumerated up to 14 groups with a difference, otherwise ``draws`` are sampled and
    ``p = (1 + hits) / (1 + draws)``, which is never 0 (Phipson and Smyth, 2010).
    """
    d = column(differences, "differences")
    totals = _group_totals(d, groups)
    moving = totals[totals != 0.0]
    count = len(moving)
    mean = float(d.mean()) if len(d) else None
    if count == 0:
        return SignFlip(None, mean, len(d), len(totals), 0, True, 1.0)
    exact = count <= EXACT_GROUPS
    if exact:
        arrangements = 2**count
        hits = _hits(moving, _all_signs(count))
        p, smallest = hits / arrangements, 1.0 / arrangements
    else:
        arrangements = draws
        p = (1 + _sampled_hits(moving, draws, seed)) / (1 + draws)
        smallest = 1.0 / (1 + draws)
    return SignFlip(p, mean, len(d), len(totals), arrangements, exact, smallest)


def overlapping(starts: npt.ArrayLike, length: int) -> Ints:
    """A group per window, for windows of equal ``length`` from ``starts``: those linked by overlaps share it."""
    begin = column(starts, "starts")
    order = np.argsort(begin, kind="stable")
    fresh = np.diff(begin[order], prepend=-np.inf) >= length
    groups = np.empty(len(begin), dtype=np.int64)
    groups[order] = np.cumsum(fresh) - 1
    return groups


def _group_totals(d: Floats, groups: npt.ArrayLike | None) -> Floats:
    if groups is None:
        return d
    labels = np.asarray(groups)
    if labels.shape != d.shape:
        raise UsageError(f"groups: {labels.shape} labels for {d.shape} differences; give one label per difference")
    _, place = np.unique(labels, return_inverse=True)
    totals = np.zeros(int(place.max(initial=-1)) + 1)
    np.add.at(totals, place, d)
    return totals


def _all_signs(count: int) -> Floats:
    numbers = np.arange(2**count, dtype=np.int64)
    bits = (numbers[:, None] >> np.arange(count, dtype=np.int64)) & 1
    return 1.0 - 2.0 * bits.astype(np.float64)


def _sampled_hits(totals: Floats, draws: int, seed: int) -> int:
    rng = np.random.default_rng(seed)
    hits = 0
    for start in range(0, draws, _CHUNK):
        bits = rng.integers(0, 2, size=(min(_CHUNK, draws - start), len(totals)), dtype=np.int64)
        hits += _hits(totals, 1.0 - 2.0 * bits.astype(np.float64))
    return hits


def _hits(totals: Floats, signs: Floats) -> int:
    """Arrangements whose sum reaches the observed one; rounding must not break a tie."""
    slack = _ROUNDING * float(np.abs(totals).sum())
    return int((signs @ totals >= totals.sum() - slack).sum())
