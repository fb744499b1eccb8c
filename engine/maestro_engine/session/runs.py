"""runs owns run configs of engine ``session``: bars replayed through a session's trader, risk limits and all.

A session makes the backtest's trades, but for those that its limits, margin or breakers forbid. So a run's report is
the kernel's own account of exactly the entries the session made; that both agree on the money is checked every time.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Self, cast

import msgspec
import numpy as np

from maestro_engine.backtest import BatchResult, Costs, Forced, Sizing, TestSpec, Window, simulate_batch
from maestro_engine.feeds.port import Kline
from maestro_engine.figures import Figures
from maestro_engine.market.bars import Bars
from maestro_engine.market.timeframes import name_of
from maestro_engine.runner import BacktestRunner
from maestro_engine.session.config import LEAST_BARS, SessionConfig
from maestro_engine.session.evidence.audit import Audit
from maestro_engine.session.evidence.scrub import Scrubber
from maestro_engine.session.opening import open_trader
from maestro_engine.session.places import Run
from maestro_engine.session.trading.trader import Trader
from maestro_engine.session.trading.venue import bar_of, decimal
from maestro_engine.venue.money import CENT
from maestro_engine.venue.orders import Instrument
from maestro_protocol.base import MICRO
from maestro_protocol.config import DataRef, RunConfig, Timeframe, WindowRef
from maestro_protocol.errors import DataError

TOLERANCE = MICRO // 1_000
"""Micros by which kernel (floats) and session (decimals) may differ on a run: a tenth of a cent."""


class SessionRunner(BacktestRunner):
    """The runner's port for configs of engine ``session``; every run leaves its trail under *folder*."""

    def __init__(
        self,
        folder: Path,
        bars: Bars,
        data: DataRef,
        windows: Sequence[WindowRef],
        figures: Figures,
    ) -> None:
        super().__init__(bars, data, windows, figures)
        self._folder = folder

    @classmethod
    def of(cls, backtests: BacktestRunner, folder: Path) -> Self:
        """On the very data and windows of *backtests*: what a campaign needs to run its configs as sessions."""
        return cls(folder, backtests._bars, backtests.data, backtests.windows, backtests._figures)

    def simulate(self, configs: Sequence[RunConfig], keep_trades: bool) -> BatchResult:
        """Replay each config through a session, and have the kernel account for what it did."""
        first = configs[0]
        costs = Costs(first.costs.taker_bps, first.costs.maker_bps, first.costs.slippage_bps)
        sized = [_quantity(config, self._bars) for config in configs]
        if len({*sized}) > 1:
            raise DataError("a batch of sessions has one quantity: give sizing.quantity")
        traders = [replay(config, self._bars, sized[0], self._folder / config.run_id) for config in configs]
        tests = [_spec(config, self._folder / config.run_id, self._bars) for config in configs]
        result = simulate_batch(
            self._bars, tests, costs, Sizing.fixed(float(sized[0])), episode_bars=first.episode_bars
        )
        for place, (config, trader) in enumerate(zip(configs, traders, strict=True)):
            kernel, session = int(result.totals[place]["pnl_micros"]), trader.desk.account.net_pnl
            if abs(kernel - int(session * MICRO)) > TOLERANCE:
                raise DataError(f"{config.run_id}: session and backtest disagree: {session} against {kernel} micros")
        return result


def replay(
    config: RunConfig, bars: Bars, quantity: Decimal, folder: Path, after_bar: Callable[[Trader], None] | None = None
) -> Trader:
    """Run *bars* (the window's, where *config* has one) through a trader whose fills are made against candles.

    *after_bar* is called after each bar (a person who watches). Raises :class:`DataError`.
    """
    start, end = (0, len(bars)) if config.window is None else (config.window.start, config.window.end)
    first = start if config.window is None else config.window.first
    trader, audit = _trader(config, bars, quantity, folder, end - start, int(bars.open_time[start]))
    try:
        for i in range(start, end):
            kline = kline_of(bars, i)
            if i < first:
                trader.candles.add(kline)
                continue
            _fund(trader, bars, i)
            trader.entries_allowed = i + 1 < end
            trader.on_event(kline)
            if after_bar is not None:
                after_bar(trader)
        if trader.desk.position:
            trader.close_at_bar(bar_of(kline_of(bars, end - 1), bars.step_ms))
    finally:
        audit.close()
    return trader


