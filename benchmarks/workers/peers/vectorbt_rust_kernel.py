"""vectorbt_rust_kernel owns the bare simulation kernel of vectorbt-rust, on signals and stops that are ready made.

It cannot be told when a trade is too old, so exits are given to it, from the exact run; nor can it enter on the bar
that stopped it out, so it makes some trades less. Indicators, timeouts and trade records are not its work.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from rules import CASH, FEE, Rules
from vectorbt.portfolio.enums import AccumulationMode, OppositeEntryMode, StopEntryPrice, TradeDirection
from vectorbt_exact import Market, Vectorbt, average_true_range, portfolio
from vectorbt_rust.portfolio import simulate_from_signals_rs
from wire import Traded, serve_engine


def signals(market: Market, grid: Sequence[Rules]) -> tuple[Any, Any, Any]:
    """Bars at whose close an exact trade is decided: long entries, short entries, exits; ``(n, runs)`` each.

    On these bars an open is the close before it, so that the kernel can fill there. A trade that its stop or target
    ends has its exit one bar later, when nothing is left to close: some kernels take no entry before an exit.
    """
    trades = portfolio(market, grid).trades.values
    longs, shorts, exits = (np.zeros((len(market.close), len(grid)), bool) for _ in range(3))
    for side, direction in ((longs, TradeDirection.Long), (shorts, TradeDirection.Short)):
        mine = trades[trades["direction"] == direction]
        side[mine["entry_idx"] - 1, mine["col"]] = True
    timeouts = np.array([asked.timeout for asked in grid])[trades["col"]]
    aged = trades["exit_idx"] - trades["entry_idx"] == timeouts
    exits[trades["exit_idx"] - aged, trades["col"]] = True
    return longs, shorts, exits


def simulation(market: Market, grid: Sequence[Rules]) -> partial[Any]:
    """The kernel's call, everything it is given made ready."""
    longs, shorts, exits = signals(market, grid)
    opened, high, low, close = (np.ascontiguousarray(column[:, None]) for column in market.prices)
    n, runs = longs.shape
    number, whole, flag = (partial(np.asarray, dtype=kind) for kind in (np.float64, np.int64, np.bool_))
    atr = average_true_range(market.prices)[:, None]
    stops = np.ascontiguousarray(atr / close * np.array([asked.stop_atr for asked in grid]))
    targets = np.ascontiguousarray(np.array([asked.target_usd for asked in grid]) / close)
    nothing = flag(False)
    return partial(
        simulate_from_signals_rs,
        (n, runs),
        np.ones(runs, np.int64),
        np.full(runs, CASH),
        np.zeros((n, runs), np.int64),
        nothing,
        nothing,
        whole(0),
        longs,
        exits,
        shorts,
        exits,
        number(1.0),
        close,
        whole(0),
        number(FEE),
        number(0.0),
        number(0.0),
        number(0.0),
        number(np.inf),
        number(np.nan),
        number(0.0),
        nothing,
        flag(True),
        nothing,
        nothing,
        whole(AccumulationMode.Disabled),
        whole(0),
        whole(0),
        whole(0),
        whole(OppositeEntryMode.Ignore),
        number(np.inf),
        opened,
        high,
        low,
        close,
        stops,
        nothing,
        targets,
        whole(StopEntryPrice.Close),
        whole(0),
        whole(0),
        whole(1),
        max_orders=n * runs // 4,
        flex_2d=True,
    )


class VectorbtRust:
    def __init__(self) -> None:
        self.ready: dict[tuple[int, int], partial[Any]] = {}

    def load(self, columns: dict[str, Any]) -> Market:
        return Vectorbt().load(columns)

    def one(self, market: Market, asked: Rules) -> Any:
        return self.many(market, [asked])

    def many(self, market: Market, grid: Sequence[Rules]) -> Any:
        key = (id(market), len(grid))
        if key not in self.ready:
            self.ready[key] = simulation(market, grid)
        return self.ready[key]()

    def told(self, trades: Any) -> Traded:
        """PnL is not the kernel's to say; what it writes is orders, two a trade."""
        orders, _ = trades
        return Traded(-(-len(orders) // 2), float("nan"))


if __name__ == "__main__":
    serve_engine(VectorbtRust())
