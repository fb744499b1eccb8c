"""batch owns simulate_batch, the backtest's entry point: many tests in, records out, one kernel call per window."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from functools import partial
from itertools import pairwise
from sys import maxsize
from typing import NamedTuple, ParamSpec, TypeVar

import numpy as np

from maestro_engine.backtest.equity import EQUITY
from maestro_engine.backtest.kernel import Output, TestBatch, WindowData, Workspace, run_tests
from maestro_engine.backtest.layout import check_taker_volume
from maestro_engine.backtest.records import EPISODE, SUMMARY, TRADE, BatchResult, Chunk, Phase
from maestro_engine.backtest.signal_plan import BatchPlan, plan_batch
from maestro_engine.backtest.signals import ATR_BARS, AtrTable, RawSignals, empty_signals, new_vote_counter
from maestro_engine.backtest.spec import BarWindow, FillCosts, TestSpec, TradeSize
from maestro_engine.backtest.trade import CostModel, WindowSpan, cost_model
from maestro_engine.backtest.window_context import WindowContext
from maestro_engine.data.bars import Bars, Ints
from maestro_protocol.errors import ConfigError

P = ParamSpec("P")
T = TypeVar("T")

MIN_TESTS_PER_TASK = 25
"""Tests of a task: fewer would cost more to hand over than to run,"""
MAX_TESTS_PER_TASK = 512
"""more would hold too much memory at once."""
MAX_TRADE_ROWS = 20_000
"""Trade rows allocated for a run of the kernel, 3 MB; for more numpy would ask for large pages, and where memory has
been in use for long the system takes many times as long to find one as to fill it."""
MAX_SIGNAL_CELLS = 1 << 20
"""Bars times lists of signals scanned at once: memory for signals, of which most is never touched."""


class _BatchContext(NamedTuple):
    """What every task of a batch shares."""

    bars: Bars
    plan: BatchPlan
    costs: CostModel
    episode_bars: int
    keep_trades: bool
    executor: Executor
    """Runs what the task need not wait for."""


class InlineExecutor(Executor):
    """Runs each call at once in the caller's thread."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        done: Future[T] = Future()
        done.set_result(fn(*args, **kwargs))
        return done


def simulate_batch(
    bars: Bars,
    tests: Sequence[TestSpec],
    costs: FillCosts,
    sizing: TradeSize = TradeSize(),  # noqa: B008 - frozen
    *,
    episode_bars: int = 120,
    jobs: int = 1,
    keep_trades: bool = True,
) -> BatchResult:
    """Run *tests* on windows of *bars*; the same bits come out whatever *jobs* (threads) and the order of tests.

    Rules: a signal on the close of bar t fills at the open of t + 1; stop ``close[t] -+ atr_stop_mult x ATR[t]``
    and target ``close[t] +- hard_tp_usd / quantity`` stand at the signal; inside a bar the stop is tested first,
    a gap fills at the open; after ``timeout_bars`` the next open closes, at the end of the window the last close.
    No new signal while a trade is open; one on the bar that ended it counts. Money is in quote currency (USD).

    Raises :class:`ParameterError`, :class:`UnknownKey`, :class:`ConfigError` for a window outside the bars, and
    :class:`DataError` for a gate on taker volume the bars do not have.
    """
    if episode_bars < 1 or jobs < 1:
        raise ConfigError(f"episode_bars {episode_bars} and jobs {jobs} must be at least 1")
    plan = plan_batch(tests)
    check_taker_volume(bars, tests, plan.rules)
    batch = _BatchContext(bars, plan, cost_model(costs, sizing), episode_bars, keep_trades, InlineExecutor())
    tasks = list(_tasks(_by_window(bars, tests, plan.row), jobs))
    if jobs == 1:
        done = [_run(batch, task) for task in tasks]
    else:
        with ThreadPoolExecutor(jobs) as pool:
            if 2 * len(tasks) <= jobs:  # each task has a second thread
                batch = batch._replace(executor=pool)
            done = list(pool.map(partial(_run, batch), tasks))
    chunks = [chunk for task in done for chunk in task]
    return BatchResult(tests, chunks, episode_bars, bars.step_ms, keep_trades)


def period_pnl(
    bars: Bars,
    tests: Sequence[TestSpec],
    costs: FillCosts,
    sizing: TradeSize = TradeSize(),  # noqa: B008 - frozen
    *,
    period_bars: int,
    jobs: int = 1,
) -> Ints:
    """Mark-to-market profit per period of *period_bars*, micros, shape ``(tests, periods)``; trades are not kept.

    A row adds up to the test's total. All windows must have the same number of periods. Raises as
    :func:`simulate_batch` does.
    """
    result = simulate_batch(bars, tests, costs, sizing, episode_bars=period_bars, jobs=jobs, keep_trades=False)
    series = [result.episodes(i)["mtm_micros"] for i in range(len(result))]
    if len({len(row) for row in series}) > 1:
        raise ConfigError("period_pnl: the tests' windows have different lengths; ask for them apart")
    return np.array(series, np.int64)


