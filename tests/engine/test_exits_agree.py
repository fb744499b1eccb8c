"""One conformance test of all exits: kernel, paper venue on bars and session against a reference in plain Python.

The reference knows nothing of the product's rules but what its docstrings say;
whoever adds an exit adds it here, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple, get_args

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maestro_engine.backtest import (
    BarWindow,
    FillCosts,
    FixedEntries,
    TestSpec,
    TradeSize,
    signals_on,
    simulate_batch,
)
from maestro_engine.data.bars import Bars
from maestro_engine.exits.rules import EXIT_RULES, ExitReason
from maestro_engine.metrics.calculator import MetricsCalculator
from maestro_engine.runner import BacktestRunner
from maestro_engine.session.runs import SessionRunner, entries_of, replay
from maestro_engine.trading.risk.breakers import DayLoss, EquityDrawdown, LosingStreak
from maestro_engine.trading.venue.bar_matching import BarMatching
from maestro_engine.trading.venue.effects.fees import NotionalFees
from maestro_engine.trading.venue.effects.latency import ConstantLatency
from maestro_engine.trading.venue.effects.slippage import BpsSlippage
from maestro_engine.trading.venue.events import CancelRequested, Fill, OrderSubmitted
from maestro_engine.trading.venue.exchange import PaperExchange
from maestro_engine.trading.venue.market import Bar
from maestro_engine.trading.venue.orders import Instrument, Order, OrderType, Side
from maestro_protocol import config as protocol
from maestro_protocol.messages import events
from maestro_protocol.values import as_params

D, STEP, FIRST = Decimal, 3_600_000, 60
TINY = D("1e-11")
OFTEN = {"ema_fast": 2, "ema_slow": 5, "atr_bars": 10}
"""A method that enters every few bars."""


@dataclass(frozen=True)
class Exits:
    atr_stop_mult: float = 1.5
    hard_tp_usd: float = 50.0
    timeout_bars: int = 48
    tp_atr: float = 0.0
    tp_r: float = 0.0
    trail_atr: float = 0.0
    break_even_r: float = 0.0


class Left(NamedTuple):
    """The end of a trade, and the stop of every bar from the entry's on."""

    bar: int
    price: float
    reason: str
    stops: list[float]


def rough(seed: int, n: int = 400) -> Bars:
    """A rough walk with gaps between bars, jumps and quiet stretches; funding now and then."""
    rng = np.random.default_rng(seed)
    wild = np.exp(0.8 * np.sin(np.arange(n) / 25.0 + rng.uniform(0, 6)))
    move = wild * rng.normal(0, 0.25, n) * np.where(rng.random(n) < 0.03, 6.0, 1.0)
    close = 100.0 + np.cumsum(move) - min(0.0, float(np.cumsum(move).min())) * 1.01
    opened = np.concatenate([close[:1], close[:-1]]) + wild * rng.normal(0, 0.12, n)
    high = np.maximum(opened, close) + wild * rng.exponential(0.12, n)
    low = np.minimum(opened, close) - wild * rng.exponential(0.12, n)
    columns = [np.round(c, 2) for c in (opened, high, low, close)]
    rates = np.where(np.arange(n) % 24 == 0, np.round(rng.normal(0, 3e-4, n), 6), 0.0)
    times = 1_735_689_600_000 + STEP * np.arange(n, dtype=np.int64)
    return Bars("TESTUSDT", STEP, times, *columns, np.ones(n), funding_rate=rates)


