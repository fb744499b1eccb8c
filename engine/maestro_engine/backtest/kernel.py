"""kernel owns the simulation of tests on one window: from signals to trades, episodes and totals, without Python."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from maestro_engine.backtest.equity import add_trade, mark, open_book, settle
from maestro_engine.backtest.records import ExitReason, Phase, Records, Row
from maestro_engine.backtest.signals import (
    ATRZ,
    CVD,
    IMB,
    STOP_MULT,
    TIMEOUT_BARS,
    TP_USD,
    VHF,
    Ballot,
    Basis,
    Found,
    Ranges,
    Signals,
    admits,
    speak,
    value,
)
from maestro_engine.backtest.trade import MICROS, Exit, Funding, Ledger, Plan, Span, Terms, hold, planned
from maestro_engine.data.bars import Floats, Ints
from maestro_engine.indicators.columns import Columns
from maestro_engine.indicators.compiled import inlined, kernel

_STOP = int(ExitReason.STOP)
_TARGET = int(ExitReason.TARGET)
_TRAIN, _GAP, _VALIDATION = int(Phase.TRAIN), int(Phase.GAP), int(Phase.VALIDATION)
BLUNDER_RISK = 1.5
"""A trade that loses more than this many times its planned risk is a blunder,"""
BLUNDER_BARS = 3
"""and so is one stopped out in its entry bar or the three bars after it."""


@inlined
def phase_of(span: Span, entry_bar: int, exit_bar: int) -> int:
    """Train when it ended before train did, validation when it began after that did, else the gap."""
    if exit_bar < span.train_end:
        return _TRAIN
    return _VALIDATION if entry_bar >= span.val_start else _GAP


@inlined
def write_prices(row: Row, span: Span, plan: Plan, end: Exit) -> None:
    """What happened, in bars and prices."""
    row["entry_bar"] = span.origin + plan.entry_bar
    row["exit_bar"] = span.origin + end.bar
    row["bars_held"] = end.bar - plan.entry_bar
    row["episode"] = (end.bar - span.first) // span.episode_bars
    row["side"] = plan.side
    row["reason"] = end.reason
    row["phase"] = phase_of(span, plan.entry_bar, end.bar)
    row["qty"] = plan.qty
    row["entry"] = plan.entry
    row["exit"] = end.price
    best, worst = (end.highest, end.lowest) if plan.side > 0 else (end.lowest, end.highest)
    row["mfe"] = plan.side * (best - plan.entry) * plan.qty
    row["mae"] = plan.side * (worst - plan.entry) * plan.qty
    row["risk"] = plan.risk


@inlined
def write_money(row: Row, terms: Terms, plan: Plan, end: Exit) -> None:
    """What it came to."""
    exit_rate = terms.maker if end.reason == _TARGET else terms.taker
    fees = plan.qty * (terms.taker * plan.entry + exit_rate * end.price)
    pnl = plan.side * (end.price - plan.entry) * plan.qty - fees - end.funding
    row["fees"] = fees
    row["funding"] = end.funding
    row["pnl"] = pnl
    row["fees_micros"] = np.int64(np.rint(fees * MICROS))
    row["funding_micros"] = np.int64(np.rint(end.funding * MICROS))
    row["pnl_micros"] = np.int64(np.rint(pnl * MICROS))
    hasty = end.reason == _STOP and end.bar - plan.entry_bar <= BLUNDER_BARS
    row["blunder"] = hasty or pnl < -BLUNDER_RISK * plan.risk


@inlined
def write_gates(row: Row, signals: Signals, k: int) -> None:
    """What was known when it was decided."""
    gates = signals.gates[k]
    row["methods"] = signals.methods[k]
    row["cvd"] = gates[CVD]
    row["imb"] = gates[IMB]
    row["atrz"] = gates[ATRZ]
    row["vhf"] = gates[VHF]


@inlined
def count_trade(ledger: Ledger, row: Row) -> None:
    """Add a trade to equity, its episode, its phase and the total."""
    book = ledger.book
    pnl, fees, funding = row["pnl_micros"], row["fees_micros"], row["funding_micros"]
    book["realised"] += pnl
    mark(ledger.book, book["realised"])
    add_trade(ledger.episodes[row["episode"]], pnl, fees, funding, row["blunder"])
    add_trade(ledger.phases[row["phase"]], pnl, fees, funding, row["blunder"])
    add_trade(ledger.total, pnl, fees, funding, row["blunder"])


@inlined
def settle_until(ledger: Ledger, span: Span, bar: int) -> None:
    """End the episodes that are over at *bar* with nothing open."""
    while ledger.book["boundary"] <= bar:
        settle(ledger.book, ledger.episodes, ledger.phases, ledger.total, span.episode_bars)


@inlined
def run_test(
    columns: Columns,
    funding: Funding,
    span: Span,
    terms: Terms,
    signals: Signals,
    begin: int,
    stop: int,
    rules: Floats,
    trades: Records,
    written: int,
    ledger: Ledger,
) -> int:
    """Simulate one test on signals ``[begin, stop)``; trades go to ``trades[written:]``. Gives the new end."""
    open_book(ledger.book, span.first + span.episode_bars)
    free = span.first
    for k in range(begin, stop):
        bar = signals.bar[k]
        if bar < free or not admits(signals, k, rules):
            continue
        if bar + 1 >= span.end:
            break
        settle_until(ledger, span, bar + 1)
        plan = planned(columns, terms, bar, signals.side[k], signals.atr[k], rules[STOP_MULT], rules[TP_USD])
        end = hold(columns, funding, span, terms, plan, int(rules[TIMEOUT_BARS]), ledger)
        row = trades[written]
        write_prices(row, span, plan, end)
        write_money(row, terms, plan, end)
        write_gates(row, signals, k)
        count_trade(ledger, row)
        written += 1
        free = end.bar
    while ledger.book["episode"] < len(ledger.episodes):
        settle(ledger.book, ledger.episodes, ledger.phases, ledger.total, span.episode_bars)
    return written


class Scene(NamedTuple):
    """What all tests on a window see."""

    columns: Columns
    basis: Basis
    funding: Funding
    span: Span
    terms: Terms
    frame: Records
    """The window's episodes before any trade, ``(e,)`` of EPISODE."""


