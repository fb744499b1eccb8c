"""Sharpe inference against printed numbers of its papers, closed forms, and its own sampling distribution."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maestro_engine.inference.statistics.sharpe import (
    annualise,
    deflated_sharpe,
    expected_maximum,
    expected_maximum_sharpe,
    minimum_track_record,
    moments,
    psr,
    psr_of,
    sharpe,
    sharpes,
)
from maestro_protocol.errors import DataError, UsageError

# Bailey, Lopez de Prado (2014), numerical example: 5 years of 250 days, annual Sharpe 2.5, variance over
# trials 1/2 a year, 100 trials, skewness -3, kurtosis 10.
DAILY = 2.5 / math.sqrt(250)
VARIANCE = 0.5 / 250
DAYS = 1250


def test_deflated_sharpe_reproduces_the_2014_example_to_the_last_printed_digit() -> None:
    result = deflated_sharpe(DAILY, DAYS, VARIANCE, 100, skewness=-3, kurtosis=10)
    assert result.sr0 is not None
    assert result.value is not None
    assert f"{result.sr0:.4f}" == "0.1132"
    assert f"{result.value:.4f}" == "0.9004"


@pytest.mark.parametrize(("trials", "skewness", "kurtosis"), [(46, -3, 10), (88, 0, 3)])
def test_deflated_sharpe_reproduces_the_two_variants_the_paper_prints(
    trials: int, skewness: float, kurtosis: float
) -> None:
    """46 trials instead of 100, or normal returns and 88 trials, would have given 0.9505."""
    result = deflated_sharpe(DAILY, DAYS, VARIANCE, trials, skewness, kurtosis)
    assert result.value is not None
    assert f"{result.value:.4f}" == "0.9505"


def test_psr_reproduces_the_2012_example() -> None:
    """Two years of months, Sharpe 0.458 a month: 0.982 if normal, 0.913 with its skewness and kurtosis."""
    assert f"{psr(0.458, 24):.3f}" == "0.982"
    assert f"{psr(0.458, 24, skewness=-2.448, kurtosis=10.164):.3f}" == "0.913"


@pytest.mark.parametrize(
    ("per_year", "skewness", "kurtosis", "years"),
    [(252, 0, 3, "2.73"), (52, 0, 3, "2.83"), (12, 0, 3, "3.24"), (12, -0.72, 5.78, "4.99")],
)
def test_track_record_length_reproduces_the_2012_examples(
    per_year: int, skewness: float, kurtosis: float, years: str
) -> None:
    """Annual Sharpe 2 against 1 at 95 %: daily, weekly, monthly, and monthly with hedge fund moments."""
    root = math.sqrt(per_year)
    periods = minimum_track_record(2 / root, 1 / root, 0.95, skewness, kurtosis)
    assert periods is not None
    assert f"{periods / per_year:.2f}" == years


@pytest.mark.parametrize(("trials", "expected"), [(10, 1.5388), (100, 2.5076), (1000, 3.2414)])
def test_expected_maximum_is_near_the_exact_value(trials: int, expected: float) -> None:
    """Exact expected maxima of standard normals (tables of order statistics); the formula is asymptotic."""
    top = expected_maximum(trials)
    assert top is not None
    assert top == pytest.approx(expected, abs=0.04)


@pytest.mark.parametrize(
    ("trials", "days", "annual"), [(20, 15, 9.4), (100, 15, 12.5), (500, 15, 15.1), (500, 3, 33.7)]
)
def test_expected_best_of_noise_in_short_tests(trials: int, days: int, annual: float) -> None:
    """Closed form: over ``days`` days an annual Sharpe without edge has a deviation of sqrt(365 / days)."""
    top = annualise(expected_maximum_sharpe(1 / days, trials), 365)
    assert top is not None
    assert round(top, 1) == annual


def test_psr_is_uniform_when_the_true_sharpe_is_the_benchmark() -> None:
    """Simulation of its own distribution: 2,000 skewed series of 400 periods, the upper 5 % and 1 %."""
    rng = np.random.default_rng(7)
    x = 0.1 + (rng.gamma(4.0, size=(2000, 400)) - 4.0) / 2.0  # skewness 1, deviation 1, Sharpe 0.1
    values = np.array([psr_of(row, benchmark=0.1) for row in x])
    for level in (0.05, 0.01):
        hits = int((values > 1 - level).sum())
        assert abs(hits - 2000 * level) < 4 * math.sqrt(2000 * level * (1 - level))


def test_deflated_sharpe_of_the_best_of_noise_is_rarely_significant() -> None:
    """Simulation: the best of 100 noise trials passes 0.95 in at most 5 % of 300 searches, and 0.5 in about half."""
    rng = np.random.default_rng(11)
    values: list[float] = []
    for _ in range(300):
        ratios = sharpes(rng.normal(size=(250, 100)))
        result = deflated_sharpe(float(ratios.max()), 250, float(ratios.var(ddof=1)), 100)
        assert result.value is not None
        values.append(result.value)
    assert np.mean(np.array(values) > 0.95) < 0.05
    assert 0.3 < np.mean(np.array(values) > 0.5) < 0.6


def test_what_is_undefined_is_none_and_says_why() -> None:
    assert sharpe([]) is None
    assert sharpe([1.0]) is None
    assert sharpe([0.1] * 30) is None
    assert psr_of([0.1] * 30) is None
    assert annualise(None, 365) is None
    assert expected_maximum(1) is None
    assert minimum_track_record(0.1, 0.1) is None
    single, equal = deflated_sharpe(0.2, 100, 0.01, 1), deflated_sharpe(0.2, 100, 0.0, 10)
    assert single.value is None
    assert "one effective trial" in single.reason
    assert equal.value is None
    assert "do not vary" in equal.reason


def test_gaps_and_wrong_shapes_are_refused_with_their_place() -> None:
    with pytest.raises(DataError, match=r"\[1\] is missing"):
        sharpe([0.1, math.nan, 0.2])
    with pytest.raises(DataError, match="one column"):
        sharpe(np.zeros((2, 2)))
    with pytest.raises(UsageError, match="no series has these"):
        psr(1.0, 10, skewness=5.0, kurtosis=1.0)


@given(st.lists(st.floats(-1e3, 1e3).map(lambda v: round(v, 3)), min_size=3, max_size=40), st.floats(0.01, 1e6))
def test_a_sharpe_knows_no_unit(values: list[float], scale: float) -> None:
    small, large = moments(values), moments([v * scale for v in values])
    if small.sharpe is None:
        assert large.sharpe is None
        return
    assert large.sharpe == pytest.approx(small.sharpe, rel=1e-6, abs=1e-9)
    assert large.skewness == pytest.approx(small.skewness, rel=1e-6, abs=1e-6)
    assert small.skewness is not None
    assert small.kurtosis is not None
    assert small.kurtosis >= 1 + small.skewness**2 - 1e-6  # why the variance in PSR cannot be negative


def test_columns_have_the_same_sharpe_as_single_series() -> None:
    x = np.random.default_rng(3).normal(0.1, 1.0, size=(50, 4))
    x[:, 2] = 0.25
    assert np.isnan(sharpes(x)[2])
    for i in (0, 1, 3):
        assert sharpes(x)[i] == pytest.approx(sharpe(x[:, i]))
