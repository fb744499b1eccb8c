"""runs owns run configs of engine ``session``: bars replayed through a session's trader, risk limits and all.

A session makes the backtest's trades, but for those that its limits, margin or breakers forbid. So a run's report is
the kernel's own account of exactly the entries the session made; that both agree on the money is checked every time.
"""

from __future__ import annotations

import shutil
import tempfile
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple, Self, cast

import msgspec
import numpy as np

from maestro_engine.backtest import (
    BarWindow,
    BatchResult,
    FillCosts,
    FixedEntries,
    TestSpec,
    TradeSize,
    signals_on,
    simulate_batch,
)
from maestro_engine.data.bars import Bars
from maestro_engine.data.timeframes import name_of
from maestro_engine.feeds.port import Kline
from maestro_engine.metrics.calculator import MetricsCalculator
from maestro_engine.runner import BacktestRunner
from maestro_engine.session.config import LEAST_BARS, SessionConfig
from maestro_engine.session.opening import open_trader
from maestro_engine.session.places import Run
from maestro_engine.session.quiet import Quiet
from maestro_engine.session.trading.strategy import Intent, Strategy
from maestro_engine.session.trading.trader import Trader
from maestro_engine.session.trading.venue import LARGEST_QTY, bar_of, decimal
from maestro_engine.session.trail.audit import Audit
from maestro_engine.session.trail.parts import trail_lines
from maestro_engine.session.trail.records import BINDING, Record
from maestro_engine.session.trail.scrub import Scrubber
from maestro_engine.trading.risk.breakers import DAY_MS
from maestro_engine.trading.risk.guard import CLEARABLE
from maestro_engine.trading.venue.money import CENT, ZERO, grid
from maestro_engine.trading.venue.orders import Instrument
from maestro_protocol.base import MICRO
from maestro_protocol.config import DataRef, RunConfig, Timeframe, WindowRef
from maestro_protocol.errors import DataError
from maestro_protocol.messages.campaign import DEFAULT_METHODS
from maestro_protocol.messages.report import TestReport
from maestro_protocol.ports import TestOutcome

ROUNDING = Decimal("1e-10")
"""Of what is traded: by so much kernel (floats) and session (decimals on a grid of prices) may differ."""


class SessionRunner(BacktestRunner):
    """The runner's port for configs of engine ``session``; every run leaves its trail under *folder*."""

    def __init__(
        self,
        folder: Path,
        bars: Bars,
        data: DataRef,
        windows: Sequence[WindowRef],
        figures: MetricsCalculator,
        methods: Sequence[str] = DEFAULT_METHODS,
    ) -> None:
        super().__init__(bars, data, windows, figures, methods=methods)
        self._folder = folder

    @classmethod
    def of(cls, backtests: BacktestRunner, folder: Path) -> Self:
        """On the very data and windows of *backtests*: what a campaign needs to run its configs as sessions."""
        return cls(
            folder, backtests._bars, backtests.data, backtests.windows, backtests._figures, backtests.methods()
        )

    def run(self, configs: Sequence[RunConfig]) -> Sequence[TestOutcome]:
        return [self._outcome(config, self._session(config, self._folder), 0) for config in configs]

    def compare(self, configs: Sequence[RunConfig]) -> Sequence[TestReport]:
        with tempfile.TemporaryDirectory(prefix="maestro-session-") as passing:
            return [self._report(config, self._session(config, Path(passing)), 0) for config in configs]

    def _session(self, config: RunConfig, folder: Path) -> BatchResult:
        """Replay *config* through a session, and have the kernel account for what it did."""
        if config.window is None:
            raise DataError(f"{config.run_id}: has no window to run on")
        w = config.window
        made = entries_made(config, self._bars, folder / config.run_id)
        costs = FillCosts(config.costs.taker_bps, config.costs.maker_bps, config.costs.slippage_bps)
        window = BarWindow(w.start, w.first, w.train_end, w.val_start, w.end)
        test = TestSpec(config.run_id, window, config.methods, config.values(), made.entries, config.sizing.factors())
        sizing = TradeSize.fixed(float(made.quantity))
        result = simulate_batch(self._bars, [test], costs, sizing, episode_bars=config.episode_bars)
        kernel = int(result.totals[0]["pnl_micros"])
        if abs(kernel - made.net_pnl * MICRO) > made.tolerance:
            raise DataError(
                f"{config.run_id}: session and backtest disagree: {made.net_pnl:f} USD against {kernel} micros"
            )
        return result


class Made(NamedTuple):
    """What a session made of a run config."""

    entries: FixedEntries
    quantity: Decimal
    """Of each trade, base currency."""
    net_pnl: Decimal
    """Quote currency, after all costs."""
    fills: int
    turnover: Decimal
    """Of all fills, quote currency."""

    @property
    def tolerance(self) -> Decimal:
        """Micros by which the kernel may differ: a whole one a fill, and its share of what was traded."""
        return self.fills + self.turnover * ROUNDING * MICRO


def entries_made(config: RunConfig, bars: Bars, folder: Path) -> Made:
    """The entries that a session over *config*'s window makes; its trail is left in *folder*."""
    assert config.window is not None
    quantity = quantity_of(config, bars)
    trader = replay(config, bars, quantity, folder)
    closes, sides = entries_of(folder / "events.jsonl")
    fills, turnover = traded(folder / "events.jsonl")
    at = np.searchsorted(bars.open_time, np.array(closes, np.int64) - bars.step_ms).astype(np.int64)
    start = config.window.start
    found = signals_on(bars.slice(start, config.window.end), config.methods, config.values())
    votes = found.methods[np.searchsorted(found.bar, at - start)]
    return Made(
        FixedEntries(at, np.array(sides, np.int8), votes), quantity, trader.desk.account.net_pnl, fills, turnover
    )


