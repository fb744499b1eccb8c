"""Effective trials: both ends of the scale, a closed form in between, and the deflation they are made for."""

from __future__ import annotations

import math

import numpy as np
import pytest

from maestro_engine.inference.statistics.effective import cluster, effective_trials, independent_equivalent
from maestro_engine.inference.statistics.sharpe import deflated_sharpe, expected_maximum_sharpe, sharpes


def blocks(rng: np.random.Generator, periods: int, families: int, members: int, noise: float) -> np.ndarray:
    shared = np.repeat(rng.normal(size=(periods, families)), members, axis=1)
    return shared + noise * rng.normal(size=(periods, families * members))


@pytest.mark.parametrize(("periods", "trials"), [(60, 100), (150, 500), (1000, 300)])
def test_independent_trials_stay_as_many(periods: int, trials: int) -> None:
    result = effective_trials(np.random.default_rng(1).normal(size=(periods, trials)))
    assert result is not None
    assert result.effective == pytest.approx(trials, rel=0.06)
    assert result.participation == pytest.approx(trials, rel=0.06)
    assert result.clusters >= 0.95 * trials


def test_duplicates_collapse_to_one() -> None:
    series = np.random.default_rng(2).normal(size=(150, 1))
    result = effective_trials(series * np.linspace(0.5, 2.0, 400))
    assert result is not None
    assert result.effective == pytest.approx(1.0)
    assert result.participation == pytest.approx(1.0, abs=0.01)
    assert result.clusters == 1
    assert result.between is None
    assert result.variance == pytest.approx(1 / 149)


def test_families_are_found_and_what_is_left_within_them_still_counts() -> None:
    """Ten families of 50 that correlate at 0.92: ten clusters, and between 10 and 500 trials."""
    result = effective_trials(blocks(np.random.default_rng(3), 300, 10, 50, 0.3))
    assert result is not None
    np.testing.assert_array_equal(result.labels, np.repeat(np.arange(10), 50))
    assert 20 < result.effective < 60
    assert result.between is not None


@pytest.mark.parametrize(("noise", "trials"), [(1.0, 200), (0.5, 200), (3.0, 60)])
def test_equal_correlation_has_a_closed_form(noise: float, trials: int) -> None:
    """At one common correlation rho the expected maximum is sqrt(1 - rho) of the independent one."""
    rng = np.random.default_rng(4)
    x = rng.normal(size=(2000, 1)) + noise * rng.normal(size=(2000, trials))
    rho = 1 / (1 + noise**2)
    exact = rng.normal(size=(20_000, trials)).max(axis=1).mean()
    result = effective_trials(x)
    assert result is not None
    expected = independent_equivalent(math.sqrt(1 - rho) * float(exact), trials)
    assert result.effective == pytest.approx(expected, rel=0.08)


@pytest.mark.slow
def test_the_deflation_threshold_is_what_the_best_of_correlated_noise_reaches() -> None:
    """Simulation: over 100 searches the mean best Sharpe equals SR0 from ``effective`` and ``variance``."""
    rng = np.random.default_rng(5)
    best, threshold, passed = [], [], 0
    for _ in range(100):
        x = blocks(rng, 200, 8, 10, 0.7)
        found = effective_trials(x)
        assert found is not None
        top = float(sharpes(x).max())
        best.append(top)
        threshold.append(expected_maximum_sharpe(1 / 199, found.effective) or 0.0)
        passed += (deflated_sharpe(top, 200, found.variance, found.effective).value or 0.0) > 0.95
    assert np.mean(best) == pytest.approx(np.mean(threshold), abs=0.01)
    assert passed <= 5


def test_idle_columns_are_labelled_apart_and_short_series_are_undefined() -> None:
    x = np.random.default_rng(6).normal(size=(50, 4))
    x[:, 1] = 0.0
    result = effective_trials(x)
    assert result is not None
    assert (result.trials, int(result.labels[1])) == (4, -1)
    assert effective_trials(x[:2]) is None
    assert effective_trials(np.zeros((50, 3))) is None


def test_clusters_equal_scipys_average_linkage() -> None:
    """Against scipy on correlated series: the same partition at the same cut."""
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform

    for seed in range(20):
        rng = np.random.default_rng(seed)
        correlation = np.corrcoef(blocks(rng, 60, 6, 7, rng.uniform(0.3, 1.2)), rowvar=False)
        distance = squareform(np.clip(1 - correlation, 0, 2), checks=False)
        theirs = fcluster(linkage(distance, "average"), 1 - math.sqrt(0.5), "distance")
        mine = cluster(correlation)
        assert len(set(zip(mine.tolist(), theirs.tolist(), strict=True))) == len(set(mine.tolist()))
        assert len(set(mine.tolist())) == len(set(theirs.tolist()))


def test_a_thousand_trials_repeat_exactly() -> None:
    x = blocks(np.random.default_rng(7), 1000, 50, 20, 0.5)
    first = effective_trials(x)
    again = effective_trials(x)
    assert first is not None
    assert again is not None
    assert first.effective == again.effective
