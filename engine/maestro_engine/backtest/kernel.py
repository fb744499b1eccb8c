"""kernel owns the simulation of tests on one window: from signals to trades, episodes and totals, without Python."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from maestro_engine.backtest.equity import add_trade, close_episode, init_equity, mark_equity
from maestro_engine.backtest.records import Phase, RecordRow, Records
from maestro_engine.backtest.signals import (
    ATRZ,
    CVD,
    IMB,
    VHF,
    AtrTable,
    RawSignals,
    RunningSums,
    Signals,
    VoteCounter,
    evaluate_gates,
    merge_signals,
    passes_gates,
)
from maestro_engine.backtest.trade import (
    MICROS,
    Bracket,
    CostModel,
    FundingSchedule,
    ResultRows,
    TradeExit,
    WindowSpan,
    bracket_from_signal,
    simulate_trade,
    stop_ever_moves,
)
from maestro_engine.data.bars import Floats, Ints
from maestro_engine.exits import rules as exits
from maestro_engine.exits.rules import ExitReason
from maestro_engine.indicators.columns import Columns
from maestro_engine.indicators.compiled import inlined, kernel

_TARGET = int(ExitReason.TARGET)
_TRAIN, _GAP, _VALIDATION = int(Phase.TRAIN), int(Phase.GAP), int(Phase.VALIDATION)
_TIMEOUT_BARS = exits.TIMEOUT_BARS

is_blunder = inlined(exits.is_blunder)


@inlined
def phase_of(span: WindowSpan, entry_bar: int, exit_bar: int) -> int:
    """Train when it ended before train did, validation when it began after that did, else the gap."""
    if exit_bar < span.train_end:
        return _TRAIN
    return _VALIDATION if entry_bar >= span.val_start else _GAP


@inlined
def write_prices(row: RecordRow, span: WindowSpan, bracket: Bracket, exit_: TradeExit) -> None:
    """Write the bars, prices and excursions of a trade."""
    row["entry_bar"] = span.origin + bracket.entry_bar
    row["exit_bar"] = span.origin + exit_.bar
    row["bars_held"] = exit_.bar - bracket.entry_bar
    row["episode"] = (exit_.bar - span.first) // span.episode_bars
    row["side"] = bracket.side
    row["reason"] = exit_.reason
    row["phase"] = phase_of(span, bracket.entry_bar, exit_.bar)
    row["qty"] = bracket.qty
    row["entry"] = bracket.entry
    row["exit"] = exit_.price
    best, worst = (exit_.highest, exit_.lowest) if bracket.side > 0 else (exit_.lowest, exit_.highest)
    row["mfe"] = bracket.side * (best - bracket.entry) * bracket.qty
    row["mae"] = bracket.side * (worst - bracket.entry) * bracket.qty
    row["risk"] = bracket.risk


@inlined
def write_money(row: RecordRow, costs: CostModel, bracket: Bracket, exit_: TradeExit) -> None:
    """What it came out."""
    exit_rate = costs.maker if exit_.reason == _TARGET else costs.taker
    fees = bracket.qty * (costs.taker * bracket.entry + exit_rate * exit_.price)
    pnl = bracket.side * (exit_.price - bracket.entry) * bracket.qty - fees - exit_.funding
    row["fees"] = fees
    row["funding"] = exit_.funding
    row["pnl"] = pnl
    row["fees_micros"] = np.int64(np.rint(fees * MICROS))
    row["funding_micros"] = np.int64(np.rint(exit_.funding * MICROS))
    row["pnl_micros"] = np.int64(np.rint(pnl * MICROS))
    row["blunder"] = is_blunder(exit_.reason, exit_.bar - bracket.entry_bar, pnl, bracket.risk)


@inlined
def write_gates(row: RecordRow, signals: Signals, k: int) -> None:
    """Write the voters and gate values at the signal."""
    gates = signals.gates[k]
    row["methods"] = signals.methods[k]
    row["cvd"] = gates[CVD]
    row["imb"] = gates[IMB]
    row["atrz"] = gates[ATRZ]
    row["vhf"] = gates[VHF]


@inlined
def count_trade(rows: ResultRows, row: RecordRow) -> None:
    """Add a trade to the equity, its episode, its phase and the test."""
    equity = rows.equity
    pnl, fees, funding = row["pnl_micros"], row["fees_micros"], row["funding_micros"]
    equity["realised"] += pnl
    mark_equity(rows.equity, equity["realised"])
    add_trade(rows.episodes[row["episode"]], pnl, fees, funding, row["blunder"])
    add_trade(rows.phases[row["phase"]], pnl, fees, funding, row["blunder"])
    add_trade(rows.total, pnl, fees, funding, row["blunder"])


@inlined
def close_episodes_until(rows: ResultRows, span: WindowSpan, bar: int) -> None:
    """Close the episodes that are over at *bar* with nothing open."""
    while rows.equity["boundary"] <= bar:
        close_episode(rows.equity, rows.episodes, rows.phases, rows.total, span.episode_bars)


@inlined
def run_test(
    columns: Columns,
    funding: FundingSchedule,
    span: WindowSpan,
    costs: CostModel,
    signals: Signals,
    begin: int,
    stop: int,
    rules: Floats,
    trades: Records,
    written: int,
    rows: ResultRows,
) -> int:
    """Simulate one test on signals ``[begin, stop)``; trades go to ``trades[written:]``. Returns the new end."""
    init_equity(rows.equity, span.first + span.episode_bars)
    free, moving = span.first, stop_ever_moves(rules)
    for k in range(begin, stop):
        bar = signals.bar[k]
        if bar < free or not passes_gates(signals, k, rules):
            continue
        if bar + 1 >= span.end:
            break
        close_episodes_until(rows, span, bar + 1)
        bracket = bracket_from_signal(columns, costs, bar, signals.side[k], signals.atr[k], rules, moving)
        timeout = int(rules[_TIMEOUT_BARS])
        if moving:  # said as a constant: each is compiled without what the other needs
            exit_ = simulate_trade(columns, funding, span, costs, bracket, timeout, rows, True)
        else:
            exit_ = simulate_trade(columns, funding, span, costs, bracket, timeout, rows, False)
        row = trades[written]
        write_prices(row, span, bracket, exit_)
        write_money(row, costs, bracket, exit_)
        write_gates(row, signals, k)
        count_trade(rows, row)
        written += 1
        free = exit_.bar
    while rows.equity["episode"] < len(rows.episodes):
        close_episode(rows.equity, rows.episodes, rows.phases, rows.total, span.episode_bars)
    return written


class WindowData(NamedTuple):
    """What all tests on a window share."""

    columns: Columns
    sums: RunningSums
    funding: FundingSchedule
    span: WindowSpan
    costs: CostModel
    empty_episodes: Records
    """The window's episodes before any trade, ``(e,)`` of EPISODE."""