def kline_of(bars: Bars, i: int) -> Kline:
    """Bar *i* as the closed candle an exchange pushes at its end."""
    opened, taker = int(bars.open_time[i]), bars.taker_buy_volume
    closed = opened + bars.step_ms
    return Kline(
        symbol=bars.symbol,
        time_ms=closed,
        local_ns=closed * 1_000_000,
        interval=_interval(bars),
        open_ms=opened,
        close_ms=closed - 1,
        open=float(bars.open[i]),
        high=float(bars.high[i]),
        low=float(bars.low[i]),
        close=float(bars.close[i]),
        volume=float(bars.volume[i]),
        quote_volume=None,
        trades=None,
        taker_buy_volume=None if taker is None else float(taker[i]),
        closed=True,
    )


def _trader(
    config: RunConfig, bars: Bars, quantity: Decimal, folder: Path, keep: int, now: int
) -> tuple[Trader, Audit]:
    asked = SessionConfig(
        source="replay",
        symbol=bars.symbol,
        interval=_interval(bars),
        seed=config.seed,
        methods=config.methods,
        params=config.params,
        quantity=quantity,
        costs=config.costs,
        fills="bars",
        entry_latency_ms=0,
        response_latency_ms=0,
        history_bars=max(keep, LEAST_BARS),
        on_breaker="hold",
    )
    asked.check()
    if folder.exists():
        shutil.rmtree(folder)  # of an attempt that did not come to its end: a run is made anew, not resumed
    folder.mkdir(parents=True)
    audit = Audit(folder / "events.jsonl", Scrubber())
    grid = Instrument(bars.symbol, CENT, CENT, CENT, Decimal(1_000_000))
    opened = open_trader(Run(folder, 0, "replay"), asked, grid, audit, None, now, durable=False)
    return opened.trader, audit


def _interval(bars: Bars) -> Timeframe:
    name = name_of(bars.step_ms)
    if name is None:
        raise DataError(f"{bars.symbol}: no session trades candles of {bars.step_ms} ms")
    return cast("Timeframe", name)


def _fund(trader: Trader, bars: Bars, i: int) -> None:
    """Funding falls due at a bar's open, before anything else happens in it."""
    rate = 0.0 if bars.funding_rate is None else float(bars.funding_rate[i])
    if rate:
        opened = int(bars.open_time[i])
        trader.desk.fund(decimal(rate), decimal(float(bars.open[i])), opened, opened)


def _quantity(config: RunConfig, bars: Bars) -> Decimal:
    """The fixed quantity, or what the notional buys where the window begins: a live order cannot know its price."""
    if config.sizing.quantity is not None:
        return config.sizing.quantity
    at = 0 if config.window is None else config.window.first
    return (config.sizing.notional_usd / decimal(float(bars.close[at]))).quantize(CENT)


class _Entry(msgspec.Struct):
    """What is read of a line of the trail."""

    ts: int
    event: str
    side: str = ""
    reduce_only: bool = True


def entries_of(trail: Path) -> tuple[list[int], list[int]]:
    """When (UTC milliseconds, the close it was decided on) and to which side (+1, -1) entries were sent."""
    decode = msgspec.json.Decoder(_Entry).decode
    lines = [line for line in map(decode, trail.read_bytes().splitlines()) if line.event == "OrderSubmitted"]
    sent = [line for line in lines if not line.reduce_only]
    return [line.ts for line in sent], [1 if line.side == "buy" else -1 for line in sent]


def _spec(config: RunConfig, folder: Path, bars: Bars) -> TestSpec:
    if config.window is None:
        raise DataError(f"{config.run_id}: has no window to run on")
    w = config.window
    window = Window(w.start, w.first, w.train_end, w.val_start, w.end)
    closes, sides = entries_of(folder / "events.jsonl")
    at = np.searchsorted(bars.open_time, np.array(closes, np.int64) - bars.step_ms).astype(np.int64)
    return TestSpec(config.run_id, window, config.methods, config.values(), Forced(at, np.array(sides, np.int8)))