def _by_window(bars: Bars, tests: Sequence[TestSpec], source: Ints) -> dict[BarWindow, Ints]:
    """The tests on each window, those with the same source together."""
    groups: dict[BarWindow, list[int]] = {}
    for t, test in enumerate(tests):
        groups.setdefault(test.window, []).append(t)
    for window in groups:
        if window.end > len(bars):
            raise ConfigError(f"window ends at bar {window.end}, but {bars.symbol} has {len(bars)} bars")
    return {window: np.array(index)[np.argsort(source[index], kind="stable")] for window, index in groups.items()}


Task = list[tuple[BarWindow, Ints]]


def _tasks(groups: Mapping[BarWindow, Ints], jobs: int) -> Iterator[Task]:
    """Split crowded windows and join lonely ones, so that tasks are worth handing over and all threads busy."""
    total = sum(len(index) for index in groups.values())
    most = MAX_TESTS_PER_TASK
    if jobs > 1:
        most = max(MIN_TESTS_PER_TASK, min(most, -(-total // (2 * jobs))))
    task: Task = []
    waiting = 0
    for window, index in groups.items():
        for at in range(0, len(index), most):
            part = index[at : at + most]
            task.append((window, part))
            waiting += len(part)
            if waiting >= MIN_TESTS_PER_TASK:
                yield task
                task, waiting = [], 0
    if task:
        yield task


def _run(batch: _BatchContext, task: Task) -> list[Chunk]:
    return [chunk for window, index in task for chunk in _simulate(batch, window, index)]


def _simulate(batch: _BatchContext, window: BarWindow, index: Ints) -> Iterator[Chunk]:
    """The tests at *index*, all on *window* and sorted by signal source, in blocks of sources."""
    signals = batch.plan.signals
    context = WindowContext(batch.bars.slice(window.start, window.end), window.start, len(index))
    span = WindowSpan(
        window.start,
        window.first - window.start,
        window.train_end - window.start,
        window.val_start - window.start,
        window.end - window.start,
        batch.episode_bars,
    )
    pending = batch.executor.submit(context.window_data, span, batch.costs)
    votes = new_vote_counter(signals.lists.shape[1])
    equity = np.zeros(1, EQUITY)
    source = batch.plan.row[index]
    for ends in _blocks(source, max(1, MAX_SIGNAL_CELLS // (len(context) * signals.lists.shape[1]))):
        wanted = source[ends[:-1]]
        params = signals.params[wanted]
        raw, lists = context.scan(signals, wanted)
        data = pending.result()
        table, rows = context.atr_table(params[:, ATR_BARS])
        counts = np.maximum(raw.ends[lists + 1] - raw.ends[lists], 0).sum(axis=1)
        work = Workspace(votes, empty_signals(int(counts.max())), equity)
        for w, here in _runs(ends, counts, MAX_TRADE_ROWS if batch.keep_trades else maxsize):
            tests = index[here[0] : here[-1]]
            chosen = TestBatch(params[w], lists[w], rows[w], here - here[0], batch.plan.rules[tests])
            yield _chunk(data, raw, table, chosen, work, counts[w], tests, batch.keep_trades)


def _blocks(source: Ints, most: int) -> Iterator[Ints]:
    """Where each of at most so many different values of the ascending *source* begins, and where the last ends."""
    begins = np.ones(len(source) + 1, np.bool_)
    np.not_equal(source[1:], source[:-1], out=begins[1:-1])
    ends = np.flatnonzero(begins)
    for at in range(0, len(ends) - 1, most):
        yield ends[at : at + most + 1]


def _runs(ends: Ints, counts: Ints, most: int) -> Iterator[tuple[slice, Ints]]:
    """Signal sources of each run of the kernel, and where their tests begin and end: about *most* trades at most.

    *ends* are those of a block of sources, *counts* the most trades that a test of each can have.
    """
    if np.dot(counts, np.diff(ends)) <= most:
        yield slice(0, len(counts)), ends
        return
    run = np.cumsum(np.repeat(counts, np.diff(ends))) // most
    cuts = ends[0] + np.flatnonzero(np.diff(run, prepend=-1))
    for first, last in pairwise([*cuts.tolist(), int(ends[-1])]):
        here = np.clip(ends, first, last)
        taken = np.flatnonzero(np.diff(here)).tolist()
        begin, end = taken[0], taken[-1] + 1
        yield slice(begin, end), here[begin : end + 1]


def _chunk(
    data: WindowData,
    raw: RawSignals,
    table: AtrTable,
    chosen: TestBatch,
    work: Workspace,
    counts: Ints,
    index: Ints,
    keep: bool,
) -> Chunk:
    """Run *chosen*, the tests at *index*; *counts* is the most signals each source can have."""
    tests = len(index)
    most = np.dot(counts, np.diff(chosen.ends)) if keep else counts.max()
    out = Output(
        np.empty(int(most), TRADE),
        np.zeros(tests + 1, np.int64),
        np.empty((tests, len(data.empty_episodes)), EPISODE),
        np.zeros((tests, len(Phase)), SUMMARY),
        np.zeros(tests, SUMMARY),
    )
    run_tests(data, raw, table, chosen, work, out, keep)
    out.trades.resize(out.ends[-1] if keep else 0, refcheck=False)  # in place: the rest is free for the next block
    return Chunk(index, *out)
