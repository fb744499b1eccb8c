"""raptorbt_kernel owns the bare kernel of raptorbt, on signals that are ready made.

It trades one side a run, so a backtest is two runs; its target is a share of the price, and exits are given to it
as well. It makes nearly the same trades. Averages and timeouts are not its work; its ATR and its metrics are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import raptorbt
from rules import ATR_BARS, CASH, FEE, Rules
from vectorbt_exact import Market, Vectorbt
from vectorbt_rust_kernel import signals
from wire import Traded, serve_engine


class Bars(NamedTuple):
    exact: Market
    columns: tuple[Any, ...]
    """Times in nanoseconds, open, high, low, close, volume."""


def config(asked: Rules, price: float) -> Any:
    made = raptorbt.BacktestConfig(initial_capital=CASH, fees=FEE, fill_timing="next_bar_open")
    made.set_atr_stop(asked.stop_atr, ATR_BARS)
    made.set_fixed_target(asked.target_usd / price)
    return made


class Raptorbt:
    def __init__(self) -> None:
        self.ready: dict[tuple[int, int], list[Any]] = {}

    def load(self, columns: dict[str, Any]) -> Bars:
        exact = Vectorbt().load(columns)
        names = ("open", "high", "low", "close", "volume")
        return Bars(exact, (columns["open_ms"] * 1_000_000, *(columns[name] for name in names)))

    def one(self, market: Bars, asked: Rules) -> Any:
        return self.many(market, [asked])

    def many(self, market: Bars, grid: Sequence[Rules]) -> Any:
        key = (id(market), len(grid))
        if key not in self.ready:
            self.ready[key] = self.items(market, grid)
        return raptorbt.batch_single_backtest(*market.columns, self.ready[key])

    def told(self, trades: Any) -> Traded:
        return Traded(sum(result.metrics.total_trades for _, result in trades), float("nan"))

    def items(self, market: Bars, grid: Sequence[Rules]) -> list[Any]:
        longs, shorts, exits = signals(market.exact, grid)
        price = float(np.median(market.columns[4]))
        return [
            raptorbt.BatchSingleItem(
                f"{run} {direction}",
                np.ascontiguousarray(entries[:, run]),
                np.ascontiguousarray(exits[:, run]),
                direction=direction,
                config=config(asked, price),
            )
            for run, asked in enumerate(grid)
            for entries, direction in ((longs, 1), (shorts, -1))
        ]


if __name__ == "__main__":
    serve_engine(Raptorbt())
