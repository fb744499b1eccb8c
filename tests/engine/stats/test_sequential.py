"""Sequential tests: declared error rates by simulation, resume to the bit, and the streak's published 43 %."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maestro_engine.inference.statistics.sequential import Direction, SequentialTest, streak, streak_probability
from maestro_protocol.errors import DataError, UsageError

Draw = Callable[[np.random.Generator, tuple[int, int]], np.ndarray]


def hits(p: float) -> Draw:
    return lambda rng, size: rng.binomial(8, p, size) / 8


def gamma_pnl(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """Skewed PnL of an episode: gamma wins less gamma losses of the same mean, in USD."""
    return 100 * (rng.gamma(4, size=size) - rng.gamma(2, 2.0, size=size))


def drawdown(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    return -rng.gamma(2, 1000, size=size)


def fires(values: np.ndarray, target: float, direction: Direction) -> float:
    """Share of rows in which the test rejects at any of its looks."""
    fired = 0
    for row in values.tolist():
        test = SequentialTest(target, direction)
        for value in row:
            test.update(value)
            if test.rejects:
                fired += 1
                break
    return fired / len(values)


CASES: list[tuple[str, Draw, float]] = [
    ("hit of 8 trades", hits(0.54), 0.54),
    ("blunders per 100 trades", lambda rng, size: 100 * rng.binomial(8, 0.02, size) / 8, 2.0),
    ("skewed payoff", lambda rng, size: rng.exponential(1.1, size=size), 1.1),
    ("heavy tails", lambda rng, size: rng.standard_t(3, size=size), 0.0),
    ("PnL", gamma_pnl, 0.0),
    ("maximum drawdown", drawdown, -2000.0),
]


@pytest.mark.slow
@pytest.mark.parametrize("direction", list(Direction))
@pytest.mark.parametrize(("name", "draw", "target"), CASES, ids=[c[0] for c in CASES])
def test_on_target_it_rarely_fires(name: str, draw: Draw, target: float, direction: Direction) -> None:
    """Simulation: looked at after every one of 400 and of 35 episodes; binomial interval around alpha."""
    rng = np.random.default_rng(17)
    for rows, episodes in ((500, 400), (1500, 35)):
        rate = fires(draw(rng, (rows, episodes)), target, direction)
        assert rate <= 0.05 + 2.6 * math.sqrt(0.05 * 0.95 / rows), (name, episodes, rate)


def test_a_bad_hit_rate_is_found() -> None:
    """Power by simulation: true hit 0.40 against 0.48, 8 trades an episode, half within 35, nearly all in 100."""
    rng = np.random.default_rng(18)
    assert fires(hits(0.40)(rng, (400, 35)), 0.48, Direction.BELOW) > 0.45
    assert fires(hits(0.40)(rng, (400, 100)), 0.48, Direction.BELOW) > 0.93
    assert fires(hits(0.60)(rng, (400, 100)), 0.52, Direction.ABOVE) > 0.9


def test_the_streak_fires_on_noise_in_43_percent() -> None:
    """Published: 8 trades, true hit 0.54: P(hit < 0.48) = 0.28, three in a row within 35 episodes 43 %."""
    below = sum(math.comb(8, k) * 0.54**k * 0.46 ** (8 - k) for k in range(4))
    assert round(below, 2) == 0.28
    assert round(streak_probability(below, 35), 2) == 0.43
    values = hits(0.54)(np.random.default_rng(19), (4000, 35))
    simulated = np.mean([streak(row, 0.48) is not None for row in values.tolist()])
    assert simulated == pytest.approx(0.427, abs=4 * math.sqrt(0.25 / 4000))
    assert fires(values, 0.54, Direction.BELOW) < 0.03


def test_streaks_by_hand() -> None:
    assert streak([0.1, 0.9, 0.1, 0.1, 0.1], 0.5) == 5
    assert streak([0.1, 0.1, None, 0.1], 0.5) is None
    assert streak_probability(0.5, 3) == pytest.approx(1 / 8)
    assert streak_probability(1.0, 3) == 1.0


@given(st.lists(st.floats(-100, 100) | st.none(), max_size=60), st.integers(0, 60), st.sampled_from(list(Direction)))
def test_a_state_resumes_to_the_bit_from_json(values: list[float | None], stop: int, direction: Direction) -> None:
    whole, half = (SequentialTest(5.0, direction, minimum=3) for _ in range(2))
    for value in values:
        whole.update(value)
    for value in values[:stop]:
        half.update(value)
    resumed = SequentialTest(**json.loads(json.dumps(dataclasses.asdict(half))))
    assert resumed == half
    for value in values[stop:]:
        resumed.update(value)
    assert resumed == whole


@given(st.lists(st.floats(-10, 10), min_size=20, max_size=60))
def test_moments_are_those_of_the_values(values: list[float]) -> None:
    test = SequentialTest(0.0, alpha=0.01)
    for value in values:
        test.update(value)
    x = np.array(values)
    assert test.n == len(values)
    assert test.mean == pytest.approx(x.mean(), abs=1e-9)
    assert test.second == pytest.approx(((x - x.mean()) ** 2).sum(), abs=1e-6)
    assert test.third == pytest.approx(((x - x.mean()) ** 3).sum(), abs=1e-5)


def test_mirrored_values_mirror_the_bound() -> None:
    below, above = SequentialTest(1.0), SequentialTest(-1.0, Direction.ABOVE)
    for value in np.random.default_rng(20).exponential(size=50).tolist():
        below.update(value)
        above.update(-value)
    assert below.bound is not None
    assert above.bound == pytest.approx(-below.bound)
    assert below.rejected_at == above.rejected_at


def test_too_few_or_constant_values_prove_nothing_and_a_rejection_is_final() -> None:
    test = SequentialTest(10.0)
    for value in [1.0, 2.0] * 9 + [1.0]:
        test.update(value)
    assert test.bound is None
    assert not test.rejects
    test.update(2.0)
    assert test.rejected_at == 20
    for _ in range(30):
        test.update(100.0)
    assert test.rejected_at == 20
    constant = SequentialTest(10.0)
    for _ in range(50):
        constant.update(0.1)  # whose running mean rounds
    assert constant.bound is None
    with pytest.raises(DataError, match="not finite"):
        test.update(math.nan)
    with pytest.raises(UsageError, match="alpha"):
        SequentialTest(0.0, alpha=0.7)