class Foreseen(Strategy):
    """The methods asked once about all bars of a window: what each close asks for is what it would have, live.

    A signal on a close looks at no later bar, so asking at every close would give the same, a thousand times slower.
    """

    def __init__(self, config: SessionConfig, bars: Bars, share: Decimal) -> None:
        super().__init__(config, share)
        self._found = self.signals(bars)
        self.places: list[int] = self._found.bar.tolist()
        """The bars with a signal, ascending."""
        times = bars.open_time[self._found.bar].tolist()
        self._at = {time: place for place, time in enumerate(times)}

    def intent(self, bars: Bars) -> Intent | None:
        place = self._at.get(int(bars.open_time[-1]))
        return None if place is None else self.wish(self._found, place, float(bars.close[-1]))


class Trail(Audit):
    """What was sent, refused, filled and tripped. No state is saved beside it: a replay is made anew, not resumed."""

    def say(self, record: Record, ts: int) -> None:
        if isinstance(record, BINDING):
            super().say(record, ts)
            self.binding = False


def replay(
    config: RunConfig, bars: Bars, quantity: Decimal, folder: Path, after_bar: Callable[[Trader], None] | None = None
) -> Trader:
    """Run *bars* (the window's, where *config* has one) through a trader whose fills are made against candles.

    Bars at which nothing is held and nothing is asked for are passed over, and so are those in which nothing can
    happen to what is held (:mod:`quiet`): they change nothing. The breakers that only a person clears are cleared at
    the first bar of a UTC day, as by an owner who looks once a day; without one, the first five losers in a row would
    end every window. *after_bar* is called after each bar that is looked at (a person who watches, and then all bars
    of a position are). Raises :class:`DataError`.
    """
    start, end = (0, len(bars)) if config.window is None else (config.window.start, config.window.end)
    first = start if config.window is None else config.window.first
    asked = _asked(config, bars, quantity)
    strategy = Foreseen(asked, bars.slice(start, end), config.sizing.share)
    if folder.exists():
        shutil.rmtree(folder)  # of an attempt that did not come to its end
    folder.mkdir(parents=True)
    audit, quiet = Trail(folder / "events.jsonl", Scrubber()), Quiet(bars, end, strategy.timeout_ms)
    tick = grid(decimal(float(bars.low[start:end].min())))
    instrument = Instrument(bars.symbol, tick, CENT, CENT, LARGEST_QTY)
    now = int(bars.open_time[start])
    trader = open_trader(Run(folder, 0, "replay"), asked, instrument, audit, None, now, strategy).trader
    try:
        i, looked = first, int(bars.open_time[first]) // DAY_MS
        while i < end:
            if trader.desk.flat:
                place = bisect_left(strategy.places, i - start)
                if place == len(strategy.places):
                    break
                i = start + strategy.places[place]
            elif after_bar is None:
                i = quiet.next_loud(trader, i)
            day = int(bars.open_time[i]) // DAY_MS
            if day > looked:
                _clear(trader)
                looked = day
            _fund(trader, bars, i)
            trader.entries_allowed = i + 1 < end
            trader.on_event(kline_of(bars, i))
            if after_bar is not None:
                after_bar(trader)
            i += 1
        if trader.desk.position:
            trader.close_at_bar(bar_of(kline_of(bars, end - 1), bars.step_ms))
    finally:
        audit.close()
    return trader


def _clear(trader: Trader) -> None:
    """What a person may clear; a day's loss and errors nobody does."""
    guard = trader.desk.guard
    for trip in guard.trips:
        if trip.breaker in CLEARABLE:
            guard.reset(trip.breaker)


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


def _asked(config: RunConfig, bars: Bars, quantity: Decimal) -> SessionConfig:
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
        history_bars=LEAST_BARS,
        on_breaker="hold",
    )
    asked.check()
    return asked


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


def quantity_of(config: RunConfig, bars: Bars) -> Decimal:
    """The fixed quantity, or what the notional buys where the window begins: a live order cannot know its price."""
    if config.sizing.quantity is not None:
        return config.sizing.quantity
    at = 0 if config.window is None else config.window.first
    return (config.sizing.notional_usd / decimal(float(bars.close[at]))).quantize(CENT)


class _Line(msgspec.Struct):
    """What is read of a line of the trail."""

    ts: int
    event: str
    client_order_id: str = ""
    side: str = ""
    reason: str = ""
    reduce_only: bool = True
    price: Decimal | None = None
    qty: Decimal = ZERO


_line = msgspec.json.Decoder(_Line).decode


def entries_of(trail: Path) -> tuple[list[int], list[int]]:
    """When (UTC milliseconds, the close it was decided on) and to which side (+1, -1) entries were filled."""
    lines = [_line(line) for line in trail_lines(trail)]
    filled = {line.client_order_id for line in lines if line.event == "ExecutionFill"}
    sent = [line for line in lines if line.event == "OrderSubmitted" and not line.reduce_only]
    made = [line for line in sent if line.client_order_id in filled]
    return [line.ts for line in made], [1 if line.side == "buy" else -1 for line in made]


def traded(trail: Path) -> tuple[int, Decimal]:
    """How many fills a trail tells, and what they come to in quote currency."""
    lines = map(_line, trail_lines(trail))
    fills = [line.qty * line.price for line in lines if line.event == "ExecutionFill" and line.price is not None]
    return len(fills), sum(fills, ZERO)


def refusals(folder: Path) -> Counter[str]:
    """How many entries the sessions under *folder* were refused, by the reason that their trails give."""
    trails = (trail_lines(trail) for trail in sorted(folder.glob("*/events.jsonl")))
    return Counter(line.reason for lines in trails for line in map(_line, lines) if line.event == "OrderRejected")
