"""vectorbt_exact owns the rules as an order callback of vectorbt, compiled by numba: its way to the exact trades."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import vectorbt as vbt
from numba import njit
from rules import ATR_BARS, CASH, FEE, WARMUP, Rules
from vectorbt.portfolio.enums import NoOrder, TradeStatus
from vectorbt.portfolio.nb import order_nb
from wire import Traded, serve_engine

warnings.filterwarnings("ignore")

SIDE, STOP, TARGET, WAITING, LEAVING, SEEN, ENTERED = range(7)
"""Columns of a run's state: position, its stop and target, the entry that waits for the next open, whether the next
open ends it, the bars it is done with, and the bar of its entry."""


class Market(NamedTuple):
    close: Any
    """As a series with times."""
    prices: Any
    """Open, high, low, close, shape ``(4, n)``."""


def histograms(close: Any, grid: Sequence[Rules]) -> tuple[Any, Any]:
    """Histograms of the distinct averages, shape ``(n, k)``, and which one each rules row has."""
    wanted = sorted({asked[:3] for asked in grid})
    columns = []
    for fast, slow, signal in wanted:
        line = close.ewm(span=fast, adjust=False).mean() - close.ewm(span=slow, adjust=False).mean()
        columns.append((line - line.ewm(span=signal, adjust=False).mean()).to_numpy())
    return np.stack(columns, axis=1), np.array([wanted.index(asked[:3]) for asked in grid])


def average_true_range(prices: Any) -> Any:
    _, high, low, close = prices
    before = np.concatenate((close[:1], close[:-1]))
    spread = np.maximum(high, before) - np.minimum(low, before)
    return pd.Series(spread).ewm(alpha=1 / ATR_BARS, adjust=False).mean().to_numpy()


@njit
def exit_price(state: Any, opened: float, high: float, low: float) -> float:
    """Where the bar ends the trade, NaN where it does not."""
    if state[LEAVING]:
        return opened
    if state[SIDE] > 0:
        if low <= state[STOP]:
            return min(state[STOP], opened)
        return max(state[TARGET], opened) if high >= state[TARGET] else np.nan
    if high >= state[STOP]:
        return max(state[STOP], opened)
    return min(state[TARGET], opened) if low <= state[TARGET] else np.nan


@njit
def look_for_entry(state: Any, close: float, before: float, now: float, stop: float, target: float) -> None:
    side = 1.0 if now > 0.0 >= before else (-1.0 if now < 0.0 <= before else 0.0)
    if side != 0.0:
        state[WAITING] = side
        state[STOP] = close - side * stop
        state[TARGET] = close + side * target


@njit
def orders(
    context: Any,
    prices: Any,
    histogram: Any,
    which: Any,
    atr: Any,
    stops: Any,
    targets: Any,
    timeouts: Any,
    states: Any,
) -> Any:
    """The next order of the bar, or none: vectorbt asks again until there is none."""
    i = context.i
    for run in range(context.from_col, context.to_col):
        state = states[run]
        if state[SEEN] > i:
            continue
        if state[WAITING] != 0.0:
            state[SIDE], state[WAITING], state[ENTERED] = state[WAITING], 0.0, i
            return run, order_nb(size=state[SIDE], price=prices[0, i], fees=FEE)
        if state[SIDE] != 0.0:
            price = exit_price(state, prices[0, i], prices[1, i], prices[2, i])
            if not np.isnan(price):
                side = state[SIDE]
                state[SIDE], state[LEAVING] = 0.0, 0.0
                return run, order_nb(size=-side, price=price, fees=FEE)
            state[LEAVING] = i - state[ENTERED] >= timeouts[run] - 1
        elif i >= WARMUP:
            before, now = histogram[i - 1, which[run]], histogram[i, which[run]]
            look_for_entry(state, prices[3, i], before, now, stops[run] * atr[i], targets[run])
        state[SEEN] = i + 1
    return -1, NoOrder


def portfolio(market: Market, grid: Sequence[Rules]) -> Any:
    histogram, which = histograms(market.close, grid)
    n, runs = len(market.close), len(grid)
    wide = pd.DataFrame(np.broadcast_to(market.prices[3][:, None], (n, runs)), index=market.close.index)
    return vbt.Portfolio.from_order_func(
        market.close if runs == 1 else wide,
        orders,
        market.prices,
        histogram,
        which,
        average_true_range(market.prices),
        np.array([asked.stop_atr for asked in grid]),
        np.array([asked.target_usd for asked in grid]),
        np.array([asked.timeout for asked in grid]),
        np.zeros((runs, 7)),
        flexible=True,
        init_cash=CASH,
        max_orders=None if runs == 1 else n * runs // 4,
        freq="5min",
    )


class Vectorbt:
    def load(self, columns: dict[str, Any]) -> Market:
        index = pd.to_datetime(columns["open_ms"], unit="ms")
        prices = np.stack([columns[name] for name in ("open", "high", "low", "close")])
        market = Market(pd.Series(columns["close"], index=index), prices)
        few = Market(market.close.iloc[:500], np.ascontiguousarray(prices[:, :500]))
        self.one(few, Rules())
        self.many(few, [Rules(), Rules(fast=10)])
        return market

    def one(self, market: Market, asked: Rules) -> Any:
        return self.many(market, [asked])

    def many(self, market: Market, grid: Sequence[Rules]) -> Any:
        return portfolio(market, grid).trades.values

    def told(self, trades: Any) -> Traded:
        """A trade that is still open at the end is charged its exit's fee, which vectorbt leaves out."""
        last = trades[trades["status"] == TradeStatus.Open]
        owed = FEE * (last["size"] * last["exit_price"]).sum()
        return Traded(len(trades), float(trades["pnl"].sum() - owed))


if __name__ == "__main__":
    serve_engine(Vectorbt())
