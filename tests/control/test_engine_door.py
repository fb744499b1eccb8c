"""The engine behind its ports: the runner has nothing that is sealed, pools add up, the judge rules by its own."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest
from control_support import run_config

from maestro.control import patcher
from maestro_engine.api import Market, open_market
from maestro_engine.data.simulators.regimes import simulate_bars
from maestro_engine.inference.port import EngineStatistics
from maestro_engine.metrics.calculator import MetricsCalculator
from maestro_protocol.config import RunConfig
from maestro_protocol.errors import DataError, UnknownKey, UsageError
from maestro_protocol.messages.campaign import ORIGIN_TARGETS, WindowPlan
from maestro_protocol.ports import Evidence


def on_every_window(market: Market) -> list[RunConfig]:
    return [
        patcher.for_test(run_config(), f"seg1_test{n:03d}", window)
        for n, window in enumerate(market.runner.windows, start=1)
    ]


def test_no_window_reaches_into_the_sealed_part(small_market: Market) -> None:
    first, bars = small_market.judge.sealed
    assert first + bars == 30 * 96
    assert max(window.end for window in small_market.runner.windows) <= first
    beyond = small_market.runner.windows[-1].model_copy(update={"end": first + 1})
    with pytest.raises(UsageError, match="2305"):
        small_market.runner.run([patcher.for_test(run_config(), "seg1_test001", beyond)])


def test_outcomes_do_not_depend_on_threads_batches_or_order(small_market: Market) -> None:
    bars = simulate_bars("mean_reverting", 3, 30 * 96, step_ms=900_000)
    two = open_market(bars, WindowPlan(), ORIGIN_TARGETS, jobs=2, seed=3)
    configs = on_every_window(small_market)
    whole = small_market.runner.run(configs)
    assert two.runner.run(configs) == whole
    assert [small_market.runner.run([config])[0] for config in configs] == whole
    assert small_market.runner.run(configs[::-1])[::-1] == whole
    assert small_market.runner.compare(configs) == [outcome.report for outcome in whole]


def test_pools_add_what_adds_and_recompute_what_does_not(small_market: Market) -> None:
    parts = [outcome.report.whole for outcome in small_market.runner.run(on_every_window(small_market))]
    pooled = small_market.runner.pool(parts)
    for name in ("n_trades", "wins", "losses", "blunders", "total_pnl", "gross_win", "gross_loss"):
        assert getattr(pooled, name) == sum(getattr(part, name) for part in parts)
    assert pooled.hit == pooled.wins / pooled.n_trades
    assert pooled.expectancy == pytest.approx(float(pooled.total_pnl) / pooled.n_trades)
    assert small_market.runner.pool(parts[:1]).model_copy(update={"score": None}) == parts[0].model_copy(
        update={"score": None}
    )
    assert min(part.maxdd for part in parts) <= pooled.maxdd <= max(part.maxdd for part in parts)


def test_nothing_is_null_and_not_0_or_infinity(small_market: Market) -> None:
    nothing = small_market.runner.pool([])
    assert (nothing.n_trades, nothing.total_pnl) == (0, Decimal(0))
    for name in ("hit", "payoff", "sharpe", "profit_factor", "expectancy", "exposure", "score", "blunders_per_100"):
        assert getattr(nothing, name) is None


def test_a_score_is_100_when_every_target_is_exactly_met() -> None:
    figures = MetricsCalculator(ORIGIN_TARGETS, 300_000)
    exact = {"hit": 0.52, "payoff": 1.25, "maxdd": -2000.0, "blunders_per_100": 2.0, "high_vol_share": 0.30}
    score = figures._score  # the formula itself; its doors need whole backtests
    assert score(dict(exact)) == pytest.approx(100.0)
    for name, better in (("hit", 0.6), ("payoff", 2.0), ("maxdd", -100.0), ("blunders_per_100", 0.0)):
        assert score(exact | {name: better}) > 100  # type: ignore[operator]
    for name, worse in (("hit", 0.4), ("payoff", 0.5), ("maxdd", -4000.0), ("blunders_per_100", 9.0)):
        assert score(exact | {name: worse}) < 100  # type: ignore[operator]
    assert score(dict.fromkeys(exact)) is None


def test_configs_that_cannot_run_are_refused_in_words(small_market: Market) -> None:
    with pytest.raises(UnknownKey):
        small_market.runner.space(("martingale",))
    crossed = run_config(macd_fast=20, macd_slow=21)
    values = crossed.values() | {"macd_fast": 30}
    broken = crossed.model_copy(
        update={"params": tuple(p.model_copy(update={"value": values[p.name]}) for p in crossed.params)}
    )
    with pytest.raises(UsageError, match="macd_fast"):
        small_market.runner.check(broken)
    with pytest.raises(DataError, match="seg1"):
        small_market.runner.run([run_config()])
    small_market.runner.check(run_config())


def test_at_most_five_finalists_that_differ_meet_the_sealed_data(small_market: Market) -> None:
    trials = [run_config(f"v{n}", hard_tp_usd=300 + 100 * n) for n in range(9)]
    assert len(small_market.judge.assess(trials, trials, 9).finalists) == 5


def test_the_judge_takes_no_evidence_but_its_own_and_rules_the_same_twice(small_market: Market) -> None:
    trials = [run_config("root"), run_config("a", hard_tp_usd=900), run_config("b", atr_stop_mult=3.0)]
    with pytest.raises(UsageError, match="another judge"):
        small_market.judge.open_and_rule(Evidence(1, trials, None), 1)
    rulings = [
        small_market.judge.open_and_rule(small_market.judge.assess(trials, trials[:2], 5), 1) for _ in range(2)
    ]
    assert rulings[0] == rulings[1]
    verdict, exhibits = rulings[0]
    assert verdict.trials == 5
    assert [finalist.run_id for finalist in verdict.finalists] == ["root", "a"]
    assert all(finalist.holdout is not None for finalist in verdict.finalists)
    assert len(exhibits.curves) == len(exhibits.nulls) == 2
    assert all(len(null.values) == 200 for null in exhibits.nulls)
    assert all(0 < curve.sealed_from < len(curve.pnl) for curve in exhibits.curves)


def test_nothing_to_judge_is_ruled_too(small_market: Market) -> None:
    verdict, exhibits = small_market.judge.open_and_rule(small_market.judge.assess([], [], 0), 1)
    assert verdict.word != "SURVIVES"
    assert verdict.finalists == ()
    assert exhibits.curves == ()


def test_a_sign_flip_believes_what_is_one_sided_and_nothing_else() -> None:
    statistics = EngineStatistics()
    dice = np.random.default_rng(1)
    better = statistics.sign_flip((dice.normal(3, 1, 12)).tolist(), list(range(12)), 1)
    assert better is not None
    assert better < 0.01
    worse = statistics.sign_flip((dice.normal(-3, 1, 12)).tolist(), list(range(12)), 1)
    assert worse is not None
    assert worse > 0.9
    one_group = statistics.sign_flip([1.0] * 12, [0] * 12, 1)
    assert one_group is None or one_group >= 0.5, "differences of the same days are one difference"
