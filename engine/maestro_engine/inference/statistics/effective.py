"""effective owns the answer to "how many independent trials were these really?".

``effective`` is the number of independent trials whose expected maximum equals that of these trials. The
best of N trials without skill is the maximum of N correlated normals (False Strategy Theorem, Lopez de Prado
and Bailey, American Mathematical Monthly 128(9), 2021); its expectation under the observed correlations is
simulated and inverted. That is what the deflated Sharpe ratio means by N, and a count of clusters is not:
fifty trials that correlate at 0.9 are one cluster, yet the best of them is luckier than one trial; five
hundred that correlate at 0.5 are no cluster at all, yet luck has far fewer than 500 tries.

``clusters`` says which trials are variants of one idea: average linkage on correlation, cut where groups
share less than half of their variance (correlation sqrt(1/2)). Lopez de Prado ("Detection of false investment
strategies using unsupervised learning methods", 2018) searches the cut by silhouettes instead; that search
has no answer when trials are independent, which is the case that matters most here.

The participation ratio of the eigenvalues, ``N^2 / sum(rho^2)``, is given as a cross-check, with each rho^2
less what sampling alone adds to it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from maestro_engine.inference.statistics.series import FLAT, Floats, Ints, matrix

SAME_IDEA = math.sqrt(0.5)
_DRAWS = 4000
_CHUNK_BYTES = 4_000_000
_GRID = np.linspace(-9.0, 9.0, 3601)


@dataclass(frozen=True, slots=True, eq=False)
class EffectiveTrials:
    """How many trials there were, and how many there really were.

    ``labels`` has one cluster number per column of the input, from 0 in order of first member, and -1 for a
    column without variance. ``variance`` is the variance of Sharpe ratios (per period, squared) that
    ``deflated_sharpe`` wants: over the clusters' mean series, but at least the sampling variance
    ``1 / (periods - 1)`` of a single trial without skill, since ``effective`` counts trials of that variance.
    """

    trials: int
    effective: float
    clusters: int
    participation: float
    between: float | None
    """Variance of the Sharpe ratios over clusters; None for fewer than two clusters."""
    variance: float
    labels: Ints


def effective_trials(returns: npt.ArrayLike, seed: int = 0) -> EffectiveTrials | None:
    """Effective number of independent trials in ``returns`` of shape ``(periods, trials)``.

    Deterministic: ``seed`` draws the common normals behind ``effective``, whose own error is about 3 %. Trials
    without a series (rejected, crashed) are the caller's to add. None when no trial varies or there are
    fewer than three periods.
    """
    x = matrix(returns)
    varying = np.ptp(x, axis=0) > FLAT * np.max(np.abs(x), axis=0) if x.size else np.zeros(0, dtype=bool)
    if len(x) < 3 or not varying.any():
        return None
    z = _standardised(x[:, varying])
    correlation = np.clip(z.T @ z, -1.0, 1.0)
    own = cluster(correlation)
    labels = np.full(x.shape[1], -1, dtype=np.int64)
    labels[varying] = own
    clusters = int(own.max()) + 1
    effective = independent_equivalent(_expected_maximum(z, seed), z.shape[1])
    between = _between(x[:, varying], own, clusters)
    return EffectiveTrials(
        trials=x.shape[1],
        effective=effective,
        clusters=clusters,
        participation=_participation(correlation, len(x)),
        between=between,
        variance=max(between or 0.0, 1.0 / (len(x) - 1)),
        labels=labels,
    )


def cluster(correlation: Floats, cut: float = SAME_IDEA) -> Ints:
    """Average-linkage clusters of a correlation matrix ``(n, n)``: a label per row, from 0, no gap.

    Groups merge while their mean pairwise correlation is at least ``cut``. Nearest-neighbour chains
    (Murtagh, Computer Journal 26(4), 1983) make it O(n^2). Once a group's nearest neighbour is beyond the
    cut it stays so, since average linkage is reducible; that group is finished.
    """
    near = correlation.astype(np.float64, copy=True)
    n = len(near)
    np.fill_diagonal(near, -np.inf)
    size = np.ones(n)
    owner = np.arange(n, dtype=np.int64)
    open_rows = np.ones(n, dtype=bool)
    chain: list[int] = []
    while open_rows.any():
        if not chain:
            chain.append(int(np.argmax(open_rows)))
        top = chain[-1]
        other = int(np.argmax(near[top]))
        if len(chain) > 1 and near[top, chain[-2]] >= near[top, other]:
            other = chain[-2]  # prefer the way back on ties, or the chain could circle
        if near[top, other] < cut:
            open_rows[top] = False
            near[top, :] = near[:, top] = -np.inf
            chain.pop()
        elif len(chain) > 1 and other == chain[-2]:
            chain = chain[:-2]
            _merge(near, size, owner, top, other)
            open_rows[other] = False
        else:
            chain.append(other)
    return _renumber(owner)


def _merge(near: Floats, size: Floats, owner: Ints, into: int, gone: int) -> None:
    """Fold group ``gone`` into ``into``, weighting their correlations by size (average linkage)."""
    total = size[into] + size[gone]
    row = (size[into] * near[into] + size[gone] * near[gone]) / total
    row[[into, gone]] = -np.inf
    near[into, :] = near[:, into] = row
    near[gone, :] = near[:, gone] = -np.inf
    size[into] = total
    owner[owner == gone] = into


def _renumber(owner: Ints) -> Ints:
    """Group numbers from 0 in order of first appearance."""
    _, first, inverse = np.unique(owner, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse].astype(np.int64)


def independent_equivalent(expected_max: float, trials: int) -> float:
    """Number of independent standard normals, from 1 to ``trials``, whose maximum has this expectation."""
    cdf = _cdf()
    low, high = 0.0, math.log(trials)
    for _ in range(40):
        middle = (low + high) / 2.0
        short = _exact_maximum(cdf, math.exp(middle)) < expected_max
        low, high = (middle, high) if short else (low, middle)
    return math.exp(high)


def _cdf() -> Floats:
    return np.array([0.5 * math.erfc(-v / math.sqrt(2.0)) for v in _GRID])


def _exact_maximum(cdf: Floats, trials: float) -> float:
    """Expected maximum of ``trials`` standard normals: the integral of ``[x > 0] - cdf(x)^trials``."""
    step = float(_GRID[1] - _GRID[0])
    return step * (float(np.sum((_GRID > 0.0) - cdf**trials)) + 0.5)  # half of the step lies left of 0


def _expected_maximum(z: Floats, seed: int) -> float:
    """Expected maximum of standard normals with the correlations ``z.T @ z``; columns of ``z`` have length 1.

    In few periods even independent series correlate by chance, which lowers the maximum a little. Series
    known to be independent, of the same shape, show by how much; the result is raised by that ratio.
    """
    rng = np.random.default_rng(seed)
    independent = _standardised(rng.standard_normal(z.shape))
    step = max(1, _CHUNK_BYTES // (16 * max(z.shape)))
    seen = expected = 0.0
    for start in range(0, _DRAWS, step):
        normals = rng.standard_normal((min(step, _DRAWS - start), len(z)))
        seen += _extremes(normals @ z)
        expected += _extremes(normals @ independent)
    return 0.0 if expected <= 0.0 else seen / expected * _exact_maximum(_cdf(), z.shape[1])


def _extremes(values: Floats) -> float:
    """Sum over rows of the maximum; a normal's mirror is as likely, so its minimum is a second look."""
    return float(values.max(axis=1).sum() - values.min(axis=1).sum()) / 2.0


def _participation(correlation: Floats, periods: int) -> float:
    n = len(correlation)
    squares = correlation**2
    sampling = (1.0 - squares) / max(periods - 2, 1)
    off_diagonal = float((squares - sampling).sum() - np.trace(squares - sampling))
    return n * n / (n + min(max(off_diagonal, 0.0), float(n * (n - 1))))


def _between(x: Floats, labels: Ints, clusters: int) -> float | None:
    """Variance over clusters of the Sharpe of a cluster's mean series, its members at equal volatility."""
    if clusters < 2:
        return None
    member = np.zeros((x.shape[1], clusters))
    member[np.arange(x.shape[1]), labels] = 1.0 / x.std(axis=0, ddof=1)
    series = x @ member
    spread = series.std(axis=0, ddof=1)
    return float(np.var(series.mean(axis=0) / np.where(spread > 0.0, spread, 1.0), ddof=1))


def _standardised(x: Floats) -> Floats:
    """Columns centred and scaled to length 1, so that their products are correlations."""
    centred = x / np.max(np.abs(x), axis=0)
    centred = centred - centred.mean(axis=0)
    return centred / np.sqrt((centred * centred).sum(axis=0))
