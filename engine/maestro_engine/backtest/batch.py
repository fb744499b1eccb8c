"""batch owns the door of the backtest room: many tests in, records out, one kernel call per window."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple

import numpy as np

from maestro_engine.backtest.book import BOOK
from maestro_engine.backtest.features import Features, SignalKey, pooled
from maestro_engine.backtest.kernel import run_tests
from maestro_engine.backtest.layout import check_taker_volume, layout_of
from maestro_engine.backtest.records import EPISODE, SUMMARY, TRADE, BatchResult, Chunk, Phase
from maestro_engine.backtest.signals import RULES, Signals
from maestro_engine.backtest.spec import Costs, Forced, Sizing, TestSpec, Window
from maestro_engine.backtest.trade import Span, Terms, terms_of
from maestro_engine.market.bars import Bars, Floats, Ints
from maestro_protocol.errors import ConfigError

LEAST = 25
"""Tests of a task: fewer would cost more to hand over than to run,"""
MOST = 512
"""more would hold too much memory at once."""


class _Asked(NamedTuple):
    """A batch in the kernel's terms."""

    rules: Floats
    """Exits and gates, ``(tests, len(RULES))``."""
    wish: Ints
    """Which of *wishes* each test takes its signals from, ``(tests,)``."""
    wishes: list[tuple[SignalKey, Forced | None]]


class _Job(NamedTuple):
    """What every task of a batch needs to know."""

    bars: Bars
    asked: _Asked
    terms: Terms
    episode_bars: int
    keep: bool


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
    job = _Job(bars, _asked(bars, tests), terms_of(costs, sizing), episode_bars, keep_trades)
    tasks = _tasks(job.bars, _by_window(bars, tests), jobs)
    if jobs == 1:
        done = [_run(job, task) for task in tasks]
    else:
        with ThreadPoolExecutor(jobs) as pool:
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


def _asked(bars: Bars, tests: Sequence[TestSpec]) -> _Asked:
    """Check every test and translate it."""
    rules = np.empty((len(tests), len(RULES)))
    wish = np.empty(len(tests), np.int64)
    wishes: list[tuple[SignalKey, Forced | None]] = []
    by_methods: dict[tuple[str, ...], list[int]] = {}
    for t, test in enumerate(tests):
        by_methods.setdefault(test.methods, []).append(t)
    for names, index in by_methods.items():
        layout = layout_of(names)
        rows = layout.rows([tests[t] for t in index])
        rules[index] = rows[:, : len(RULES)]
        known: dict[bytes, int] = {}
        for t, row, spoken in zip(index, rows, np.ascontiguousarray(rows[:, len(RULES) :]), strict=True):
            mark = spoken.tobytes()
            at = known.get(mark)
            if at is None or tests[t].forced is not None:
                layout.check_order(tests[t], row)
                at = len(wishes)
                wishes.append((layout.key(row), tests[t].forced))
                if tests[t].forced is None:
                    known[mark] = at
            wish[t] = at
    check_taker_volume(bars, tests, rules)
    return _Asked(rules, wish, wishes)


def _by_window(bars: Bars, tests: Sequence[TestSpec]) -> dict[Window, list[int]]:
    groups: dict[Window, list[int]] = {}
    for t, test in enumerate(tests):
        groups.setdefault(test.window, []).append(t)
    for window in groups:
        if window.end > len(bars):
            raise ConfigError(f"window ends at bar {window.end}, but {bars.symbol} has {len(bars)} bars")
    return groups


Task = list[tuple[Features, Window, Ints]]


def _tasks(bars: Bars, groups: dict[Window, list[int]], jobs: int) -> Iterator[Task]:
    """Split crowded windows and join lonely ones, so that tasks are worth handing over and all threads busy.

    The parts of a window share its features; two threads that miss the same one both make it, alike.
    """
    total = sum(len(index) for index in groups.values())
    most = MOST if jobs == 1 else max(LEAST, min(MOST, -(-total // (2 * jobs))))
    task: Task = []
    waiting = 0
    for window, index in groups.items():
        features = Features(bars.slice(window.start, window.end))
        for at in range(0, len(index), most):
            part = np.array(index[at : at + most])
            task.append((features, window, part))
            waiting += len(part)
            if waiting >= LEAST:
                yield task
                task, waiting = [], 0
    if task:
        yield task


def _run(job: _Job, task: Task) -> list[Chunk]:
    return [_simulate(job, features, window, index) for features, window, index in task]


def _simulate(job: _Job, features: Features, window: Window, index: Ints) -> Chunk:
    """The tests at *index*, all on *window*."""
    span = Span(
        window.start,
        window.first - window.start,
        window.train_end - window.start,
        window.val_start - window.start,
        window.end - window.start,
        job.episode_bars,
    )
    distinct, which = np.unique(job.asked.wish[index], return_inverse=True)
    lists = [_signals(features, job.asked.wishes[int(w)], window.start) for w in distinct]
    signals, starts = pooled(lists)
    bounds = np.stack((starts[which], starts[which + 1]), axis=1)
    frame = features.frame(span)
    counts = bounds[:, 1] - bounds[:, 0]
    room = int(counts.sum() if job.keep else counts.max(initial=0))
    trades = np.empty(room, TRADE)
    ends = np.zeros(len(index) + 1, np.int64)
    episodes = np.empty((len(index), len(frame)), EPISODE)
    phases = np.zeros((len(index), len(Phase)), SUMMARY)
    totals = np.zeros(len(index), SUMMARY)
    run_tests(
        features.columns,
        features.funding(),
        span,
        job.terms,
        signals,
        bounds,
        job.asked.rules[index],
        frame,
        np.zeros(1, BOOK),
        trades,
        ends,
        episodes,
        phases,
        totals,
        job.keep,
    )
    trades.resize(ends[-1] if job.keep else 0, refcheck=False)  # in place: the rest is free for the next task
    return Chunk(index, trades, ends, episodes, phases, totals)


def _signals(features: Features, wish: tuple[SignalKey, Forced | None], start: int) -> Signals:
    key, forced = wish
    return features.signals(key) if forced is None else features.forced(key, forced, start)