def left(bars: Bars, at: int, side: int, atr: float, exits: Exits, qty: float, costs: FillCosts) -> Left:
    """What becomes of a trade that a signal on the close of bar *at* opens.

    It enters at the next open. In each bar the stop comes before the target, and what a bar opens beyond is executed
    at the open. Makers pay no slippage, takers do, inside the bar. When a bar is over, the stop moves, never away
    from the price: to break-even once the best price was R times so many better than the entry (and beyond
    break-even), and behind the best price by the trailing distance. After so many bars the next open ends it, after
    the last bar its close.
    """
    fee, slip = costs.taker_bps / 1e4, costs.slippage_bps / 1e4

    def taken(price: float, way: int, i: int) -> float:
        return min(max(price * (1 + way * slip), float(bars.low[i])), float(bars.high[i]))

    close, first = float(bars.close[at]), at + 1
    unit = exits.atr_stop_mult * atr
    stop, why = close - side * unit, "stop"
    gain = exits.tp_r * unit or exits.tp_atr * atr or exits.hard_tp_usd / qty
    target = close + side * gain
    entry = best = taken(float(bars.open[first]), side, first)
    even = entry * (1 + side * fee) / (1 - side * fee) / (1 - side * slip)
    stops: list[float] = []
    for i in range(first, len(bars)):
        opened, high, low = float(bars.open[i]), float(bars.high[i]), float(bars.low[i])
        if i == first + exits.timeout_bars:
            return Left(i, taken(opened, -side, i), "timeout", stops)
        stops.append(stop)
        worst, top = (low, high) if side > 0 else (high, low)
        if (worst - stop) * side <= 0:
            return Left(i, taken(opened if (opened - stop) * side < 0 else stop, -side, i), why, stops)
        if (top - target) * side >= 0:
            return Left(i, opened if (opened - target) * side > 0 else target, "target", stops)
        best = max(best, top) if side > 0 else min(best, top)
        far = (best - entry) * side >= exits.break_even_r * unit and (best - even) * side >= 0
        if exits.break_even_r and far and (even - stop) * side > 0:
            stop, why = even, "break_even"
        if exits.trail_atr and (best - side * exits.trail_atr * atr - stop) * side > 0:
            stop, why = best - side * exits.trail_atr * atr, "trailing_stop"
    last = len(bars) - 1
    return Left(last, taken(float(bars.close[last]), -side, last), "end", stops)


def config_of(bars: Bars, exits: Exits, qty: str, costs: FillCosts, **more: float) -> protocol.RunConfig:
    n = len(bars)
    window = protocol.WindowRef(
        index=0, start=0, first=FIRST, train_end=n - 60, val_start=n - 50, end=n, first_ms=0, end_ms=1
    )
    data = protocol.DataRef(
        source="simulated", symbol=bars.symbol, timeframe="1h", bars=n, digest="0" * 64, first_ms=0, last_ms=1,
        simulated=True, has_taker_volume=False,
    )  # fmt: skip
    return protocol.RunConfig(
        run_id="seg1", campaign="c", engine="session", seed=3, data=data, window=window, methods=("ema_crossover",),
        params=as_params({**OFTEN, **vars(exits), **more}), sizing=protocol.Sizing(quantity=D(qty)),
        costs=protocol.Costs(
            taker_bps=costs.taker_bps, maker_bps=costs.maker_bps, slippage_bps=costs.slippage_bps
        ),
    )  # fmt: skip


def forgiving(trader) -> None:
    """No losers in a row, and no day loses anything: breakers have nothing to trip on."""
    guard, equity = trader.desk.guard, trader.desk.account.equity
    guard._streak, guard._day = LosingStreak(), DayLoss(guard._day.day, equity, equity)
    guard._drawdown = EquityDrawdown(equity, equity)
    object.__setattr__(guard.limits, "min_reward_risk", D(0))  # what pays is not asked here


def kernel_trades(bars: Bars, config: protocol.RunConfig, qty: str, costs: FillCosts, entries: FixedEntries | None):
    w = config.window
    window = BarWindow(w.start, w.first, w.train_end, w.val_start, w.end)
    spec = TestSpec("x", window, config.methods, config.values(), entries)
    return simulate_batch(bars, [spec], costs, TradeSize.fixed(float(qty))).trades(0)


def session_exits(trail: Path) -> list[tuple[float, str]]:
    lines = [msgspec.json.decode(line) for line in trail.read_bytes().splitlines()]
    return [(float(line["price"]), line["reason"]) for line in lines if line["event"] == "ExecutionExit"]


