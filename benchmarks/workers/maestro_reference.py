"""maestro_reference owns our side of the comparison: the product's own kernels, one parameter set at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from rules import ATR_BARS, FEE, WARMUP, Rules
from wire import Traded, serve_engine

from maestro import process
from maestro_engine.backtest.records import Records
from maestro_engine.backtest.reference import reference_trades

assert ATR_BARS == 14, "the reference door's ATR has 14 bars"
Floats = npt.NDArray[np.float64]


class Market(NamedTuple):
    open: Floats
    high: Floats
    low: Floats
    close: Floats


class Maestro:
    def load(self, columns: dict[str, Any]) -> Market:
        market = Market(*(columns[name] for name in Market._fields))
        self.one(Market(*(column[:500] for column in market)), Rules())  # compiled before anything is timed
        return market

    def one(self, market: Market, asked: Rules) -> list[Records]:
        return [self.trades(market, asked)]

    def trades(self, market: Market, asked: Rules) -> Records:
        return reference_trades(
            *market,
            fast=asked.fast,
            slow=asked.slow,
            signal=asked.signal,
            atr_stop_mult=asked.stop_atr,
            hard_tp_usd=asked.target_usd,
            timeout_bars=asked.timeout,
            fee_bps=FEE * 1e4,
            first=WARMUP,
        )

    def many(self, market: Market, grid: Sequence[Rules]) -> list[Records]:
        return [self.trades(market, asked) for asked in grid]

    def told(self, trades: list[Records]) -> Traded:
        return Traded(sum(len(run) for run in trades), sum(float(run["pnl"].sum()) for run in trades))


if __name__ == "__main__":
    process.spare()  # as the product's own process does
    serve_engine(Maestro())
