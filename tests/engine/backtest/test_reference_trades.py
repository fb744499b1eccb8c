"""The benchmark's short way gives the product's trades, and the trades that two other engines agree on."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from maestro_engine.backtest import FillCosts, TestSpec, TradeSize, simulate_batch
from maestro_engine.backtest.reference import reference_trades


def test_equals_the_door(generated, whole):
    bars = generated(5_001, 3)
    spec = TestSpec("r", whole(len(bars), 200), ("macd_trend",), {"timeout_bars": 60})
    trades = simulate_batch(bars, [spec], FillCosts(4.0, 4.0, 0.0), TradeSize.fixed(1.0)).trades(0)
    short = reference_trades(bars.open, bars.high, bars.low, bars.close)
    for field in ("entry_bar", "exit_bar", "side", "reason", "entry", "exit", "pnl", "pnl_micros", "mae", "mfe"):
        np.testing.assert_array_equal(short[field], trades[field])


def test_makes_the_trades_of_the_public_comparison(market_data):
    script = market_data.parent / "bench" / "mkdata.py"
    if not script.is_file():
        pytest.skip("the comparison's data generator is not beside the market data")
    loaded = importlib.util.spec_from_file_location("mkdata", script)
    module = importlib.util.module_from_spec(loaded)
    loaded.loader.exec_module(module)
    data = module.make(4_320, 7)
    trades = reference_trades(data["o"], data["h"], data["l"], data["c"])
    assert len(trades) == 215
    assert round(float(trades["pnl"].sum()), 2) == -4322.02
