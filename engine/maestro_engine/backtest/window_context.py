"""window_context owns what tests on one window share: columns, cumulative sums, empty episodes, methods' signals."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from maestro_engine.backtest.kernel import WindowData
from maestro_engine.backtest.records import EPISODE, Phase, Records, Regime
from maestro_engine.backtest.signal_plan import SignalPlan
from maestro_engine.backtest.signals import REGIME_ATR_BARS, AtrTable, RawSignals, RunningSums, atr_table
from maestro_engine.backtest.spec import FixedEntries
from maestro_engine.backtest.trade import CostModel, FundingSchedule, WindowSpan
from maestro_engine.data.bars import Bars, Floats, Ints
from maestro_engine.indicators.averages import nan_mean
from maestro_engine.indicators.columns import Columns, columns_of
from maestro_engine.indicators.compiled import inlined, kernel
from maestro_engine.indicators.flow import taker_flow_sums
from maestro_engine.indicators.trend import STRIDE, path_length_into, rolling_high

STRIDES_FROM_TESTS = 8
"""Tests on one window from which on the extremes of strides pay for themselves."""
LOW_VOL_BELOW, HIGH_VOL_ABOVE = -0.5, 0.5
_LOW, _MID, _HIGH = int(Regime.LOW), int(Regime.MID), int(Regime.HIGH)
_UNKNOWN = int(Regime.UNKNOWN)
_TRAIN, _GAP, _VALIDATION = int(Phase.TRAIN), int(Phase.GAP), int(Phase.VALIDATION)


@kernel
def cumulative_sums(columns: Columns, sums: RunningSums) -> None:
    """Write the running totals of a window; those of taker volume where there is size for them."""
    path_length_into(columns.close, sums.path_length)
    if len(sums.delta):
        taker_flow_sums(columns.volume, columns.taker_buy, sums.delta, sums.volume)


@inlined
def regime_of(z: float) -> int:
    if np.isnan(z):
        return _UNKNOWN
    return _LOW if z < LOW_VOL_BELOW else (_HIGH if z > HIGH_VOL_ABOVE else _MID)


@kernel
def init_episodes(episodes: Records, span: WindowSpan, atrz: Floats) -> None:
    """Fill in bars, phase and regime of a window's episodes before any trade."""
    for e in range(len(episodes)):
        first = span.first + e * span.episode_bars
        stop = min(first + span.episode_bars, span.end)
        row = episodes[e]
        row["episode"] = e
        row["first"] = span.origin + first
        row["bars"] = stop - first
        row["phase"] = _TRAIN if first < span.train_end else (_GAP if first < span.val_start else _VALIDATION)
        row["atrz"] = nan_mean(atrz[first:stop])
        row["regime"] = regime_of(row["atrz"])


class WindowContext:
    """The bars of one window, and what is computed of them once for all tests on it.

    *bars* are the window's, the first of them bar *start* of the batch; *tests* is how many share it.

    Not for several threads that scan: the signals are overwritten by the next :meth:`scan`.
    """

    def __init__(self, bars: Bars, start: int, tests: int = 1) -> None:
        self._bars = bars
        self._with_strides = tests >= STRIDES_FROM_TESTS
        self._start = start
        self.columns = columns_of(bars)
        self._pool = np.empty((2, 0), np.int64)

    def __len__(self) -> int:
        return len(self._bars)

    @cached_property
    def _regime_atr(self) -> AtrTable:
        return atr_table(self.columns, np.array([REGIME_ATR_BARS]))

    @cached_property
    def sums(self) -> RunningSums:
        """What gate values are read from, made here because numpy asks for large pages and a kernel does not."""
        close, n = self.columns.close, len(self._bars) + 1
        flowing = n if len(self.columns.taker_buy) else 0
        strides = (rolling_high(close, sign, STRIDE) if self._with_strides else np.empty(0) for sign in (1.0, -1.0))
        sums = RunningSums(np.empty(flowing), np.empty(flowing), np.empty(n), *strides)
        cumulative_sums(self.columns, sums)
        return sums

    def window_data(self, span: WindowSpan, costs: CostModel) -> WindowData:
        """The kernel's view of the window; needs nothing of :meth:`scan`, and may run beside it."""
        return WindowData(self.columns, self.sums, self.funding(), span, costs, self.empty_episodes(span))

    def atr_table(self, lengths: Ints) -> tuple[AtrTable, Ints]:
        """Average true ranges of all *lengths*, and which row each has."""
        distinct = np.array(sorted(set(lengths.tolist())))
        alone = len(distinct) == 1 and distinct[0] == REGIME_ATR_BARS
        return self._regime_atr if alone else atr_table(self.columns, distinct), np.searchsorted(distinct, lengths)

    def empty_episodes(self, span: WindowSpan) -> Records:
        """The window's episodes before any trade, ``(e,)`` of EPISODE."""
        count = -(-(span.end - span.first) // span.episode_bars)
        episodes = np.zeros(count, EPISODE)
        init_episodes(episodes, span, self._regime_atr.atrz[0])
        return episodes

    def funding(self) -> FundingSchedule:
        """Bars where funding is due, and what a long of quantity 1 pays there."""
        rate = self._bars.funding_rate
        if rate is None:
            return FundingSchedule(np.empty(0, np.int64), np.empty(0))
        bar = np.flatnonzero(rate)
        return FundingSchedule(bar, rate[bar] * self._bars.open[bar])

    def scan(self, plan: SignalPlan, sources: Ints) -> tuple[RawSignals, Ints]:
        """Scan for all lists that the rows *sources* of *plan* merge; returns them and their numbers among these.

        The numbers have the shape ``(w, m)`` of :attr:`SignalPlan.lists`.
        """
        lists = plan.lists[sources]
        used = np.array(sorted({*lists.ravel().tolist(), -1}))[1:]
        first = np.searchsorted(used, plan.first_list).tolist()
        given = first[-1]
        fixed = [plan.fixed[int(at)] for at in (used[given:] - plan.first_list[-1]).tolist()]
        size = len(used) * len(self._bars)
        if self._pool.shape[1] < size:
            self._pool = np.empty((2, size), np.int64)
        bar, side = self._pool
        ends = np.zeros(len(used) + 1, np.int64)
        for rank, (method, values) in enumerate(plan.grids):
            begin, end = first[rank : rank + 2]
            if begin < end:
                rows = values[used[begin:end] - plan.first_list[rank]]
                method.scan_grid(self.columns, rows, bar, side, ends, begin)
        raw = RawSignals(bar, side, ends, given, np.zeros(sum(len(each.bars) for each in fixed), np.int64))
        for place, each in enumerate(fixed, given):
            self._add_fixed(each, raw, place)
        return raw, np.where(lists < 0, -1, np.searchsorted(used, lists))

    def _add_fixed(self, fixed: FixedEntries, raw: RawSignals, place: int) -> None:
        """Write fixed entries; those outside the window are left out."""
        bar = np.asarray(fixed.bars, np.int64) - self._start
        inside = (bar >= 0) & (bar < len(self._bars))
        begin = raw.ends[place]
        end = begin + int(inside.sum())
        raw.bar[begin:end], raw.side[begin:end] = bar[inside], np.asarray(fixed.sides)[inside]
        if fixed.votes is not None:
            outside = raw.ends[raw.first_fixed]
            raw.votes[begin - outside : end - outside] = fixed.votes[inside]
        raw.ends[place + 1] = end