def venue_exit(bars: Bars, at: int, side: int, found: Left, target: float, costs: FillCosts) -> tuple[int, float]:
    """Bar and price at which the paper venue ends a trade whose client moves the stop as *found* says."""
    venue = PaperExchange(
        Instrument("X", TINY, TINY, TINY, D(1_000)), BarMatching(BpsSlippage(D(repr(costs.slippage_bps)))),
        NotionalFees(D(0), D(0)), ConstantLatency(), np.random.default_rng(0),
    )  # fmt: skip
    way, qty = (Side.BUY if side > 0 else Side.SELL), D(1)

    def send(name: str, kind: OrderType, now: int, price: float | None = None, parent: str | None = None) -> None:
        level = None if price is None else D(repr(price)).quantize(TINY)
        order = Order(name, "X", way.opposite, kind, qty, level, reduce_only=True, attached_to=parent)
        venue.send(OrderSubmitted(order, now))

    now = int(bars.open_time[at + 1])
    venue.send(OrderSubmitted(Order("e", "X", way, OrderType.MARKET, qty), now))
    send("s0", OrderType.STOP_MARKET, now, found.stops[0], "e")
    send("t", OrderType.TAKE_PROFIT, now, target, "e")
    for i in range(at + 1, len(bars)):
        opened = int(bars.open_time[i])
        rows = [D(repr(float(column[i]))) for column in (bars.open, bars.high, bars.low, bars.close)]
        if found.reason == "timeout" and i == found.bar:
            send("x", OrderType.MARKET, opened)
        venue.on_market(Bar(opened, opened + STEP, *rows))
        fills = [event for event in venue.poll(opened + STEP) if isinstance(event, Fill)]
        if fills and fills[-1].client_order_id != "e":
            return i, float(fills[-1].price)
        place = i - at
        if place < len(found.stops) and found.stops[place] != found.stops[place - 1]:
            send(f"s{place}", OrderType.STOP_MARKET, opened + STEP, found.stops[place])
            working = [r.order for r in venue.active() if r.order.type is OrderType.STOP_MARKET]
            venue.send(CancelRequested(working[-1].client_order_id, opened + STEP))
    end, price = int(bars.open_time[-1]) + STEP, rows[3]
    send("x", OrderType.MARKET, end)
    venue.on_market(Bar(end, end, price, rows[1], rows[2], price))
    return len(bars) - 1, float(next(e for e in reversed(venue.poll(end)) if isinstance(e, Fill)).price)


def assert_all_agree(folder: Path, bars: Bars, exits: Exits, qty: str, costs: FillCosts) -> list[str]:
    """Kernel, venue and session end every trade where and why the reference does; gives the reasons."""
    config = config_of(bars, exits, qty, costs)
    replay(config, bars, D(qty), folder / "run", forgiving)
    closes, sides = entries_of(folder / "run" / "events.jsonl")
    at = np.searchsorted(bars.open_time, np.array(closes, np.int64) - STEP).astype(np.int64)
    kernel = kernel_trades(bars, config, qty, costs, FixedEntries(at, np.array(sides, np.int8)))
    session = session_exits(folder / "run" / "events.jsonl")
    found = signals_on(bars, config.methods, config.values())
    atr = dict(zip(found.bar.tolist(), found.atr.tolist(), strict=True))
    assert len(kernel) == len(session) == len(at)
    for signal, side, row, told in zip(at.tolist(), sides, kernel, session, strict=True):
        wanted = left(bars, signal, side, atr[signal], exits, float(qty), costs)
        assert (row["exit_bar"], ExitReason(row["reason"]).name.lower()) == (wanted.bar, wanted.reason)
        assert row["exit"] == pytest.approx(wanted.price, rel=1e-12)
        assert told == (pytest.approx(wanted.price, abs=2e-8), wanted.reason)
        hasty = wanted.reason == "stop" and wanted.bar - signal - 1 <= 3
        assert row["blunder"] == (hasty or row["pnl"] < -1.5 * row["risk"])
        close, unit = float(bars.close[signal]), exits.atr_stop_mult * atr[signal]
        target = close + side * (exits.tp_r * unit or exits.tp_atr * atr[signal] or exits.hard_tp_usd / float(qty))
        bar, price = venue_exit(bars, signal, side, wanted, target, costs)
        assert (bar, price) == (wanted.bar, pytest.approx(wanted.price, abs=2e-8))
    return [ExitReason(row["reason"]).name.lower() for row in kernel]


TENTHS = st.integers(5, 40).map(lambda n: n / 10)
OFF_OR = st.just(0.0) | TENTHS


