"""reference owns the shortest way from price arrays to trades: the product's kernels on one MACD test."""

from __future__ import annotations

import numpy as np

from maestro_engine.backtest.book import BOOK
from maestro_engine.backtest.kernel import run_test
from maestro_engine.backtest.records import EPISODE, SUMMARY, TRADE, Records
from maestro_engine.backtest.signals import Signals
from maestro_engine.backtest.trade import Funding, Ledger, Span, Terms
from maestro_engine.indicators.columns import Columns
from maestro_engine.indicators.compiled import compiled
from maestro_engine.indicators.volatility import wilder_atr
from maestro_engine.market.bars import Floats
from maestro_engine.methods.macd_trend import scan

_ATR_BARS = 14


@compiled
def _trades(opened: Floats, high: Floats, low: Floats, close: Floats, values: Floats) -> Records:
    """*values*: the method's three, a row of rules, fee as a fraction, quantity, first bar."""
    n = len(close)
    none = np.empty(0)
    columns = Columns(opened, high, low, close, none, none)
    bar, side = np.empty(n, np.int64), np.empty(n, np.int64)
    k = scan(columns, values[:3], bar, side)
    atr = wilder_atr(high, low, close, _ATR_BARS)[bar[:k]]
    signals = Signals(bar[:k], side[:k], atr, np.full((k, 4), np.nan), np.ones(k, np.int64))
    terms = Terms(values[13], values[13], 0.0, values[14], 0.0)
    span = Span(0, int(values[15]), n, n, n, n)
    trades, episodes, phases = np.empty(k, TRADE), np.zeros(1, EPISODE), np.zeros(3, SUMMARY)
    ledger = Ledger(np.zeros(1, BOOK)[0], episodes, phases, np.zeros(1, SUMMARY)[0])
    funding = Funding(np.empty(0, np.int64), none)
    count = run_test(columns, funding, span, terms, signals, 0, k, values[3:13], trades, 0, ledger)
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
    rules = (atr_stop_mult, hard_tp_usd, timeout_bars, 0, 0, 0, 0, 0, 0, 0)
    values = np.array((fast, slow, signal, *rules, fee_bps * 1e-4, qty, first), np.float64)
    return _trades(opened, high, low, close, values)
