"""Block bootstrap: block length against its closed form, and empirical coverage of the intervals."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.signal import lfilter

from maestro_engine.inference.statistics.bootstrap import (
    block_length,
    intervals,
    positive_mean_p,
    sharpe_upper,
    stationary_indices,
)
from maestro_engine.inference.statistics.sharpe import sharpe
from maestro_protocol.errors import UsageError


def autoregressive(rng: np.random.Generator, rows: int, n: int, phi: float, skewed: bool = False) -> np.ndarray:
    """Rows of an AR(1) with mean 0 and deviation 1."""
    noise = rng.exponential(size=(rows, n + 50)) - 1 if skewed else rng.normal(size=(rows, n + 50))
    return lfilter([1.0], [1.0, -phi], noise, axis=1)[:, 50:] * math.sqrt(1 - phi**2)


@pytest.mark.parametrize("phi", [0.3, 0.6])
def test_block_length_of_an_autoregression_has_a_closed_form(phi: float) -> None:
    """(2 phi / (1 - phi^2))^(2/3) n^(1/3), from Patton, Politis and White's D = 2 g(0)^2."""
    n = 60_000
    found = block_length(autoregressive(np.random.default_rng(1), 1, n, phi)[0])
    assert found == pytest.approx((2 * phi / (1 - phi**2)) ** (2 / 3) * n ** (1 / 3), rel=0.15)


def test_block_length_stays_in_its_range() -> None:
    rng = np.random.default_rng(2)
    assert block_length(rng.normal(size=5000)) < 6
    assert block_length(np.cumsum(rng.normal(size=100))) <= 30
    assert block_length([1.0] * 50) == 1.0


def test_blocks_have_the_mean_length_and_wrap_around() -> None:
    rows = stationary_indices(np.random.default_rng(3), 50, 5.0, 2000)
    assert rows.min() == 0
    assert rows.max() == 49
    joined = (np.diff(rows, axis=1) % 50 == 1).mean()
    assert joined == pytest.approx(0.8 + 0.2 / 50, abs=0.01)  # 1 - 1/5, and a new block may follow by chance
    assert np.abs(np.bincount(rows.ravel(), minlength=50) / rows.size - 0.02).max() < 0.002


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n", "phi", "skewed", "least"),
    [(60, 0.0, False, 0.92), (60, 0.0, True, 0.91), (150, 0.3, True, 0.87), (400, 0.3, False, 0.90)],
)
def test_ninety_five_percent_intervals_cover(n: int, phi: float, skewed: bool, least: float) -> None:
    """Simulation: the true mean and Sharpe (0.1) lie inside nearly as often as promised, and not always."""
    x = 0.1 + autoregressive(np.random.default_rng(4), 300, n, phi, skewed)
    mean = ratio = 0
    for seed, row in enumerate(x):
        found = intervals(row, draws=499, seed=seed)
        assert found is not None
        mean += found.mean.low <= 0.1 <= found.mean.high
        ratio += found.sharpe.low <= 0.1 <= found.sharpe.high
    assert least <= mean / 300 <= 0.985
    assert least <= ratio / 300 <= 0.985


def test_intervals_repeat_and_carry_the_estimates() -> None:
    x = np.random.default_rng(5).normal(0.2, 1.0, size=120)
    first, again = intervals(x, seed=9), intervals(x, seed=9)
    assert first == again
    assert first is not None
    assert first.mean.estimate == pytest.approx(x.mean())
    assert first.sharpe.estimate == pytest.approx(sharpe(x))
    assert first.mean.low < first.mean.estimate < first.mean.high
    wider = intervals(x, confidence=0.99, seed=9)
    assert wider is not None
    assert wider.mean.low < first.mean.low


def test_what_has_no_interval_is_none() -> None:
    assert intervals([1.0] * 40) is None
    assert intervals([0.1, 0.2]) is None
    assert positive_mean_p([0.0] * 40) is None
    with pytest.raises(UsageError, match="confidence"):
        intervals([0.1, 0.2], confidence=95)


@pytest.mark.slow
@pytest.mark.parametrize(("n", "phi"), [(30, 0.0), (60, 0.2), (150, 0.2)])
def test_positive_mean_p_keeps_its_level(n: int, phi: float) -> None:
    """Simulation: 300 series without an edge; at most 5 % and 1 % pass, within their binomial intervals."""
    p = np.array([positive_mean_p(row) for row in autoregressive(np.random.default_rng(6), 300, n, phi)])
    for level in (0.05, 0.01):
        assert (p <= level).sum() <= 300 * level + 3 * math.sqrt(300 * level * (1 - level))


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.3, 0.6])
def test_positive_mean_p_keeps_small_levels_for_sparse_series(share: float) -> None:
    """57 days, most without a trade, skewed to rare large gains: at 0.008, which five finalists need, at most 1 %.

    The bootstrap alone errs two to three times as often as it says.
    """
    rng, tries, reached = np.random.default_rng(4), 1_500, 0
    for seed in range(tries):
        gains = np.where(rng.random(57) < 0.3, 2.0, -6.0 / 7.0) + rng.normal(0.0, 0.5, 57)
        p = positive_mean_p(gains * (rng.random(57) < share), seed=seed)
        reached += p is not None and p <= 0.008
    assert reached <= tries * 0.01 + 2 * math.sqrt(tries * 0.01)


def test_the_bound_of_a_sharpe_covers_it_as_often_as_it_says() -> None:
    """200 series of 180 days whose true daily Sharpe ratio is 0.05: at most 5 % of the upper bounds are below."""
    rng = np.random.default_rng(8)
    bounds = [sharpe_upper(rng.standard_t(5, 180) / math.sqrt(5 / 3) + 0.05, seed=seed) for seed in range(200)]
    assert all(bound is not None for bound in bounds)
    assert sum(bound < 0.05 for bound in bounds if bound is not None) <= 200 * 0.05 + 3 * math.sqrt(200 * 0.05)
    assert sharpe_upper([1.0] * 40) is None


@pytest.mark.parametrize("n", [10, 30, 200])
def test_positive_mean_p_is_never_below_students(n: int) -> None:
    from scipy.stats import ttest_1samp

    for seed in range(20):
        x = np.random.default_rng(seed).normal(0.3, 1.0, size=n)
        p = positive_mean_p(x)
        assert p is not None
        assert p >= ttest_1samp(x, 0.0, alternative="greater").pvalue * 0.99