@settings(max_examples=40)
@given(
    seed=st.integers(0, 10**6),
    stop=TENTHS,
    timeout=st.sampled_from([12, 48]),
    target=st.tuples(st.sampled_from(["hard_tp_usd", "tp_atr", "tp_r"]), TENTHS),
    trail=OFF_OR,
    even=OFF_OR,
    slippage=st.sampled_from([0.0, 1.0, 60.0]),
)
def test_every_exit_is_the_same_everywhere(tmp_path_factory, seed, stop, timeout, target, trail, even, slippage):
    name, size = target
    aims = {"hard_tp_usd": 50.0, name: 100.0 * size if name == "hard_tp_usd" else size}
    exits = Exits(stop, timeout_bars=timeout, trail_atr=trail, break_even_r=even, **aims)
    costs = FillCosts(5.0, 2.0, slippage)
    assert_all_agree(tmp_path_factory.mktemp("exits"), rough(seed), exits, "20", costs)


def test_every_way_out_happens(tmp_path):
    exits = Exits(1.5, timeout_bars=12, tp_r=3.0, trail_atr=2.5, break_even_r=0.5)
    reasons = assert_all_agree(tmp_path, rough(4, 2_000), exits, "1", FillCosts())
    assert set(reasons) >= {reason.name.lower() for reason in ExitReason} - {"end"}


def test_a_stop_moved_by_a_bar_is_not_in_force_in_it(drawn_bars):
    """The high of bar 4 trails the stop to 104; its low of 101 came before or after, and does not count."""
    flat = (100.0, 102.0, 98.0, 100.0)  # range 4, so ATR is 4 and the stop 6 away
    bars = drawn_bars([flat] * 4 + [(100, 108, 101, 107), (106, 107, 103, 105), flat])
    entries = FixedEntries(np.array([2]), np.array([1], np.int8))
    values = {"hard_tp_usd": 500.0, "trail_atr": 1.0}
    spec = TestSpec("x", BarWindow(0, 0, len(bars), len(bars), len(bars)), (), values, entries)
    [trade] = simulate_batch(bars, [spec], FillCosts(0, 0, 0), TradeSize.fixed(5.0)).trades(0)
    assert (trade["exit_bar"], trade["exit"], trade["reason"]) == (5, 104.0, ExitReason.TRAILING_STOP)
    assert not trade["blunder"], "a stop that was moved has done its work, however soon"


@pytest.fixture
def drawn_bars():
    def make(rows) -> Bars:
        columns = [np.array(column, np.float64) for column in zip(*rows, strict=True)]
        return Bars("X", STEP, STEP * np.arange(len(rows), dtype=np.int64), *columns, np.ones(len(rows)))

    return make


def test_break_even_costs_nothing(drawn_bars):
    flat = (100.0, 102.0, 98.0, 100.0)
    bars = drawn_bars([flat] * 4 + [(100, 107, 99, 106), (106, 107, 95, 96), flat])
    entries = FixedEntries(np.array([2]), np.array([1], np.int8))
    spec = TestSpec("x", BarWindow(0, 0, 7, 7, 7), (), {"break_even_r": 1.0, "hard_tp_usd": 500.0}, entries)
    [trade] = simulate_batch(bars, [spec], FillCosts(5, 2, 1), TradeSize.fixed(5.0)).trades(0)
    assert ExitReason(trade["reason"]) is ExitReason.BREAK_EVEN
    assert trade["pnl"] == pytest.approx(0.0, abs=1e-9)


def test_a_run_of_engine_session_with_a_trailing_stop_is_accounted_for_by_the_kernel(tmp_path):
    bars, exits = rough(7), Exits(2.0, trail_atr=1.0, break_even_r=0.5, tp_r=4.0)
    config = config_of(bars, exits, "1", FillCosts())
    figures = MetricsCalculator((), bars.step_ms)
    [outcome] = SessionRunner(tmp_path, bars, config.data, [config.window], figures).run([config])
    lines = [events.TradeEvent.model_validate_json(line) for line in outcome.trades_jsonl.splitlines()]
    assert "trailing_stop" in {line.exit_reason for line in lines}
    plain = BacktestRunner(bars, config.data, [config.window], figures).run([config])[0]
    assert outcome.n_trades <= plain.n_trades


def test_the_protocol_names_every_reason_and_every_exit_has_a_parameter():
    assert set(get_args(events.ExitReason)) == {reason.name.lower() for reason in ExitReason}
    assert set(vars(Exits())) == set(EXIT_RULES), "an exit that is not held here"
