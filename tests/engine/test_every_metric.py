"""What every metric of the registry must do, whoever brings it, and what a calculator makes of its answers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from maestro_engine.backtest import TRADE, Records
from maestro_engine.metrics import further
from maestro_engine.metrics.metric import Equity, Metric, is_metric, values_of
from maestro_protocol.errors import ConfigError, UnknownKey
from maestro_protocol.messages.campaign import FurtherMetric
from maestro_protocol.messages.report import Metrics

LONGEST_LOSS = Path(__file__).parents[1] / "extensions" / "longest_loss"
NAMES = ("calmar", "longest_loss")


@pytest.fixture(autouse=True)
def longest_loss(installed: Callable[[Path], Path]) -> Iterator[None]:
    installed(LONGEST_LOSS)
    further.REGISTRY.reload()
    yield
    further.REGISTRY.reload()


@pytest.fixture(params=NAMES)
def metric(request: pytest.FixtureRequest) -> Metric:
    return further.REGISTRY.get(request.param)


def phase(seed: int, trades: int = 40, episodes: int = 12) -> tuple[Records, Equity]:
    rng = np.random.default_rng(seed)
    rows = np.zeros(trades, TRADE)
    rows["pnl"] = rng.standard_normal(trades) * 50
    changes = rng.standard_normal(episodes) * 100
    curve = np.r_[0.0, np.cumsum(changes)]
    rows.flags.writeable = changes.flags.writeable = False
    return rows, Equity(changes, float((curve - np.maximum.accumulate(curve)).min()), 6.0)


def test_the_registry_has_those_that_ship_and_those_that_are_installed() -> None:
    assert set(NAMES) <= set(further.REGISTRY.names())
    assert further.REGISTRY.problems() == ()
    with pytest.raises(UnknownKey, match="did you mean 'calmar'"):
        further.chosen(["calmer"])


def test_it_says_what_it_is_in_the_words_of_a_config(metric: Metric) -> None:
    assert is_metric(metric)
    facts = FurtherMetric(name=metric.name, label=metric.label, unit=metric.unit, better=metric.better)
    assert facts in further.described(NAMES)
    assert metric.name not in Metrics.model_fields


def test_the_same_phase_gives_the_same_finite_number(metric: Metric) -> None:
    for seed in range(20):
        trades, equity = phase(seed)
        values = {metric.compute(*phase(seed)), metric.compute(trades, equity), metric.compute(trades, equity)}
        assert len(values) == 1
        value = values.pop()
        assert value is None or math.isfinite(value)


def test_what_did_not_trade_has_no_value(metric: Metric) -> None:
    assert metric.compute(np.zeros(0, TRADE), Equity(np.zeros(12), 0.0, 6.0)) is None
    assert metric.compute(np.zeros(0, TRADE), Equity(np.zeros(0), 0.0, 0.0)) is None


def test_calmar_is_a_year_of_dollars_over_the_deepest_fall() -> None:
    calmar = further.REGISTRY.get("calmar")
    for seed in range(5):
        trades, equity = phase(seed)
        value, curve, peak, deepest = 0.0, 0.0, 0.0, 0.0
        for change in equity.changes.tolist():
            curve += change
            peak = max(peak, curve)
            deepest = max(deepest, peak - curve)
        value = curve / 6.0 * 365.0 / deepest
        assert calmar.compute(trades, equity) == pytest.approx(value, rel=1e-9)
    trades, _ = phase(1)
    assert calmar.compute(trades, Equity(np.ones(12), 0.0, 6.0)) is None


class Wrong:
    """A metric whose answers nobody can use."""

    name, label, unit, better = "wrong", "Wrong", "ratio", "more"

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def compute(self, trades: Records, equity: Equity) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        trades["pnl"] = self.answer
        return self.answer


@pytest.mark.parametrize("answer", [math.nan, math.inf, np.float64("nan"), None])
def test_what_is_no_finite_number_is_undefined(answer: Any) -> None:
    class Answers(Wrong):
        def compute(self, trades: Records, equity: Equity) -> Any:
            return answer

    assert values_of([("wrong", Answers(answer))], *phase(1)) == {"wrong": None}


@pytest.mark.parametrize("answer", [ZeroDivisionError("x / 0"), 1.0])
def test_one_that_fails_or_writes_is_named_with_its_reason(answer: Any) -> None:
    with pytest.raises(ConfigError, match="metric wrong: cannot be computed"):
        values_of([("wrong", Wrong(answer))], *phase(1))


def test_what_says_less_of_itself_is_no_metric() -> None:
    assert not is_metric(object())
    assert not is_metric(type("Odd", (Wrong,), {"unit": "furlongs"})(1.0))
    assert not is_metric(type("Odd", (Wrong,), {"better": "sideways"})(1.0))
