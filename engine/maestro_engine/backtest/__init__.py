"""Micro-backtests: what a set of methods would have earned on stretches of bars, by the thousand and to the cent."""

from maestro_engine.backtest.batch import period_pnl, simulate_batch
from maestro_engine.backtest.live import signals_on
from maestro_engine.backtest.records import EPISODE, SUMMARY, TRADE, BatchResult, Phase, Records, Regime
from maestro_engine.backtest.signals import Signals
from maestro_engine.backtest.spec import BarWindow, FillCosts, FixedEntries, TestSpec, TradeSize
from maestro_engine.exits.rules import ExitReason

__all__ = [
    "EPISODE",
    "SUMMARY",
    "TRADE",
    "BarWindow",
    "BatchResult",
    "ExitReason",
    "FillCosts",
    "FixedEntries",
    "Phase",
    "Records",
    "Regime",
    "Signals",
    "TestSpec",
    "TradeSize",
    "period_pnl",
    "signals_on",
    "simulate_batch",
]
