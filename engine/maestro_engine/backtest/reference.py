"""reference owns the shortest way from price arrays to trades: the product's kernels on one MACD test."""

from __future__ import annotations

import numpy as np

from maestro_engine.backtest.equity import EQUITY
from maestro_engine.backtest.kernel import run_test
from maestro_engine.backtest.records import EPISODE, SUMMARY, TRADE, Records
from maestro_engine.backtest.signals import RULES, Signals
from maestro_engine.backtest.trade import CostModel, FundingSchedule, ResultRows, WindowSpan
from maestro_engine.data.bars import Floats
from maestro_engine.exits.rules import STOP_MULT, TIMEOUT_BARS, TP_USD
from maestro_engine.indicators.columns import Columns
from maestro_engine.indicators.compiled import compiled
from maestro_engine.indicators.volatility import wilder_atr
from maestro_engine.methods.macd_trend import scan

_ATR_BARS = 14


@compiled
def _trades(
    opened: Floats,
    high: Floats,
    low: Floats,
    close: Floats,
    fast: int,
    slow: int,
    signal: int,
    stop_mult: float,
    tp_usd: float,
    timeout: int,
    qty: float,
    fee: float,
    first: int,
) -> Records:
    n, none = len(close), np.empty(0)
    columns = Columns(opened, high, low, close, none, none, np.empty(0, np.int64))
    bar, side = np.empty(n, np.int64), np.empty(n, np.int64)
    values, rules = np.empty(3), np.zeros(len(RULES))
    values[0], values[1], values[2] = fast, slow, signal
    rules[STOP_MULT], rules[TP_USD], rules[TIMEOUT_BARS] = stop_mult, tp_usd, timeout
    k = scan(columns, values, bar, side)
    atr, at = wilder_atr(high, low, close, _ATR_BARS), np.empty(k)
    for j in range(k):
        at[j] = atr[bar[j]]
    signals = Signals(bar[:k], side[:k], at, np.full((k, 4), np.nan), np.ones(k, np.int64))
    costs, span = CostModel(fee, fee, 0.0, qty, 0.0), WindowSpan(0, first, n, n, n, n)
    trades, episodes, phases = np.empty(k, TRADE), np.zeros(1, EPISODE), np.zeros(3, SUMMARY)
    rows = ResultRows(np.zeros(1, EQUITY)[0], episodes, phases, np.zeros(1, SUMMARY)[0])
    funding = FundingSchedule(np.empty(0, np.int64), none)
    count = run_test(columns, funding, span, costs, signals, 0, k, rules, trades, 0, rows)
    return trades[:count]


def reference_trades(
    opened: Floats,
    high: Floats,
    low: Floats,
    close: Floats,
    *,
    fast: int = 12,
    slow: int = 26,
    signal: int = 9,
    atr_stop_mult: float = 1.5,
    hard_tp_usd: float = 300.0,
    timeout_bars: int = 60,
    qty: float = 1.0,
    fee_bps: float = 4.0,
    first: int = 200,
) -> Records:
    """Trades of ``macd_trend`` with ATR(14) on four ``(n,)`` columns, the whole of them one window and one episode.

    The kernels and rules are :func:`~maestro_engine.backtest.batch.simulate_batch`'s, without slippage, gates and
    bounds on parameters. Defaults are those of the comparison with other engines.
    """
    exits = float(atr_stop_mult), float(hard_tp_usd), timeout_bars
    return _trades(opened, high, low, close, fast, slow, signal, *exits, float(qty), fee_bps * 1e-4, first)
