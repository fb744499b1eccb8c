"""Sample sizes against a simulation of the test they plan, and walk-forward efficiency by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from maestro_engine.inference.statistics.power import detectable_sharpe, periods_needed, power_of
from maestro_engine.inference.statistics.sharpe import minimum_track_record, psr_of
from maestro_engine.inference.statistics.walkforward import Fold, efficiency
from maestro_protocol.errors import UsageError


def test_the_planned_sample_has_the_planned_power() -> None:
    """Simulation: 2,000 series as long as planned for a Sharpe of 0.15 are significant 80 % of the time."""
    n = periods_needed(0.15, alpha=0.05, power=0.8)
    assert n is not None
    rng = np.random.default_rng(21)
    found = sum((psr_of(row) or 0.0) > 0.95 for row in rng.normal(0.15, 1.0, size=(2000, n)))
    assert abs(found / 2000 - 0.8) < 4 * math.sqrt(0.16 / 2000)


def test_half_power_is_the_minimum_track_record() -> None:
    """Closed form: with even odds of success the sample is MinTRL, rounded up."""
    plain = minimum_track_record(0.1, confidence=0.99, skewness=-1.0, kurtosis=6.0)
    assert plain is not None
    assert periods_needed(0.1, alpha=0.01, power=0.5, skewness=-1.0, kurtosis=6.0) == math.ceil(plain)


@pytest.mark.parametrize("n", [12, 100, 5000])
def test_detectable_edge_and_power_are_inverses(n: int) -> None:
    edge = detectable_sharpe(n, alpha=0.01, power=0.8)
    assert edge is not None
    assert power_of(edge, n, alpha=0.01) == pytest.approx(0.8)


def test_no_edge_needs_no_finite_sample() -> None:
    assert periods_needed(0.0) is None
    assert periods_needed(-0.1) is None
    assert detectable_sharpe(3) is None
    assert power_of(0.1, 1) is None
    assert power_of(0.0, 500, alpha=0.05) == pytest.approx(0.05)
    with pytest.raises(UsageError, match="alpha"):
        periods_needed(0.1, alpha=1.0)


def test_efficiency_compares_rates_not_totals() -> None:
    """10 days earning 1,000 and 3 days earning 150: half the rate was kept."""
    result = efficiency([Fold(1000, 10, 150, 3), Fold(1000, 10, -60, 3)])
    assert result.folds == (0.5, pytest.approx(-0.2))
    assert result.value == pytest.approx(0.15)
    assert result.profitable == 0.5


def test_efficiency_of_a_training_loss_is_undefined_not_positive() -> None:
    """-100 after -200 is no efficiency of 0.5."""
    result = efficiency([Fold(-200, 10, -100, 10)])
    assert result.value is None
    assert result.folds == (None,)
    assert "earned nothing" in result.reason
    assert efficiency([]).value is None
    with pytest.raises(UsageError, match="at least one period"):
        efficiency([Fold(1, 0, 1, 1)])
