"""trade owns one trade: entry at the open after a signal, its exit bar by bar, costs and funding.

Stop, target and what moves them are those of :mod:`maestro_engine.exits.rules`, compiled. Inside a bar the stop is
tested before the target; a stop that a bar's price moves is in force from the next bar.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from maestro_engine.backtest.equity import close_episode
from maestro_engine.backtest.records import RecordRow, Records
from maestro_engine.backtest.spec import FillCosts, TradeSize
from maestro_engine.data.bars import Floats, Ints
from maestro_engine.exits import rules as exits
from maestro_engine.exits.rules import ExitReason, StopMoves
from maestro_engine.indicators.columns import Columns
from maestro_engine.indicators.compiled import inlined

_BPS = 1e-4

stop_and_target = inlined(exits.stop_and_target)
stop_moves = inlined(exits.stop_moves)
moved_stop = inlined(exits.moved_stop)
stop_reached = inlined(exits.stop_reached)
stop_price = inlined(exits.stop_price)
target_price = inlined(exits.target_price)


class CostModel(NamedTuple):
    """Costs as fractions of notional, and the trade's size: quantity or notional, the other is 0."""

    taker: float
    maker: float
    slippage: float
    qty: float
    notional: float


class Bracket(NamedTuple):
    """An entry with its stop and target; the trade is open while prices stay between *lower* and *upper*."""

    side: int
    entry_bar: int
    entry: float
    qty: float
    lower: float
    upper: float
    stop: float
    target: float
    risk: float
    reason: int
    """Of an exit at the stop: what put it where it is."""
    moves: StopMoves


def cost_model(costs: FillCosts, sizing: TradeSize) -> CostModel:
    """The kernel's cost model of *costs* and *sizing*."""
    return CostModel(
        costs.taker_bps * _BPS,
        costs.maker_bps * _BPS,
        costs.slippage_bps * _BPS,
        sizing.qty or 0.0,
        sizing.notional_usd or 0.0,
    )


@inlined
def quantity(costs: CostModel, price: float) -> float:
    """Base currency of a trade entered at *price*."""
    return costs.qty if costs.qty > 0.0 else costs.notional / price


@inlined
def apply_slippage(price: float, direction: int, columns: Columns, bar: int, costs: CostModel) -> float:
    """Fill of a taker order at *price*: buys (+1) pay more, sells (-1) get less, inside the bar's range."""
    fill = price * (1.0 + direction * costs.slippage)
    return min(max(fill, columns.low[bar]), columns.high[bar])


@inlined
def bracket_from_signal(
    columns: Columns, costs: CostModel, bar: int, side: int, atr: float, rules: Floats, moving: bool
) -> Bracket:
    """Entry, stop and target of a signal on the close of *bar*, filled at the next open.

    Stop and target stand at the signal. With a notional an amount of money is a distance by the quantity that the
    notional buys at the signal's close, as the entry price is not known yet.
    """
    close = columns.close[bar]
    stop, target = stop_and_target(side, close, atr, quantity(costs, close), rules)
    entry = apply_slippage(columns.open[bar + 1], side, columns, bar + 1, costs)
    qty = quantity(costs, entry)
    risk = abs(close - stop) * qty + costs.taker * qty * (close + stop)
    moves = stop_moves(side, atr, rules, costs.taker, costs.slippage) if moving else StopMoves(0.0, 0.0, 0.0)
    return Bracket(side, bar + 1, entry, qty, min(stop, target), max(stop, target), stop, target, risk, _STOP, moves)


@inlined
def stop_ever_moves(rules: Floats) -> bool:
    """Whether a stop may leave its first place."""
    return rules[exits.TRAIL_ATR] > 0.0 or rules[exits.BREAK_EVEN_R] > 0.0


@inlined
def after_bar(bracket: Bracket, highest: float, lowest: float) -> Bracket:
    """The bracket of the next bar; *highest* and *lowest* are since the entry."""
    best = highest if bracket.side > 0 else lowest
    stop, reason = moved_stop(bracket.side, bracket.entry, best, bracket.stop, bracket.reason, bracket.moves)
    return Bracket(
        bracket.side,
        bracket.entry_bar,
        bracket.entry,
        bracket.qty,
        min(stop, bracket.target),
        max(stop, bracket.target),
        stop,
        bracket.target,
        bracket.risk,
        reason,
        bracket.moves,
    )


MICROS = 1e6
_ONE = np.uint64(1)
_STOP = int(ExitReason.STOP)
_TARGET = int(ExitReason.TARGET)
_TIMEOUT = int(ExitReason.TIMEOUT)
_END = int(ExitReason.END)


class FundingSchedule(NamedTuple):
    """Bars at whose open funding is due, ascending, and what a long of quantity 1 pays there (rate x open)."""

    bar: Ints
    charge: Floats


class WindowSpan(NamedTuple):
    """A window in the kernel's terms: bars counted from ``origin``, its first bar of history."""

    origin: int
    first: int
    train_end: int
    val_start: int
    end: int
    episode_bars: int


class TradeExit(NamedTuple):
    """The exit of a trade."""

    bar: int
    price: float
    reason: int
    highest: float
    """Best and worst prices seen: extremes of the bars held through, and the exit's own price."""
    lowest: float
    funding: float


