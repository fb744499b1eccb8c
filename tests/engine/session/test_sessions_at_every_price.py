"""A session is the same experiment whatever its coin costs, over ten decades of price."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from maestro_engine.data.bars import Bars
from maestro_engine.data.simulators.regimes import simulate_bars
from maestro_engine.metrics.calculator import MetricsCalculator
from maestro_engine.session.runs import SessionRunner
from maestro_engine.trading.venue.money import DIGITS, adverse, grid
from maestro_protocol.config import DataRef, RunConfig, Sizing, WindowRef
from maestro_protocol.messages.campaign import ORIGIN_TARGETS
from maestro_protocol.values import as_params


def bars_at(price: float, seed: int) -> Bars:
    """An hour each, around *price*, with the six digits that an exchange shows."""
    bars = simulate_bars("mixed", seed, 900, step_ms=3_600_000, price=60_000.0)
    digits = 5 - math.floor(math.log10(price))
    names = ("open", "high", "low", "close")
    return replace(bars, **{name: np.round(getattr(bars, name) * (price / 60_000), digits) for name in names})


def session_of(bars: Bars, folder: Path) -> tuple[str, Sequence[dict]]:
    """Trades of one run of engine ``session`` on *bars*, and its trail."""
    n = len(bars)
    window = WindowRef(index=0, start=0, first=400, train_end=n - 60, val_start=n - 50, end=n, first_ms=0, end_ms=1)
    data = DataRef(
        source="simulated", symbol=bars.symbol, timeframe="1h", bars=n, digest="0" * 64, first_ms=0, last_ms=1,
        simulated=True, has_taker_volume=True,
    )  # fmt: skip
    config = RunConfig(
        run_id="seg1", campaign="c", engine="session", seed=3, data=data, window=window, methods=("ema_crossover",),
        params=as_params({"ema_fast": 3, "ema_slow": 8, "hard_tp_usd": 50.0, "timeout_bars": 12}),
        sizing=Sizing(notional_usd=Decimal(1_000)),
    )  # fmt: skip
    [outcome] = SessionRunner(folder, bars, data, [window], MetricsCalculator(ORIGIN_TARGETS, bars.step_ms)).run(
        [config]
    )
    trail = (folder / "seg1" / "events.jsonl").read_bytes().splitlines()
    return outcome.trades_jsonl.decode(), [msgspec.json.decode(line) for line in trail]


@settings(max_examples=16)
@given(st.floats(-5.0, 5.0).map(lambda power: 10.0**power), st.integers(0, 50))
@example(0.9, 5)
@example(0.15, 5)
@example(0.02, 5)
@example(0.004, 5)
@example(0.00001, 5)
def test_kernel_and_session_agree_and_no_order_is_refused_for_the_coins_price(price, seed):
    bars = bars_at(price, seed)
    with TemporaryDirectory() as folder:
        trades, trail = session_of(bars, Path(folder))
    entered = {line["client_order_id"] for line in trail if line["event"] == "ExecutionFill"}
    entered = {name for name in entered if name.endswith("e")}
    assert trades.count("\n") == len(entered), "a trade is an entry that was filled, and nothing else"
    refused = {line["detail"] for line in trail if line["event"] == "OrderRejected" and line["reason"] == "venue"}
    assert not refused


@given(st.integers(-8, 8), st.decimals("1", "9.99999999", places=8), st.booleans())
def test_a_price_is_rounded_by_no_more_than_its_own_size_allows(power, digits, buying):
    price = digits.scaleb(power)
    moved = adverse(price, buying) - price
    assert abs(moved) <= max(Decimal(1).scaleb(power - DIGITS), Decimal("1e-8") if power >= 3 else Decimal(0))
    assert moved == 0 or (moved > 0) is buying
    assert grid(price) <= Decimal("1e-8")


def test_a_bitcoins_grid_is_what_balances_are_kept_in():
    assert grid(Decimal(60_000)) == Decimal("1e-8")
    assert adverse(Decimal("60000.123456789"), True) == pytest.approx(Decimal("60000.12345679"), abs=Decimal("1e-12"))
