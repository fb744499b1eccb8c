"""A session over replayed bars makes the very trades of the backtest: same bars, prices, fees, reasons."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from maestro_engine.backtest.batch import simulate_batch
from maestro_engine.backtest.spec import BarWindow, FillCosts, FixedEntries, TestSpec, TradeSize
from maestro_engine.data.bars import Bars
from maestro_engine.exits.rules import ExitReason
from maestro_engine.trading.account.margin import BTCUSDT_BRACKETS, MarginTable
from maestro_engine.trading.account.perpetual import PerpetualAccount
from maestro_engine.trading.venue.bar_matching import BarMatching
from maestro_engine.trading.venue.effects.fees import NotionalFees
from maestro_engine.trading.venue.effects.latency import ConstantLatency
from maestro_engine.trading.venue.effects.slippage import BpsSlippage
from maestro_engine.trading.venue.events import Fill
from maestro_engine.trading.venue.exchange import PaperExchange
from maestro_engine.trading.venue.market import Bar
from maestro_engine.trading.venue.orders import Instrument, Order, OrderType, Side
from maestro_engine.trading.venue.tracker import OrderTracker

STEP = 300_000
WAYS = ExitReason.STOP, ExitReason.TARGET, ExitReason.TIMEOUT, ExitReason.END
TINY = Decimal("0.00000001")
PARAMS = {"atr_stop_mult": 1.5, "hard_tp_usd": 300.0, "timeout_bars": 30}


def synthetic(n: int, seed: int) -> Bars:
    """A rough walk with gaps between bars, so that stops and targets are jumped over too."""
    rng = np.random.default_rng(seed)
    close = 60_000 + np.cumsum(rng.normal(0, 90, n))
    opened = np.concatenate([[60_000.0], close[:-1]]) + rng.normal(0, 60, n)
    high = np.maximum(opened, close) + rng.exponential(50, n)
    low = np.minimum(opened, close) - rng.exponential(50, n)
    columns = [np.round(c, 2) for c in (opened, high, low, close)]
    rates = np.where(np.arange(n) % 24 == 0, np.round(rng.normal(0, 3e-4, n), 6), 0.0)
    return Bars("BTCUSDT", STEP, np.arange(n, dtype=np.int64) * STEP, *columns, np.ones(n), funding_rate=rates)


def recorded(market_data: Path) -> Bars:
    table = pq.read_table(market_data / "klines" / "binance_usdm_BTCUSDT_5m_2025-01_2025-06.parquet").slice(0, 8_000)
    ms = table["open_time"].cast("int64").to_numpy()
    columns = [np.ascontiguousarray(table[c].to_numpy()) for c in ("open", "high", "low", "close", "volume")]
    return Bars("BTCUSDT", STEP, np.ascontiguousarray(ms), *columns)


def decimal(number: float) -> Decimal:
    return Decimal(repr(number)).quantize(TINY)


class Session:
    """The least of sessions: a signal at a close sends an entry with its bracket, a timeout closes."""

    def __init__(self, costs: FillCosts, qty: Decimal) -> None:
        bps = Decimal("0.0001")
        fees = NotionalFees(Decimal(str(costs.maker_bps)) * bps, Decimal(str(costs.taker_bps)) * bps)
        instrument = Instrument("BTCUSDT", TINY, TINY, TINY, Decimal(1_000))
        slippage = BpsSlippage(Decimal(str(costs.slippage_bps)))
        self.venue = PaperExchange(
            instrument, BarMatching(slippage), fees, ConstantLatency(), np.random.default_rng(0)
        )
        self.tracker = OrderTracker()
        tables = {"BTCUSDT": MarginTable(BTCUSDT_BRACKETS)}
        self.account = PerpetualAccount(Decimal(10_000_000), Decimal(1), tables)
        self.qty = qty
        self.trades: list[tuple[int, int, Decimal, Decimal, Decimal]] = []
        self._entry: tuple[int, Fill] | None = None

    def send(self, order: Order, at: int) -> None:
        submitted = self.tracker.submit(order, at)
        assert submitted is not None
        self.venue.send(submitted)

    def enter(self, bar: int, side: Side, stop: float, target: float, at: int) -> None:
        name, out, qty = f"e{bar}", side.opposite, self.qty
        self.send(Order(name, "BTCUSDT", side, OrderType.MARKET, qty), at)
        for tail, kind, price in (("s", OrderType.STOP_MARKET, stop), ("t", OrderType.TAKE_PROFIT, target)):
            order = Order(name + tail, "BTCUSDT", out, kind, qty, decimal(price), reduce_only=True, attached_to=name)
            self.send(order, at)

    def leave(self, bar: int, at: int) -> None:
        side = Side.SELL if self.venue.net > 0 else Side.BUY
        self.send(Order(f"x{bar}", "BTCUSDT", side, OrderType.MARKET, self.qty, reduce_only=True), at)

    def on_bar(self, index: int, bar: Bar) -> None:
        self.venue.on_market(bar)
        for event in self.venue.poll(bar.close_at):
            assert self.tracker.apply(event)
            if isinstance(event, Fill):
                booked = self.account.fill(event)
                if booked.round_trip is None:
                    self._entry = (index, event)
                else:
                    assert self._entry is not None
                    first, opening = self._entry
                    self.trades.append((first, index, opening.price, event.price, booked.round_trip))

    def entered(self) -> int:
        assert self._entry is not None
        return self._entry[0]


def run(bars: Bars, costs: FillCosts, qty: float, signals: dict[int, int], atr: dict[int, float]) -> Session:
    session = Session(costs, decimal(qty))
    columns = [[decimal(float(x)) for x in c] for c in (bars.open, bars.high, bars.low, bars.close)]
    for i in range(len(bars)):
        start = int(bars.open_time[i])
        if bars.funding_rate is not None and bars.funding_rate[i]:
            session.account.pay_funding("BTCUSDT", decimal(float(bars.funding_rate[i])), columns[0][i])
        session.on_bar(i, Bar(start, start + STEP, *(c[i] for c in columns)))
        if session.venue.net:
            if i + 1 == session.entered() + PARAMS["timeout_bars"]:
                session.leave(i, start + STEP)
        elif i in signals and i + 1 < len(bars):
            side, close = signals[i], float(bars.close[i])
            stop = close - side * PARAMS["atr_stop_mult"] * atr[i]
            target = close + side * PARAMS["hard_tp_usd"] / qty
            session.enter(i, Side.BUY if side > 0 else Side.SELL, stop, target, start + STEP)
    if session.venue.net:  # what is open at the end goes at the last close
        end = int(bars.open_time[-1]) + STEP
        session.leave(len(bars), end)
        high, low, close = (c[-1] for c in columns[1:])
        session.on_bar(len(bars) - 1, Bar(end, end, close, high, low, close))
    return session


def wilder(bars: Bars, n: int = 14) -> np.ndarray:
    before = np.concatenate([bars.close[:1], bars.close[:-1]])
    true_range = np.maximum(bars.high, before) - np.minimum(bars.low, before)
    out, value = np.empty(len(bars)), true_range[0]
    for i, x in enumerate(true_range):
        value += (x - value) / n if i else 0.0
        out[i] = value
    return out


def compare(bars: Bars, costs: FillCosts, qty: float, every: int) -> set[int]:
    rng = np.random.default_rng(3)
    at = np.arange(300, len(bars) - 1, every, dtype=np.int64)
    sides = rng.choice(np.array([-1, 1], dtype=np.int8), len(at))
    window = BarWindow(0, 250, len(bars) - 200, len(bars) - 100, len(bars))
    spec = TestSpec(1, window, ("macd_trend",), PARAMS, FixedEntries(at, sides))
    result = simulate_batch(bars, [spec], costs, TradeSize.fixed(qty))
    kernel = result.trades(0)
    smooth = wilder(bars)
    atr = {int(i): float(smooth[i]) for i in at}
    session = run(bars, costs, qty, dict(zip(at.tolist(), sides.tolist(), strict=True)), atr)
    assert len(kernel) == len(session.trades) > 100
    for row, (first, last, entry, exit_, pnl) in zip(kernel, session.trades, strict=True):
        assert (row["entry_bar"], row["exit_bar"]) == (first, last)
        assert float(entry) == pytest.approx(row["entry"], abs=2e-8)
        assert float(exit_) == pytest.approx(row["exit"], abs=2e-8)
        assert float(pnl) == pytest.approx(row["pnl"], abs=1e-6)
    assert session.account.position("BTCUSDT") == 0
    assert not list(session.tracker.open())
    total = sum(int(row["pnl_micros"]) for row in kernel) / 1e6
    assert float(session.account.net_pnl) == pytest.approx(total, abs=1e-3)
    return {int(row["reason"]) for row in kernel}


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("costs", [FillCosts(), FillCosts(4.0, 4.0, 0.0), FillCosts(5.0, 2.0, 60.0)])
def test_same_trades_on_bars_with_gaps(costs: FillCosts, seed: int) -> None:
    reasons = compare(synthetic(4_000, seed), costs, 0.7, every=7)
    assert reasons == set(map(int, WAYS)), "every way out must have happened"


def test_same_trades_on_recorded_bars(market_data: Path) -> None:
    compare(recorded(market_data), FillCosts(), 1.0, every=11)
