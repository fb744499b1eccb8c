"""The verdict through the judge's door, on bars: an edge in one part alone, the documented p, equal trades."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from control_support import run_config

from maestro_engine.api import Market, open_market
from maestro_engine.data.bars import Bars
from maestro_engine.data.simulators.regimes import simulate_bars
from maestro_engine.inference.statistics.bootstrap import positive_mean_p
from maestro_protocol.messages.campaign import ORIGIN_TARGETS, Finalist, Verdict, WindowPlan

STEP_MS = 900_000
DAYS = 150
FOLLOWERS = [
    run_config(f"v{n}", ("ema_crossover",), ema_fast=fast, ema_slow=slow, hard_tp_usd=5_000, timeout_bars=60)
    for n, (fast, slow) in enumerate([(3, 8), (3, 12), (5, 15), (5, 20)])
]
"""They earn where price drifts one way for half a day, and pay fees where it does not."""


def drifting(seed: int, first_share: float, end_share: float) -> Bars:
    """Noise, whose price drifts up or down in stretches of 50 bars between two shares of its length."""
    bars = simulate_bars("noise", seed, DAYS * 96, step_ms=STEP_MS)
    dice = np.random.default_rng(seed)
    count = len(bars.close)
    slope = np.repeat(dice.choice([-1.0, 1.0], size=count // 50 + 1), 50)[:count] * 0.002
    slope[: int(first_share * count)] = slope[int(end_share * count) :] = 0.0
    after = np.exp(np.cumsum(slope))
    before = np.concatenate([[1.0], after[:-1]])
    opened, closed = bars.open * before, bars.close * after
    high = np.maximum.reduce([opened, closed, bars.high * np.minimum(before, after)])
    low = np.minimum.reduce([opened, closed, bars.low * np.maximum(before, after)])
    return replace(bars, open=opened, high=high, low=low, close=closed)


def ruled(bars: Bars) -> Verdict:
    judge = open_market(bars, WindowPlan(), ORIGIN_TARGETS, jobs=1, seed=1).judge
    assert judge is not None
    return judge.open_and_rule(judge.assess(FOLLOWERS, FOLLOWERS, 40), 1)[0]


def figure(finalist: Finalist, name: str) -> float:
    (value,) = [figure.value for figure in finalist.figures if figure.name == name]
    assert value is not None
    return value


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_an_edge_in_the_sealed_part_alone_never_survives_and_both_halves_are_told(seed: int) -> None:
    verdict = ruled(drifting(seed, 0.8, 1.0))
    found = [
        f for f in verdict.finalists if f.holdout is not None and f.holdout.total_pnl > 0 > f.open_part.total_pnl
    ]
    assert found, "the market rewards them in the sealed part and nowhere else"
    assert verdict.word != "SURVIVES"
    assert all(not finalist.survives for finalist in verdict.finalists)
    assert "what the search did not find cannot survive it" in verdict.sentence
    assert "still" not in verdict.sentence
    assert "lost" in verdict.sentence
    assert "earned" in verdict.sentence


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_an_edge_in_the_open_part_alone_never_survives(seed: int) -> None:
    verdict = ruled(drifting(seed, 0.0, 0.8))
    assert any(f.holdout is not None and f.open_part.total_pnl > 0 > f.holdout.total_pnl for f in verdict.finalists)
    assert verdict.word != "SURVIVES"


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_same_edge_in_both_parts_survives(seed: int) -> None:
    assert ruled(drifting(seed, 0.0, 1.0)).word == "SURVIVES"


def test_the_p_that_rules_is_the_documented_one(small_market: Market) -> None:
    judge = small_market.judge
    trials = [run_config("root"), run_config("a", hard_tp_usd=900), run_config("b", atr_stop_mult=3.0)]
    verdict, exhibits = judge.open_and_rule(judge.assess(trials, trials, 5), 1)
    told = [figure(finalist, "p of no edge, sealed part") for finalist in verdict.finalists]
    for p, curve in zip(told, exhibits.curves, strict=True):
        documented = positive_mean_p(curve.pnl[curve.sealed_from :], seed=3 + 1)
        assert documented is not None
        assert p == pytest.approx(documented, abs=2e-3)  # the curve is rounded to cents
    corrected = [figure.value for f in verdict.finalists for figure in f.figures if "corrected" in figure.name]
    assert all(ruling is None or ruling >= p for ruling, p in zip(corrected, told, strict=True))
    assert None not in (corrected[0], verdict.finalists[0].survives)


def test_configurations_with_the_same_trades_are_one_finalist(small_market: Market) -> None:
    never_near = [run_config(f"v{n}", hard_tp_usd=5_000 - n, atr_stop_mult=0.5) for n in range(5)]
    other = run_config("other", hard_tp_usd=500)
    kept = small_market.judge.assess([*never_near, other], [*never_near, other], 6).finalists
    assert sorted(config.run_id for config in kept) == ["other", "v0"]