class TestBatch(NamedTuple):
    """Tests to run, sorted by the *w* rows of the signal plan they take their signals from."""

    params: Ints
    """SIGNAL_PARAMS of each row of the plan, ``(w, 6)``."""
    lists: Ints
    """Lists of signals that each row merges, -1 after the last, ``(w, m)``."""
    atr_row: Ints
    """Which row of the ATR table it uses, ``(w,)``."""
    ends: Ints
    """Tests of row *w* are ``[ends[w], ends[w + 1])``."""
    rules: Floats
    """A row for each test, ``(t, len(RULES))``."""


class Workspace(NamedTuple):
    """Scratch arrays of the kernel; nothing in them outlives the run."""

    votes: VoteCounter
    signals: Signals
    equity: Records


class Output(NamedTuple):
    """What a run of the kernel writes."""

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
    window: WindowData,
    raw: RawSignals,
    table: AtrTable,
    batch: TestBatch,
    work: Workspace,
    out: Output,
    keep_trades: bool,
) -> None:
    """Simulate every test of *batch*; without *keep_trades* all overwrite the same trade rows."""
    columns, signals = window.columns, work.signals
    written = 0
    for w in range(len(batch.params)):
        params, r = batch.params[w], batch.atr_row[w]
        count = merge_signals(raw, batch.lists[w], params, work.votes, signals)
        evaluate_gates(columns.close, window.sums, table.atr[r], table.atrz[r], params, count, signals)
        for t in range(batch.ends[w], batch.ends[w + 1]):
            for e in range(len(window.empty_episodes)):
                out.episodes[t, e] = window.empty_episodes[e]
            rows = ResultRows(work.equity[0], out.episodes[t], out.phases[t], out.totals[t])
            written = run_test(
                columns,
                window.funding,
                window.span,
                window.costs,
                signals,
                0,
                count,
                batch.rules[t],
                out.trades,
                written,
                rows,
            )
            out.ends[t + 1] = written
            if not keep_trades:
                written = 0