class ResultRows(NamedTuple):
    """The result rows that a test writes, and its equity."""

    equity: RecordRow
    episodes: Records
    phases: Records
    total: RecordRow


class Excursion(NamedTuple):
    """Extremes of price since the entry, and of equity (micros) since the episode began."""

    highest: float
    lowest: float
    equity: float
    peak: float
    trough: float
    drawdown: float


@inlined
def scan_bars(
    columns: Columns, bracket: Bracket, begin: int, until: int, base: float, scale: float, excursion: Excursion
) -> tuple[int, Excursion]:
    """Mark bars from *begin* to the first that touches stop or target, or to *until*; equity is base + scale x close.

    Bars are counted without a sign: an index that could be negative would be tested for counting from the end.
    """
    highest, lowest, equity, peak, trough, drawdown = excursion
    high, low, close = columns.high, columns.low, columns.close
    i, stop = np.uint64(begin), np.uint64(until)
    while i < stop and low[i] > bracket.lower and high[i] < bracket.upper:
        highest = max(highest, high[i])
        lowest = min(lowest, low[i])
        equity = base + scale * close[i]
        peak = max(peak, equity)
        trough = min(trough, equity)
        drawdown = min(drawdown, equity - peak)
        i += _ONE
    return int(np.int64(i)), Excursion(highest, lowest, equity, peak, trough, drawdown)


@inlined
def exit_in_bar(columns: Columns, costs: CostModel, bracket: Bracket, bar: int) -> tuple[float, int]:
    """Price and reason of the exit in a bar that touches stop or target."""
    side, opened = bracket.side, columns.open[bar]
    if stop_reached(side, bracket.stop, columns.low[bar], columns.high[bar]):
        price = stop_price(side, bracket.stop, opened)
        return apply_slippage(price, -side, columns, bar, costs), bracket.reason
    return target_price(side, bracket.target, opened), _TARGET


@inlined
def first_after(bars: Ints, bar: int) -> int:
    """Index of the first of the ascending *bars* after *bar*. np.searchsorted would load much of numba."""
    low, high = 0, len(bars)
    while low < high:
        middle = (low + high) // 2
        if bars[middle] > bar:
            high = middle
        else:
            low = middle + 1
    return low


@inlined
def next_event(funding: FundingSchedule, due: int, bar: int, moving: bool, until: int) -> int:
    """The bar before which nothing but stop and target can happen; with a stop that is *moving*, the next one."""
    if due < len(funding.bar):
        until = min(until, funding.bar[due])
    return min(until, bar + 1) if moving else until


@inlined
def simulate_trade(
    columns: Columns,
    funding: FundingSchedule,
    span: WindowSpan,
    costs: CostModel,
    bracket: Bracket,
    timeout: int,
    rows: ResultRows,
    moving: bool,
) -> TradeExit:
    """Simulate an open trade to its exit, marking the equity of every bar; *moving*: its stop may move.

    Funding is due at the instant a bar opens, before any fill of that open: a trade that enters there does not
    pay it, one that exits there does.
    """
    equity = rows.equity
    scale = bracket.side * bracket.qty * MICROS
    base = equity["realised"] - costs.taker * bracket.qty * bracket.entry * MICROS - scale * bracket.entry
    deadline = bracket.entry_bar + timeout
    due = first_after(funding.bar, bracket.entry_bar)
    funding_paid, highest, lowest, i = 0.0, bracket.entry, bracket.entry, bracket.entry_bar
    while True:
        if i == span.end:
            last = i - 1
            price = apply_slippage(columns.close[last], -bracket.side, columns, last, costs)
            return TradeExit(last, price, _END, highest, lowest, funding_paid)
        if i == equity["boundary"]:
            close_episode(rows.equity, rows.episodes, rows.phases, rows.total, span.episode_bars)
        if due < len(funding.bar) and funding.bar[due] == i:
            charge = bracket.side * bracket.qty * funding.charge[due]
            funding_paid += charge
            base -= charge * MICROS
            due += 1
        if i == deadline:
            price = apply_slippage(columns.open[i], -bracket.side, columns, i, costs)
            return TradeExit(i, price, _TIMEOUT, max(highest, price), min(lowest, price), funding_paid)
        until = next_event(funding, due, i, moving, min(span.end, deadline, equity["boundary"]))
        excursion = Excursion(highest, lowest, equity["equity"], equity["peak"], equity["trough"], equity["drawdown"])
        begin = i
        i, excursion = scan_bars(columns, bracket, begin, until, base, scale, excursion)
        highest, lowest = excursion.highest, excursion.lowest
        equity["equity"], equity["peak"] = excursion.equity, excursion.peak
        equity["trough"], equity["drawdown"] = excursion.trough, excursion.drawdown
        rows.episodes[equity["episode"]]["held_bars"] += i - begin
        if i < until:
            price, reason = exit_in_bar(columns, costs, bracket, i)
            return TradeExit(i, price, reason, max(highest, price), min(lowest, price), funding_paid)
        if moving:
            bracket = after_bar(bracket, highest, lowest)
