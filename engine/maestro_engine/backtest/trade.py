"""trade owns one trade: decided on a signal, filled at the next open, held bar by bar, ended; and what it costs.

Inside a bar the stop is tested before the target, and a gap through either fills at the open.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from maestro_engine.backtest.equity import settle
from maestro_engine.backtest.records import ExitReason, Records, Row
from maestro_engine.backtest.spec import Costs, Sizing
from maestro_engine.data.bars import Floats, Ints
from maestro_engine.indicators.columns import Columns
from maestro_engine.indicators.compiled import inlined

_BPS = 1e-4


class Terms(NamedTuple):
    """Costs as fractions of notional, and the size; the one not used is 0."""

    taker: float
    maker: float
    slippage: float
    qty: float
    notional: float


class Plan(NamedTuple):
    """A trade that is about to be held. Between *lower* and *upper* it lives."""

    side: int
    entry_bar: int
    entry: float
    qty: float
    lower: float
    upper: float
    stop: float
    target: float
    risk: float


def terms_of(costs: Costs, sizing: Sizing) -> Terms:
    """What the kernel needs of *costs* and *sizing*."""
    return Terms(
        costs.taker_bps * _BPS,
        costs.maker_bps * _BPS,
        costs.slippage_bps * _BPS,
        sizing.qty or 0.0,
        sizing.notional_usd or 0.0,
    )


@inlined
def quantity(terms: Terms, price: float) -> float:
    """Base currency of a trade entered at *price*."""
    return terms.qty if terms.qty > 0.0 else terms.notional / price


@inlined
def slipped(price: float, direction: int, columns: Columns, bar: int, terms: Terms) -> float:
    """Fill of a taker order at *price*: buys (+1) pay more, sells (-1) get less, inside the bar's range."""
    fill = price * (1.0 + direction * terms.slippage)
    return min(max(fill, columns.low[bar]), columns.high[bar])


@inlined
def stop_and_target(
    side: int, close: float, atr: float, qty: float, stop_mult: float, tp_usd: float
) -> tuple[float, float]:
    """Where stop and target stand after a signal on *close*: distances ``stop_mult x atr`` and ``tp_usd / qty``."""
    return close - side * stop_mult * atr, close + side * tp_usd / qty


@inlined
def planned(columns: Columns, terms: Terms, bar: int, side: int, atr: float, stop_mult: float, tp_usd: float) -> Plan:
    """The trade that a signal on the close of *bar* leads to, filled at the next open.

    Stop and target stand at the signal. With a notional the target's distance is *tp_usd* over the quantity
    that the notional buys at the signal's close, as the entry price is not known yet.
    """
    close = columns.close[bar]
    stop, target = stop_and_target(side, close, atr, quantity(terms, close), stop_mult, tp_usd)
    entry = slipped(columns.open[bar + 1], side, columns, bar + 1, terms)
    qty = quantity(terms, entry)
    risk = abs(close - stop) * qty + terms.taker * qty * (close + stop)
    return Plan(side, bar + 1, entry, qty, min(stop, target), max(stop, target), stop, target, risk)


MICROS = 1e6
_ONE = np.uint64(1)
_STOP = int(ExitReason.STOP)
_TARGET = int(ExitReason.TARGET)
_TIMEOUT = int(ExitReason.TIMEOUT)
_END = int(ExitReason.END)


class Funding(NamedTuple):
    """Bars at whose open funding is due, ascending, and what a long of quantity 1 pays there (rate x open)."""

    bar: Ints
    charge: Floats


class Span(NamedTuple):
    """A window as its kernel sees it: bars counted from ``origin``, its first bar of history."""

    origin: int
    first: int
    train_end: int
    val_start: int
    end: int
    episode_bars: int


class Exit(NamedTuple):
    """How a trade ended."""

    bar: int
    price: float
    reason: int
    highest: float
    """Best and worst prices seen: extremes of the bars held through, and the exit's own price."""
    lowest: float
    funding: float


class Ledger(NamedTuple):
    """The rows a test writes."""

    book: Row
    episodes: Records
    phases: Records
    total: Row


