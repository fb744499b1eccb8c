"""Metrics, score and pooling, from rows written by hand."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maestro_engine.backtest import EPISODE, SUMMARY
from maestro_engine.metrics.calculator import MetricsCalculator
from maestro_protocol.messages.campaign import ORIGIN_TARGETS
from maestro_protocol.messages.plan import Target
from maestro_protocol.messages.report import Metrics

USD = 1_000_000
FIGURES = MetricsCalculator(ORIGIN_TARGETS, step_ms=300_000)
PER_YEAR = 876.0


def row(dtype=SUMMARY, **fields):
    record = np.zeros(1, dtype)
    for name, value in fields.items():
        record[name] = value
    return record


def metrics(pnl=(), **fields) -> Metrics:
    return FIGURES.summary_metrics(row(**fields)[0], np.array(pnl, float), PER_YEAR)


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
    got = metrics(**TRADED)
    assert (got.hit, got.payoff, got.blunders_per_100) == (0.52, 1.25, 2.0)
    assert got.profit_factor == pytest.approx(6_500 / 4_800)
    assert got.expectancy == 17
    assert (got.exposure, got.high_vol_share) == (0.25, 0.3)
    assert (got.total_pnl, got.maxdd, got.n_trades) == (Decimal(1_700), Decimal(-2_000), 100)


def test_exactly_on_target_scores_100():
    assert metrics(**TRADED).score == pytest.approx(100.0)
    episode = {k: v for k, v in TRADED.items() if k not in ("high_vol", "known_vol")}
    assert FIGURES.episode_ratios(row(EPISODE, **episode)).score == [pytest.approx(100.0)]


@pytest.mark.parametrize(
    ("target", "blunders", "maxdd", "part"),
    [
        (Target(metric="blunders_per_100", op="<=", value=0), 0, -2_000, 1.0),
        (Target(metric="blunders_per_100", op="<=", value=0), 1, -2_000, 0.0),
        (Target(metric="maxdd", op=">=", value=0), 2, 0, 1.0),
        (Target(metric="maxdd", op=">=", value=0), 2, -1, 0.0),
    ],
)
def test_a_target_of_0_is_met_or_not_and_never_left_out(target, blunders, maxdd, part):
    """Left out, a campaign that must not blunder scored 100 however much it blundered."""
    figures = MetricsCalculator((ORIGIN_TARGETS[0], target), step_ms=300_000)
    fields = TRADED | {"blunders": blunders, "maxdd_micros": maxdd * USD}
    assert figures.summary_metrics(row(**fields)[0], np.zeros(0), PER_YEAR).score == pytest.approx(
        100 * (1 + part) / 2
    )
    episode = {k: v for k, v in fields.items() if k not in ("high_vol", "known_vol")}
    assert figures.episode_ratios(row(EPISODE, **episode)).score == [pytest.approx(100 * (1 + part) / 2)]
    without = row(EPISODE, bars=120)
    assert figures.episode_ratios(without).score == [None]


def test_undefined_is_null_and_left_out_of_the_score():
    idle = metrics([0, 0, 0], bars=120)
    undefined = (
        "hit",
        "payoff",
        "blunders_per_100",
        "high_vol_share",
        "sharpe",
        "profit_factor",
        "expectancy",
        "score",
    )
    assert [getattr(idle, name) for name in undefined] == [None] * len(undefined)
    winner = FIGURES.episode_ratios(row(EPISODE, n_trades=1, wins=1, win_micros=USD, pnl_micros=USD, bars=120))
    assert (winner.hit, winner.payoff) == ([1.0], [None])
    assert winner.score == [pytest.approx(100 * (1 / 0.52 + 2 + 2) / 3)]
    assert FIGURES.episode_ratios(row(EPISODE, bars=120)).score == [None]


def test_sharpe_is_annualised_over_episodes():
    profits = [5, -1, 3, 2]
    expected = np.mean(profits) / np.std(profits, ddof=1) * PER_YEAR**0.5
    assert metrics(profits, bars=1).sharpe == pytest.approx(expected)
    for still in ([], [7], [7, 7, 7], [0.1, 0.1, 0.1]):
        assert metrics(still, bars=1).sharpe is None


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
        one, two = (metrics(**base | {name: value}).score for value in (worse, good))
        assert one is not None
        assert two is not None
        assert 0.0 <= one <= two <= 200.0


@given(
    st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50), st.integers(-(10**9), 10**9)), min_size=1, max_size=8)
)
def test_pooling_sums_money_exactly_and_recomputes_ratios(parts):
    each = [
        metrics(n_trades=w + lo, wins=w, losses=lo, win_micros=w * 7, loss_micros=-lo * 3, pnl_micros=pnl, bars=10)
        for w, lo, pnl in parts
    ]
    pooled = FIGURES.pool(each)
    assert pooled.total_pnl == sum(part.total_pnl for part in each)
    assert pooled.n_trades == sum(part.n_trades for part in each)
    assert pooled.hit == (None if pooled.n_trades == 0 else pooled.wins / pooled.n_trades)


def test_pooling_nothing_is_defined():
    empty = FIGURES.pool([])
    assert (empty.n_trades, empty.total_pnl, empty.sharpe, empty.score) == (0, Decimal(0), None, None)
