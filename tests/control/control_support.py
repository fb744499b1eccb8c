"""control_support owns the small made-up things that control is tested with: configs, episodes, reports."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from maestro.control.rules import read_yaml
from maestro_engine import methods as registry
from maestro_protocol.base import money
from maestro_protocol.config import DataRef, RunConfig, WindowRef
from maestro_protocol.messages.campaign import DEFAULT_METHODS
from maestro_protocol.messages.report import Metrics, TestReport
from maestro_protocol.messages.rules import GatePolicy, Policies, Rules
from maestro_protocol.ports import EpisodeScore
from maestro_protocol.values import as_params

SPECS = Path(__file__).parents[2] / "specs"
HOUR = 3_600_000
SPACE = registry.space_for(("macd_trend",))
ALL = registry.space_for(DEFAULT_METHODS)


def owners_rules() -> tuple[Rules, Policies, GatePolicy]:
    """The rules as they are shipped."""
    return (
        read_yaml(SPECS / "rules/adjustments.yaml", Rules),
        read_yaml(SPECS / "rules/policies.yaml", Policies),
        read_yaml(SPECS / "gates/policy.yaml", GatePolicy),
    )


def run_config(run_id: str = "seg1", methods: tuple[str, ...] = ("macd_trend",), **values: Any) -> RunConfig:
    data = DataRef(
        source="made up",
        symbol="BTCUSDT",
        timeframe="15m",
        bars=2_880,
        digest="a" * 64,
        first_ms=0,
        last_ms=2_880 * 900_000,
        simulated=True,
        has_taker_volume=True,
    )
    params = as_params(registry.space_for(methods).resolve(values))
    return RunConfig(run_id=run_id, campaign="c1", seed=7, data=data, methods=methods, params=params)


def windows(count: int) -> list[WindowRef]:
    return [
        WindowRef(
            index=n, start=0, first=n, train_end=n + 1, val_start=n + 1, end=n + 2, first_ms=n * 48 * HOUR, end_ms=1
        )
        for n in range(count)
    ]


def episode(number: int, start: int = 0, **more: Any) -> EpisodeScore:
    """An episode of ten winning and ten losing trades of equal size: on target for nothing in particular."""
    fields: dict[str, Any] = {
        "episode": number,
        "start_ms": start,
        "end_ms": start + HOUR,
        "phase": "train",
        "n_trades": 20,
        "wins": 10,
        "losses": 10,
        "gross_win": 1_000_000_000,
        "gross_loss": -1_000_000_000,
        "total_pnl": 0,
        "maxdd": -100.0,
        "blunders": 0,
        "high_vol": True,
    }
    return EpisodeScore(**(fields | more))


def metrics(**more: Any) -> Metrics:
    zero = money(0)
    fields: dict[str, Any] = dict.fromkeys(Metrics.model_fields) | {
        "n_trades": 10,
        "wins": 5,
        "losses": 5,
        "blunders": 0,
        "total_pnl": zero,
        "gross_win": zero,
        "gross_loss": zero,
        "maxdd": zero,
    }
    return Metrics(**(fields | more))


def report(test: str, train: Metrics | None = None, validation: Metrics | None = None) -> TestReport:
    whole = metrics()
    return TestReport(
        test_id=test,
        parent_run="seg1",
        window=0,
        methods=("macd_trend",),
        params=(),
        train=train or whole,
        validation=validation or whole,
        whole=whole,
    )