class Track(NamedTuple):
    """Extremes of price since the entry, and of equity since the episode began."""

    highest: float
    lowest: float
    equity: float
    peak: float
    floor: float
    drop: float


@inlined
def walk(
    columns: Columns, plan: Plan, begin: int, until: int, base: float, scale: float, track: Track
) -> tuple[int, Track]:
    """Go from *begin* to the first bar that touches stop or target, or to *until*; equity is base + scale x close.

    Bars are counted without a sign: one that could be negative would be looked at for counting from the end.
    """
    highest, lowest, equity, peak, floor, drop = track
    high, low, close = columns.high, columns.low, columns.close
    i, stop = np.uint64(begin), np.uint64(until)
    while i < stop and low[i] > plan.lower and high[i] < plan.upper:
        highest = max(highest, high[i])
        lowest = min(lowest, low[i])
        equity = base + scale * close[i]
        peak = max(peak, equity)
        floor = min(floor, equity)
        drop = min(drop, equity - peak)
        i += _ONE
    return int(np.int64(i)), Track(highest, lowest, equity, peak, floor, drop)


@inlined
def barrier(columns: Columns, terms: Terms, plan: Plan, bar: int) -> tuple[float, int]:
    """Price and reason of the exit in a bar that touches stop or target."""
    opened = columns.open[bar]
    if plan.side > 0:
        if columns.low[bar] <= plan.stop:
            return slipped(min(plan.stop, opened), -1, columns, bar, terms), _STOP
        return max(plan.target, opened), _TARGET
    if columns.high[bar] >= plan.stop:
        return slipped(max(plan.stop, opened), 1, columns, bar, terms), _STOP
    return min(plan.target, opened), _TARGET


@inlined
def first_after(bars: Ints, bar: int) -> int:
    """Place of the first of the ascending *bars* after *bar*. numpy's own search would load all of numba's arrays."""
    low, high = 0, len(bars)
    while low < high:
        middle = (low + high) // 2
        if bars[middle] > bar:
            high = middle
        else:
            low = middle + 1
    return low


@inlined
def hold(
    columns: Columns, funding: Funding, span: Span, terms: Terms, plan: Plan, timeout: int, ledger: Ledger
) -> Exit:
    """Hold *plan* to its end, marking the equity of every bar.

    Funding is due at the instant a bar opens, before any fill of that open: a trade that enters there does not
    pay it, one that exits there does.
    """
    book = ledger.book
    scale = plan.side * plan.qty * MICROS
    base = book["realised"] - terms.taker * plan.qty * plan.entry * MICROS - scale * plan.entry
    deadline = plan.entry_bar + timeout
    due = first_after(funding.bar, plan.entry_bar)
    paid, highest, lowest, i = 0.0, plan.entry, plan.entry, plan.entry_bar
    while True:
        if i == span.end:
            last = i - 1
            price = slipped(columns.close[last], -plan.side, columns, last, terms)
            return Exit(last, price, _END, highest, lowest, paid)
        if i == book["boundary"]:
            settle(ledger.book, ledger.episodes, ledger.phases, ledger.total, span.episode_bars)
        if due < len(funding.bar) and funding.bar[due] == i:
            charge = plan.side * plan.qty * funding.charge[due]
            paid += charge
            base -= charge * MICROS
            due += 1
        if i == deadline:
            price = slipped(columns.open[i], -plan.side, columns, i, terms)
            return Exit(i, price, _TIMEOUT, max(highest, price), min(lowest, price), paid)
        until = min(span.end, deadline, book["boundary"])
        if due < len(funding.bar):
            until = min(until, funding.bar[due])
        track = Track(highest, lowest, book["equity"], book["peak"], book["floor"], book["drop"])
        begin = i
        i, track = walk(columns, plan, begin, until, base, scale, track)
        highest, lowest = track.highest, track.lowest
        book["equity"], book["peak"] = track.equity, track.peak
        book["floor"], book["drop"] = track.floor, track.drop
        ledger.episodes[book["episode"]]["held_bars"] += i - begin
        if i < until:
            price, reason = barrier(columns, terms, plan, i)
            return Exit(i, price, reason, max(highest, price), min(lowest, price), paid)
