"""An amount of money means the same at every size: a run of another size trades it by its share, and says so."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maestro.control.record.lineage import _converted
from maestro.settings import Settings
from maestro.wiring.campaigns import resolve
from maestro.wiring.request import request_of
from maestro.wiring.sessions import config_of
from maestro_engine import methods
from maestro_engine.data.simulators.regimes import simulate_bars
from maestro_engine.metrics.calculator import MetricsCalculator
from maestro_engine.runner import BacktestRunner
from maestro_engine.session.config import SessionConfig
from maestro_engine.session.trading.strategy import Strategy, reached
from maestro_protocol.config import DataRef, RunConfig, Sizing, WindowRef
from maestro_protocol.messages.campaign import ORIGIN_TARGETS
from maestro_protocol.values import as_params

BARS = simulate_bars("mixed", 4, 2_000, step_ms=300_000)
SPECS = Path(__file__).parents[2] / "specs"
NAMES = ("ema_crossover",)


def run_of(sizing: Sizing) -> tuple[BacktestRunner, RunConfig]:
    n = len(BARS)
    window = WindowRef(index=0, start=0, first=300, train_end=n - 60, val_start=n - 50, end=n, first_ms=0, end_ms=1)
    data = DataRef(
        source="simulated", symbol=BARS.symbol, timeframe="5m", bars=n, digest="0" * 64, first_ms=0, last_ms=1,
        simulated=True, has_taker_volume=True,
    )  # fmt: skip
    config = RunConfig(
        run_id="seg1", campaign="c", seed=3, data=data, window=window, methods=NAMES,
        params=as_params({"hard_tp_usd": 300.0}), sizing=sizing,
    )  # fmt: skip
    return BacktestRunner(BARS, data, [window], MetricsCalculator(ORIGIN_TARGETS, BARS.step_ms)), config


@settings(max_examples=12)
@given(st.integers(1, 200_000))
def test_a_run_of_another_size_makes_the_same_trades_at_its_share_of_the_money(notional):
    runner, whole = run_of(Sizing())
    sizing = Sizing(notional_usd=Decimal(notional), declared_for=Decimal(100_000), scaled=methods.scaled(NAMES))
    part = whole.model_copy(update={"sizing": sizing})
    one, other = (runner.simulate([config], keep_trades=True).trades(0) for config in (whole, part))
    assert one["entry_bar"].tolist() == other["entry_bar"].tolist()
    assert one["reason"].tolist() == other["reason"].tolist()
    assert np.allclose(one["exit"], other["exit"], rtol=1e-12)
    assert np.allclose(one["pnl"] * notional / 100_000, other["pnl"], rtol=1e-9, atol=1e-9)


def test_what_scales_is_declared_and_every_amount_of_money_does():
    specs = methods.space_for([method.name for method in methods.all_methods()]).specs
    assert [spec.name for spec in specs if spec.scales_with == "notional"] == ["hard_tp_usd"]
    assert all((spec.unit == "usd") == (spec.scales_with == "notional") for spec in specs)


def test_a_campaign_of_another_size_states_its_targets_and_rules_for_it():
    given = Settings.model_validate({"specs": SPECS, "runs": Path("runs")})
    request = request_of(None, {"sizing": {"notional_usd": "5000"}}, given)
    config = resolve(request, BARS, given)
    assert config.sizing.declared_for == 100_000
    assert {t.metric: t.value for t in config.targets}["maxdd"] == pytest.approx(-100)
    rules = {rule.name: rule for rule in config.rules.rules}
    assert rules["maxdd_high"].when.line == pytest.approx(-100)
    assert rules["payoff_low"].change[0].step == 200, "a step is stated as its parameter is"
    _, run = run_of(config.sizing)
    assert "at 5,000 USD it trades as 15" in _converted(run, "hard_tp_usd", 300.0)
    assert _converted(run, "atr_stop_mult", 1.5) == ""
    default = resolve(request_of(None, {}, given), BARS, given)
    assert default.targets == ORIGIN_TARGETS
    assert "declared_for" not in default.model_dump_json()


def test_a_sessions_target_is_as_far_as_the_backtests():
    config = SessionConfig(quantity=Decimal("0.02"), declared_for=Decimal(100_000))
    target = Strategy(config).target(BARS)
    assert target.distance == pytest.approx(0.003)
    assert 0 < target.reached <= 1
    asis = Strategy(config.model_copy(update={"declared_for": None})).target(BARS)
    assert asis.distance > 0.2
    assert asis.reached == 0


@given(st.floats(0.0001, 0.05), st.integers(1, 60))
def test_how_often_a_distance_is_reached_is_counted_bar_by_bar(distance, held):
    bars = BARS.slice(0, 150)
    slow = [
        max(bars.high[i + 1 : i + 1 + held]) >= bars.close[i] * (1 + distance)
        or min(bars.low[i + 1 : i + 1 + held]) <= bars.close[i] * (1 - distance)
        for i in range(len(bars) - held)
    ]
    assert reached(bars, distance, held) == pytest.approx(sum(slow) / len(slow))


def config_given(folder: Path, file: str | None, **given: object) -> SessionConfig:
    """What a command makes of the owner's *file* and of what was *given*."""
    if file is not None:
        (folder / "sessions" / "paper").mkdir(parents=True, exist_ok=True)
        (folder / "sessions" / "paper" / "session.yaml").write_text(file)
    return config_of(Settings.model_validate({"specs": folder, "runs": folder / "runs"}), "paper", given)


def distance(config: SessionConfig) -> float:
    return Strategy(config).target(BARS).distance


@given(st.decimals("0.001", "2", places=3))
def test_a_session_that_is_told_no_target_has_one_that_is_as_far_at_every_size(quantity):
    config = SessionConfig(quantity=quantity).with_target()
    assert distance(config) == pytest.approx(0.006)
    assert config.with_target() == config


def test_a_target_is_meant_for_the_size_that_whoever_gave_it_spoke_of(tmp_path):
    assert distance(config_given(tmp_path, None)) == pytest.approx(0.006)
    assert distance(config_given(tmp_path, None, params={"ema_fast": 3})) == pytest.approx(0.006)
    own = config_given(tmp_path, None, params={"hard_tp_usd": 50}, quantity="0.15")
    assert own.declared_for is None
    assert Strategy(own).target(BARS).amount == 50
    stated = "declared_for: 100000\nparams: {hard_tp_usd: 900.0}\n"
    assert distance(config_given(tmp_path, stated)) == pytest.approx(0.009)
    both = config_given(tmp_path, stated, params={"ema_fast": 3})
    assert (distance(both), both.values()["ema_fast"]) == (pytest.approx(0.009), 3)
    assert config_given(tmp_path, stated, params={"hard_tp_usd": 50}).declared_for is None
    assert config_given(tmp_path, "params: {hard_tp_usd: 900.0}\n").declared_for is None


def test_a_session_written_down_before_there_was_a_default_means_what_it_meant():
    config = SessionConfig.model_validate_json(SessionConfig().model_dump_json())
    assert (config.declared_for, config.values()["hard_tp_usd"]) == (None, 300)


def test_amounts_of_methods_that_a_run_does_not_have_are_no_part_of_its_size():
    runner, run = run_of(Sizing())
    named = ("amount_of_another_method", *methods.scaled(NAMES))
    sizes = [Sizing(notional_usd=Decimal(5_000), declared_for=Decimal(100_000), scaled=s) for s in (named, named[1:])]
    one, other = (runner.simulate([run.model_copy(update={"sizing": s})], keep_trades=True).trades(0) for s in sizes)
    assert one.tobytes() == other.tobytes()
    assert len(one)
