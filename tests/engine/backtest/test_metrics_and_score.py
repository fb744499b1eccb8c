"""Metrics and score from rows written by hand."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maestro_engine.backtest import EPISODE, SUMMARY, Regime, metrics
from maestro_protocol.errors import ConfigError

USD = 1_000_000
STEP_MS = 300_000


def row(dtype=SUMMARY, **fields):
    record = np.zeros(1, dtype)
    for name, value in fields.items():
        record[name] = value
    return record[0]


def episodes(profits, bars=120):
    record = np.zeros(len(profits), EPISODE)
    record["mtm_micros"] = profits
    record["bars"] = bars
    return record


TRADED = {
    "n_trades": 100,
    "wins": 52,
    "losses": 48,
    "win_micros": 52 * 125 * USD,
    "loss_micros": -48 * 100 * USD,
    "pnl_micros": (52 * 125 - 48 * 100) * USD,
    "maxdd_micros": -2_000 * USD,
    "blunders": 2,
    "bars": 4_000,
    "held_bars": 1_000,
    "high_vol": 9,
    "known_vol": 30,
}


def test_every_metric_by_its_definition():
    got = metrics.of_summary(row(**TRADED), episodes([1, 2]), STEP_MS)
    assert (got.hit, got.payoff, got.blunders_per_100) == (0.52, 1.25, 2.0)
    assert got.profit_factor == pytest.approx(6_500 / 4_800)
    assert got.expectancy_micros == 17 * USD
    assert (got.exposure, got.high_vol_share) == (0.25, 0.3)
    assert (got.total_pnl_micros, got.maxdd_micros, got.n_trades) == (1_700 * USD, -2_000 * USD, 100)


def test_exactly_on_target_scores_100():
    got = metrics.of_summary(row(**TRADED), episodes([]), STEP_MS)
    assert metrics.score(got, metrics.Targets()) == pytest.approx(100.0)
    episode = {k: v for k, v in TRADED.items() if k not in ("high_vol", "known_vol")}
    assert metrics.score(metrics.of_episode(row(EPISODE, **episode)), metrics.Targets()) == pytest.approx(100.0)


def test_undefined_is_none_and_left_out_of_the_score():
    idle = metrics.of_summary(row(bars=120), episodes([0, 0, 0]), STEP_MS)
    assert dataclasses.astuple(idle) == (0, 0, 0, 0, None, None, None, None, None, 0.0, None, None)
    assert metrics.score(idle, metrics.Targets()) is None
    winner = metrics.of_episode(row(EPISODE, n_trades=1, wins=1, win_micros=USD, pnl_micros=USD, bars=120))
    assert (winner.hit, winner.payoff, winner.profit_factor) == (1.0, None, None)
    assert metrics.score(winner, metrics.Targets()) == pytest.approx(100 * (1 / 0.52 + 2 + 2) / 3)


def test_sharpe_is_annualised_over_episodes():
    profits = [5, -1, 3, 2]
    per_year = 365 * 24 * 3_600_000 / (120 * STEP_MS)
    expected = np.mean(profits) / np.std(profits, ddof=1) * per_year**0.5
    assert metrics.sharpe(episodes(profits), STEP_MS) == pytest.approx(expected)
    assert metrics.sharpe(episodes(profits, bars=30), STEP_MS) == pytest.approx(2 * expected)
    for still in ([], [7], [7, 7, 7], [0, 0]):
        assert metrics.sharpe(episodes(still), STEP_MS) is None


def test_regime_has_a_name_or_is_unknown():
    names = [metrics.regime(row(EPISODE, regime=r)) for r in Regime]
    assert names == [None, "low", "mid", "high"]


better = st.tuples(st.integers(0, 100), st.integers(0, 100)).map(sorted)


@given(counts=better, wins=st.integers(1, 99))
def test_score_is_bounded_and_never_falls_when_a_metric_gets_better(counts, wins):
    few, many = counts
    base = TRADED | {"wins": wins, "losses": 100 - wins}
    for name, worse, good in (
        ("blunders", many, few),
        ("maxdd_micros", -many * 100 * USD, -few * 100 * USD),
        ("high_vol", few // 4, many // 4),
        ("win_micros", few * USD, many * USD),
    ):
        one, two = (
            metrics.score(metrics.of_summary(row(**base | {name: value}), episodes([]), STEP_MS), metrics.Targets())
            for value in (worse, good)
        )
        assert 0.0 <= one <= two <= 200.0


def test_targets_that_cannot_be_divided_by_are_refused():
    with pytest.raises(ConfigError, match="above 0"):
        metrics.Targets(hit=0.0)
    with pytest.raises(ConfigError, match="below 0"):
        metrics.Targets(maxdd_micros=0)
