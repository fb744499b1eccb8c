"""Permutation and null-model tests: enumeration by hand, uniform p-values under their hypotheses, exact counts."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maestro_engine.inference.statistics.null import null_test, random_entries, upper_bound
from maestro_engine.inference.statistics.signflip import overlapping, sign_flip
from maestro_protocol.errors import UsageError


@given(st.lists(st.integers(-5, 5), min_size=1, max_size=8))
def test_exact_p_equals_enumeration(values: list[int]) -> None:
    result = sign_flip([float(v) for v in values])
    moving = [v for v in values if v]
    if not moving:
        assert result.p is None
        return
    hits = sum(
        sum(s * v for s, v in zip(signs, moving, strict=True)) >= sum(moving)
        for signs in product((1, -1), repeat=len(moving))
    )
    assert result.exact
    assert result.p == hits / 2 ** len(moving)


def test_windows_that_overlap_flip_together() -> None:
    """Closed form: 12 windows in 3 groups can never be more significant than 1/8."""
    groups = [0] * 4 + [1] * 4 + [2] * 4
    result = sign_flip([1.0] * 12, groups)
    assert (result.p, result.smallest_p, result.groups) == (1 / 8, 1 / 8, 3)
    assert sign_flip([1.0] * 12).p == 1 / 4096


def test_linked_windows_form_one_group() -> None:
    np.testing.assert_array_equal(overlapping([0, 100, 2, 4, 9, 15], length=5), [0, 3, 0, 0, 1, 2])


def test_sampled_p_is_valid_and_agrees_with_the_exact_one() -> None:
    """Simulation of its own distribution: with dependent groups without effect, p <= 0.05 in at most 5 %."""
    rng = np.random.default_rng(1)
    groups = np.repeat(np.arange(20), 5)
    rejected = 0
    for seed in range(400):
        d = np.repeat(rng.normal(size=20), 5) + 0.3 * rng.normal(size=100)
        p = sign_flip(d, groups, draws=399, seed=seed).p
        assert p is not None
        rejected += p <= 0.05
    assert rejected <= 400 * 0.05 + 3 * math.sqrt(400 * 0.05 * 0.95)
    d = rng.normal(0.4, 1.0, size=14)
    exact = sign_flip(d)
    sampled = sign_flip(np.append(d, [1e-9, -1e-9]), draws=20_000)
    assert exact.p is not None
    assert sampled.p is not None
    assert not sampled.exact
    assert sampled.p == pytest.approx(exact.p, abs=4 * math.sqrt(exact.p / 20_000))


def test_a_patch_that_helps_is_found_and_labels_must_fit() -> None:
    rng = np.random.default_rng(2)
    assert (sign_flip(rng.normal(0.5, 1.0, 60)).p or 1.0) < 0.01
    assert sign_flip([]).p is None
    with pytest.raises(UsageError, match="one label per difference"):
        sign_flip([1.0, 2.0], [1])


def test_null_p_counts_and_is_never_zero() -> None:
    """By hand, and the bound against its closed form for no hits: 1 - 0.05^(1/200)."""
    result = null_test(3.0, np.arange(200) / 100)
    assert (result.p, result.reached) == (1 / 201, 0)
    assert result.upper == pytest.approx(1 - 0.05 ** (1 / 200))
    assert null_test(1.0, [1.0, 0.0, 2.0]).p == 3 / 4  # a tie counts against
    assert upper_bound(5, 5) == 1.0
    with pytest.raises(UsageError, match="at least one"):
        null_test(1.0, [])


def test_upper_bound_equals_scipys_clopper_pearson() -> None:
    from scipy.stats import beta

    for hits, draws in [(0, 50), (3, 200), (57, 200), (199, 200)]:
        assert upper_bound(hits, draws) == pytest.approx(beta.ppf(0.95, hits + 1, draws - hits))


def test_null_p_is_uniform_for_a_random_agent() -> None:
    """Simulation: an agent that is one of the crowd passes 5 % in 5 % of 4,000 campaigns."""
    rng = np.random.default_rng(3)
    passed = sum(null_test(float(row[0]), row[1:]).p <= 0.05 for row in rng.normal(size=(4000, 200)))
    assert abs(passed - 4000 * 0.05) < 4 * math.sqrt(4000 * 0.05 * 0.95)


@given(st.integers(0, 2**32 - 1), st.lists(st.tuples(st.sampled_from([-1, 1]), st.integers(1, 9)), max_size=12))
def test_random_entries_keep_count_sides_holds_and_room(seed: int, trades: list[tuple[int, int]]) -> None:
    sides, holds = [s for s, _ in trades], [h for _, h in trades]
    rng = np.random.default_rng(seed)
    bars, drawn = random_entries(rng, 5, 10, 10 + sum(holds) + 7, sides, holds)
    assert bars.shape == drawn.shape == (5, len(trades))
    for row, side in zip(bars, drawn, strict=True):
        assert sorted(side.tolist()) == sorted(sides)
        assert (np.diff(row) >= 1).all()
        if trades:
            assert row[0] >= 10
            assert row[-1] < 10 + sum(holds) + 7


def test_random_entries_are_uniform_over_all_placements() -> None:
    """Closed form: two one-bar trades in five bars have C(5, 2) = 10 placements, each with chance 1/10."""
    bars, _ = random_entries(np.random.default_rng(4), 20_000, 0, 5, [1, 1], [1, 1])
    pairs, counts = np.unique(bars, axis=0, return_counts=True)
    assert len(pairs) == 10
    assert np.abs(counts - 2000).max() < 5 * math.sqrt(20_000 * 0.1 * 0.9)


def test_trades_that_do_not_fit_are_refused() -> None:
    with pytest.raises(UsageError, match="do not fit"):
        random_entries(np.random.default_rng(0), 1, 0, 5, [1, 1], [3, 3])
    with pytest.raises(UsageError, match="sides"):
        random_entries(np.random.default_rng(0), 1, 0, 5, [2], [1])
