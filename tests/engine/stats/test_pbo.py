"""CSCV against brute force, against noise with its sampling interval, and against planted edges."""

from __future__ import annotations

import math
import tracemalloc
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maestro_engine.inference.statistics.pbo import pbo
from maestro_engine.inference.statistics.sharpe import sharpes
from maestro_protocol.errors import UsageError


def brute_force(x: np.ndarray, blocks: int) -> list[tuple[float, float, float]]:
    """The definition, split by split: in-sample best, its out-of-sample Sharpe, its logit (no ties)."""
    parts = np.array_split(x, blocks)
    rows: list[tuple[float, float, float]] = []
    for chosen in combinations(range(blocks), blocks // 2):
        inside = sharpes(np.concatenate([parts[b] for b in chosen]))
        outside = sharpes(np.concatenate([parts[b] for b in range(blocks) if b not in chosen]))
        best = int(np.argmax(inside))
        relative = (1 + int((outside < outside[best]).sum())) / (x.shape[1] + 1)
        rows.append((float(inside[best]), float(outside[best]), math.log(relative / (1 - relative))))
    return rows


def test_every_split_equals_brute_force() -> None:
    x = np.random.default_rng(1).standard_t(4, size=(48, 9)) * np.geomspace(1e-6, 1e6, 9)
    result = pbo(x, blocks=6)
    assert result is not None
    expected = np.array(brute_force(x, 6))
    assert result.splits == 20
    np.testing.assert_allclose(result.in_sample, expected[:, 0], rtol=1e-9)
    np.testing.assert_allclose(result.out_of_sample, expected[:, 1], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(result.logits, expected[:, 2])
    assert result.slope == pytest.approx(np.polyfit(expected[:, 0], expected[:, 1], 1)[0])
    assert result.loss == np.mean(expected[:, 1] < 0)


def test_sixteen_blocks_are_12870_splits_and_noise_gives_a_half() -> None:
    """Simulation: the mean over 60 searches through noise, with its own standard error."""
    rng = np.random.default_rng(2)
    results = [pbo(rng.normal(size=(160, 80))) for _ in range(60)]
    values = np.array([r.pbo for r in results if r is not None])
    assert all(r is not None and r.splits == 12_870 for r in results)
    assert abs(values.mean() - 0.5) < 4 * values.std() / math.sqrt(len(values)) + 0.02


def test_a_planted_edge_is_not_overfitting() -> None:
    """One trial of 100 has a daily Sharpe of 0.3 over 1,000 days: it is chosen, and stays first."""
    x = np.random.default_rng(3).normal(size=(1000, 100))
    x[:, 41] += 0.3
    result = pbo(x)
    assert result is not None
    assert result.pbo < 0.01
    assert result.loss < 0.01


def test_equal_trials_share_the_middle_rank() -> None:
    """Ties average: among identical trials the chosen one is the median, whose logit is 0."""
    x = np.repeat(np.random.default_rng(4).normal(size=(32, 1)), 5, axis=1)
    result = pbo(x, blocks=4)
    assert result is not None
    np.testing.assert_array_equal(result.logits, 0.0)
    assert result.pbo == 1.0


def test_columns_that_never_trade_are_dropped_and_those_that_pause_rank_as_flat() -> None:
    rng = np.random.default_rng(5)
    x = rng.normal(size=(64, 6))
    x[:, 0] = 0.0
    x[:32, 1] = 0.0
    result = pbo(x, blocks=4)
    assert result is not None
    assert (result.trials, result.dropped) == (5, 1)
    assert np.isfinite(result.logits).all()
    assert pbo(x[:, :2], blocks=4) is None  # one varying trial cannot be ranked
    assert pbo(x[:6], blocks=4) is None  # blocks of one period have no variance


def test_an_odd_number_of_blocks_is_refused() -> None:
    with pytest.raises(UsageError, match="even number"):
        pbo(np.zeros((30, 3)), blocks=5)


def test_five_hundred_trials_fit_in_memory() -> None:
    x = np.random.default_rng(6).normal(size=(1003, 500))
    tracemalloc.start()
    result = pbo(x)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert result is not None
    assert result.periods == 992  # 1,003 rows less the oldest 11
    assert peak < 80e6


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1), st.integers(2, 7), st.floats(0.001, 1000))
def test_scaling_and_order_of_trials_do_not_matter(seed: int, trials: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(24, trials))
    order = rng.permutation(trials)
    one, other = pbo(x, blocks=4), pbo(x[:, order] * scale, blocks=4)
    assert one is not None
    assert other is not None
    np.testing.assert_allclose(one.logits, other.logits)