class Orders(NamedTuple):
    """Tests to run, sorted by the *w* wishes they take their signals from."""

    spoken: Ints
    """A row for each wish, ``(w, 6)``."""
    lists: Ints
    """Lists of signals that each wish joins, -1 after the last, ``(w, m)``."""
    ranges: Ints
    """Which row of the ranges is the wish's, ``(w,)``."""
    ends: Ints
    """Tests of wish *w* are ``[ends[w], ends[w + 1])``."""
    rules: Floats
    """A row for each test, ``(t, len(RULES))``."""


class Room(NamedTuple):
    """Where a kernel works; nothing in it outlives the run."""

    ballot: Ballot
    signals: Signals
    book: Records


class Written(NamedTuple):
    """What a run writes."""

    trades: Records
    ends: Ints
    """Trades of test *t* are ``[ends[t], ends[t + 1])``."""
    episodes: Records
    """Shape ``(t, e)``."""
    phases: Records
    """Shape ``(t, 3)``, zeroed before, as are the next."""
    totals: Records


@kernel
def run_tests(
    scene: Scene, found: Found, ranges: Ranges, orders: Orders, room: Room, to: Written, keep: bool
) -> None:
    """Simulate every test of *orders*; without *keep* all use the same room for trades, and only sums remain."""
    columns, signals = scene.columns, room.signals
    written = 0
    for w in range(len(orders.spoken)):
        spoken, r = orders.spoken[w], orders.ranges[w]
        count = speak(found, orders.lists[w], spoken, room.ballot, signals)
        value(columns.close, scene.basis, ranges.atr[r], ranges.atrz[r], spoken, count, signals)
        for t in range(orders.ends[w], orders.ends[w + 1]):
            for e in range(len(scene.frame)):
                to.episodes[t, e] = scene.frame[e]
            ledger = Ledger(room.book[0], to.episodes[t], to.phases[t], to.totals[t])
            written = run_test(
                columns,
                scene.funding,
                scene.span,
                scene.terms,
                signals,
                0,
                count,
                orders.rules[t],
                to.trades,
                written,
                ledger,
            )
            to.ends[t + 1] = written
            if not keep:
                written = 0
