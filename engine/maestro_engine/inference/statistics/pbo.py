"""pbo owns the probability of backtest overfitting by combinatorially symmetric cross-validation (CSCV).

Source: Bailey, Borwein, Lopez de Prado, Zhu, "The probability of backtest overfitting", Journal of
Computational Finance 20(4), 2017 (first circulated 2014).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from maestro_engine.inference.statistics.series import FLAT, Floats, matrix
from maestro_protocol.errors import UsageError

_CHUNK_BYTES = 8_000_000
_WORK_ARRAYS = 8  # arrays of (splits, trials) alive at once in ``_sharpe_of_sums``


@dataclass(frozen=True, slots=True, eq=False)
class Overfitting:
    """Outcome of CSCV; the arrays have one entry per split, in the order of ``itertools.combinations``.

    ``pbo`` is the share of splits whose in-sample best ranks in the lower half out of sample.
    ``slope`` regresses its out-of-sample Sharpe on its in-sample Sharpe (None when that does not vary);
    ``loss`` is the share of splits in which it lost money out of sample.
    """

    pbo: float
    slope: float | None
    loss: float
    logits: Floats
    in_sample: Floats
    out_of_sample: Floats
    splits: int
    blocks: int
    periods: int
    trials: int
    dropped: int
    """Columns without any variance: they never traded and cannot be ranked."""


def pbo(returns: npt.ArrayLike, blocks: int = 16) -> Overfitting | None:
    """CSCV over ``returns`` of shape ``(periods, trials)`` (or PnL: the rank of a Sharpe knows no unit).

    The oldest ``periods % blocks`` rows are left out so that blocks are even. Out-of-sample ranks are
    averaged over ties. A trial flat within one half ranks there as a Sharpe of 0: it did not trade, so it
    neither earned nor lost. None when fewer than two trials vary, or a block would have fewer than two
    periods. Raises UsageError when ``blocks`` is not even and between 2 and 20.
    """
    if blocks % 2 or not 2 <= blocks <= 20:
        raise UsageError(f"blocks {blocks}: CSCV needs an even number from 2 to 20")
    x = matrix(returns)
    size = len(x) // blocks
    if size < 2:
        return None
    x = x[len(x) - size * blocks :]
    varying = np.ptp(x, axis=0) > FLAT * np.max(np.abs(x), axis=0)
    if int(varying.sum()) < 2:
        return None
    inside, outside, logits = _splits(x[:, varying], blocks)
    return Overfitting(
        pbo=float(np.mean(logits <= 0.0)),
        slope=_slope(inside, outside),
        loss=float(np.mean(outside < 0.0)),
        logits=logits,
        in_sample=inside,
        out_of_sample=outside,
        splits=len(logits),
        blocks=blocks,
        periods=len(x),
        trials=int(varying.sum()),
        dropped=int((~varying).sum()),
    )


def _splits(x: Floats, blocks: int) -> tuple[Floats, Floats, Floats]:
    """In-sample Sharpe, out-of-sample Sharpe and logit of the in-sample best, one entry per split."""
    periods, trials = x.shape
    # Scaling a column leaves its Sharpe alone and keeps sums of squares of very large or small PnL exact.
    x = x / np.max(np.abs(x), axis=0)
    parts = x.reshape(blocks, periods // blocks, trials)
    sums, squares = parts.sum(axis=1), (parts * parts).sum(axis=1)
    chosen = np.array(list(combinations(range(blocks), blocks // 2)))
    # The complement of split k is split (last - k): half of them give both directions.
    half = len(chosen) // 2
    masks = np.zeros((half, blocks))
    np.put_along_axis(masks, chosen[:half], 1.0, axis=1)
    inside, outside, logits = (np.empty(2 * half) for _ in range(3))
    step = max(1, _CHUNK_BYTES // (8 * _WORK_ARRAYS * trials))
    for start in range(0, half, step):
        rows = np.arange(start, min(start + step, half))
        first = _sharpe_of_sums(masks[rows] @ sums, masks[rows] @ squares, periods // 2)
        second = _sharpe_of_sums((1 - masks[rows]) @ sums, (1 - masks[rows]) @ squares, periods // 2)
        inside[rows], outside[rows], logits[rows] = _judge(first, second)
        mirror = 2 * half - 1 - rows
        inside[mirror], outside[mirror], logits[mirror] = _judge(second, first)
    return inside, outside, logits


def _sharpe_of_sums(total: Floats, squares: Floats, n: int) -> Floats:
    """Sharpe ratios from sums and sums of squares over ``n`` periods; 0 where flat."""
    spread = squares - total * total / n
    flat = spread <= FLAT * squares
    spread[flat] = np.inf
    return total / np.sqrt(spread * (n * n / (n - 1)))


def _judge(inside: Floats, outside: Floats) -> tuple[Floats, Floats, Floats]:
    """What became out of sample of each row's in-sample best, and the logit of its relative rank."""
    rows = np.arange(len(inside))
    best = np.argmax(inside, axis=1)
    own = outside[rows, best]
    below = (outside < own[:, None]).sum(axis=1)
    ties = (outside == own[:, None]).sum(axis=1)
    rank = below + (ties + 1) / 2.0
    relative = rank / (outside.shape[1] + 1.0)
    return inside[rows, best], own, np.log(relative / (1.0 - relative))


def _slope(inside: Floats, outside: Floats) -> float | None:
    """Least squares slope of out-of-sample on in-sample Sharpe; below 0 is performance degradation."""
    centred = inside - inside.mean()
    spread = float(centred @ centred)
    if math.sqrt(spread / len(inside)) <= FLAT * float(np.max(np.abs(inside))):
        return None
    return float(centred @ outside) / spread
