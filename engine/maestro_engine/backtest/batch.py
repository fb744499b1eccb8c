"""batch owns the door of the backtest room: many tests in, records out, one kernel call per window."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from functools import partial
from itertools import pairwise
from sys import maxsize
from typing import NamedTuple, ParamSpec, TypeVar

import numpy as np

from maestro_engine.backtest.equity import BOOK
from maestro_engine.backtest.kernel import Orders, Room, Scene, Written, run_tests
from maestro_engine.backtest.layout import check_taker_volume
from maestro_engine.backtest.records import EPISODE, SUMMARY, TRADE, BatchResult, Chunk, Phase
from maestro_engine.backtest.signal_plan import Asked, asked
from maestro_engine.backtest.signals import ATR_BARS, Found, Ranges, ballot_for, signals_for
from maestro_engine.backtest.spec import Costs, Sizing, TestSpec, Window
from maestro_engine.backtest.trade import Span, Terms, terms_of
from maestro_engine.backtest.window_context import Features
from maestro_engine.data.bars import Bars, Ints
from maestro_protocol.errors import ConfigError

P = ParamSpec("P")
T = TypeVar("T")

LEAST = 25
"""Tests of a task: fewer would cost more to hand over than to run,"""
MOST = 512
"""more would hold too much memory at once."""
ROWS = 20_000
"""Trades that a run of the kernel has room for, 3 MB; for more numpy would ask for large pages, and where memory has
been in use for long the system takes many times as long to find one as to fill it."""
CELLS = 1 << 20
"""Bars times lists of signals that are looked for at once: room for signals, of which most is never touched."""


class _Job(NamedTuple):
    """What every task of a batch needs to know."""

    bars: Bars
    asked: Asked
    terms: Terms
    episode_bars: int
    keep: bool
    aside: Executor
    """Where to have done what need not be waited for."""


class _Here(Executor):
    """Does at once what it is given: who has no thread to spare waits."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        done: Future[T] = Future()
        done.set_result(fn(*args, **kwargs))
        return done


def simulate_batch(
    bars: Bars,
    tests: Sequence[TestSpec],
    costs: Costs,
    sizing: Sizing = Sizing(),  # noqa: B008 - frozen
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
    translated = asked(tests)
    check_taker_volume(bars, tests, translated.rules)
    job = _Job(bars, translated, terms_of(costs, sizing), episode_bars, keep_trades, _Here())
    tasks = list(_tasks(_by_window(bars, tests, translated.wish), jobs))
    if jobs == 1:
        done = [_run(job, task) for task in tasks]
    else:
        with ThreadPoolExecutor(jobs) as pool:
            if 2 * len(tasks) <= jobs:  # each task has a second thread
                job = job._replace(aside=pool)
            done = list(pool.map(partial(_run, job), tasks))
    chunks = [chunk for task in done for chunk in task]
    return BatchResult(tests, chunks, episode_bars, bars.step_ms, keep_trades)


def period_pnl(
    bars: Bars,
    tests: Sequence[TestSpec],
    costs: Costs,
    sizing: Sizing = Sizing(),  # noqa: B008 - frozen
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


def _by_window(bars: Bars, tests: Sequence[TestSpec], wish: Ints) -> dict[Window, Ints]:
    """The tests on each window, those with the same wish together."""
    groups: dict[Window, list[int]] = {}
    for t, test in enumerate(tests):
        groups.setdefault(test.window, []).append(t)
    for window in groups:
        if window.end > len(bars):
            raise ConfigError(f"window ends at bar {window.end}, but {bars.symbol} has {len(bars)} bars")
    return {window: np.array(index)[np.argsort(wish[index], kind="stable")] for window, index in groups.items()}


Task = list[tuple[Window, Ints]]


def _tasks(groups: Mapping[Window, Ints], jobs: int) -> Iterator[Task]:
    """Split crowded windows and join lonely ones, so that tasks are worth handing over and all threads busy."""
    total = sum(len(index) for index in groups.values())
    most = MOST if jobs == 1 else max(LEAST, min(MOST, -(-total // (2 * jobs))))
    task: Task = []
    waiting = 0
    for window, index in groups.items():
        for at in range(0, len(index), most):
            part = index[at : at + most]
            task.append((window, part))
            waiting += len(part)
            if waiting >= LEAST:
                yield task
                task, waiting = [], 0
    if task:
        yield task


def _run(job: _Job, task: Task) -> list[Chunk]:
    return [chunk for window, index in task for chunk in _simulate(job, window, index)]


def _simulate(job: _Job, window: Window, index: Ints) -> Iterator[Chunk]:
    """The tests at *index*, all on *window* and sorted by wish, in blocks of wishes."""
    wishes = job.asked.wishes
    features = Features(job.bars.slice(window.start, window.end), window.start, len(index))
    span = Span(
        window.start,
        window.first - window.start,
        window.train_end - window.start,
        window.val_start - window.start,
        window.end - window.start,
        job.episode_bars,
    )
    scenery = job.aside.submit(features.scenery, span, job.terms)
    ballot = ballot_for(wishes.lists.shape[1])
    book = np.zeros(1, BOOK)
    wish = job.asked.wish[index]
    for ends in _blocks(wish, max(1, CELLS // (len(features) * wishes.lists.shape[1]))):
        wanted = wish[ends[:-1]]
        spoken = wishes.spoken[wanted]
        found, lists = features.find(wishes, wanted)
        scene = scenery.result()
        ranges, rows = features.ranges(spoken[:, ATR_BARS])
        counts = np.maximum(found.ends[lists + 1] - found.ends[lists], 0).sum(axis=1)
        room = Room(ballot, signals_for(int(counts.max())), book)
        for w, here in _runs(ends, counts, ROWS if job.keep else maxsize):
            tests = index[here[0] : here[-1]]
            orders = Orders(spoken[w], lists[w], rows[w], here - here[0], job.asked.rules[tests])
            yield _chunk(scene, found, ranges, orders, room, counts[w], tests, job.keep)


def _blocks(wish: Ints, most: int) -> Iterator[Ints]:
    """Where each of at most so many different values of the ascending *wish* begins, and where the last ends."""
    begins = np.ones(len(wish) + 1, np.bool_)
    np.not_equal(wish[1:], wish[:-1], out=begins[1:-1])
    ends = np.flatnonzero(begins)
    for at in range(0, len(ends) - 1, most):
        yield ends[at : at + most + 1]


def _runs(ends: Ints, counts: Ints, most: int) -> Iterator[tuple[slice, Ints]]:
    """Wishes of each run of the kernel, and where their tests begin and end: about *most* trades at the most.

    *ends* are those of a block of wishes, *counts* the most trades that a test of each can have.
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
    scene: Scene, found: Found, ranges: Ranges, orders: Orders, room: Room, counts: Ints, index: Ints, keep: bool
) -> Chunk:
    """Run *orders*, the tests at *index*; *counts* is the most signals each wish can have."""
    tests = len(index)
    most = np.dot(counts, np.diff(orders.ends)) if keep else counts.max()
    to = Written(
        np.empty(int(most), TRADE),
        np.zeros(tests + 1, np.int64),
        np.empty((tests, len(scene.frame)), EPISODE),
        np.zeros((tests, len(Phase)), SUMMARY),
        np.zeros(tests, SUMMARY),
    )
    run_tests(scene, found, ranges, orders, room, to, keep)
    to.trades.resize(to.ends[-1] if keep else 0, refcheck=False)  # in place: the rest is free for the next block
    return Chunk(index, *to)
