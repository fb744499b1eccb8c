"""window_context owns what tests on one window share: columns, cumulative sums, empty episodes, methods' signals."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from maestro_engine.backtest.kernel import Scene
from maestro_engine.backtest.records import EPISODE, Phase, Records, Regime
from maestro_engine.backtest.signal_plan import Wishes
from maestro_engine.backtest.signals import REGIME_ATR_BARS, Basis, Found, Ranges, measured
from maestro_engine.backtest.spec import Forced
from maestro_engine.backtest.trade import Funding, Span, Terms
from maestro_engine.data.bars import Bars, Floats, Ints
from maestro_engine.indicators.averages import known_mean
from maestro_engine.indicators.columns import Columns, columns_of
from maestro_engine.indicators.compiled import inlined, kernel
from maestro_engine.indicators.flow import flows
from maestro_engine.indicators.trend import STRIDE, path, rolling_high

CROWD = 8
"""Tests on one window from which on it pays to make the extremes of strides."""
CALM, WILD = -0.5, 0.5
_LOW, _MID, _HIGH = int(Regime.LOW), int(Regime.MID), int(Regime.HIGH)
_UNKNOWN = int(Regime.UNKNOWN)
_TRAIN, _GAP, _VALIDATION = int(Phase.TRAIN), int(Phase.GAP), int(Phase.VALIDATION)


@kernel
def total_up(columns: Columns, basis: Basis) -> None:
    """Write the running totals of a window; those of taker volume where there is room for them."""
    path(columns.close, basis.walked)
    if len(basis.deltas):
        flows(columns.volume, columns.taker_buy, basis.deltas, basis.volumes)


@inlined
def regime_of(z: float) -> int:
    if np.isnan(z):
        return _UNKNOWN
    return _LOW if z < CALM else (_HIGH if z > WILD else _MID)


@kernel
def lay_out(frame: Records, span: Span, atrz: Floats) -> None:
    """Fill in what the episodes of a window are before any trade."""
    for e in range(len(frame)):
        first = span.first + e * span.episode_bars
        stop = min(first + span.episode_bars, span.end)
        row = frame[e]
        row["episode"] = e
        row["first"] = span.origin + first
        row["bars"] = stop - first
        row["phase"] = _TRAIN if first < span.train_end else (_GAP if first < span.val_start else _VALIDATION)
        row["atrz"] = known_mean(atrz[first:stop])
        row["regime"] = regime_of(row["atrz"])


class Features:
    """The bars of one window, counted from *start*, and what is made of them once for all tests on it.

    Not for several threads that find: what was found is written over by the next :meth:`find`.
    """

    def __init__(self, bars: Bars, start: int, tests: int = 1) -> None:
        self._bars = bars
        self._crowded = tests >= CROWD
        self._start = start
        self.columns = columns_of(bars)
        self._pool = np.empty((2, 0), np.int64)

    def __len__(self) -> int:
        return len(self._bars)

    @cached_property
    def _regime(self) -> Ranges:
        return measured(self.columns, np.array([REGIME_ATR_BARS]))

    @cached_property
    def basis(self) -> Basis:
        """What signals are valued from, made here because numpy asks for large pages and a kernel does not."""
        close, n = self.columns.close, len(self._bars) + 1
        flowing = n if len(self.columns.taker_buy) else 0
        strides = (rolling_high(close, sign, STRIDE) if self._crowded else np.empty(0) for sign in (1.0, -1.0))
        basis = Basis(np.empty(flowing), np.empty(flowing), np.empty(n), *strides)
        total_up(self.columns, basis)
        return basis

    def scenery(self, span: Span, terms: Terms) -> Scene:
        """What all tests on the window see; needs nothing that :meth:`find` makes, and may be asked for beside it."""
        return Scene(self.columns, self.basis, self.funding(), span, terms, self.frame(span))

    def ranges(self, lengths: Ints) -> tuple[Ranges, Ints]:
        """Average true ranges of all *lengths*, and which row each has."""
        distinct = np.array(sorted(set(lengths.tolist())))
        alone = len(distinct) == 1 and distinct[0] == REGIME_ATR_BARS
        return self._regime if alone else measured(self.columns, distinct), np.searchsorted(distinct, lengths)

    def frame(self, span: Span) -> Records:
        """The window's episodes before any trade, ``(e,)`` of EPISODE."""
        count = -(-(span.end - span.first) // span.episode_bars)
        frame = np.zeros(count, EPISODE)
        lay_out(frame, span, self._regime.atrz[0])
        return frame

    def funding(self) -> Funding:
        """Bars where funding is due, and what a long of quantity 1 pays there."""
        rate = self._bars.funding_rate
        if rate is None:
            return Funding(np.empty(0, np.int64), np.empty(0))
        bar = np.flatnonzero(rate)
        return Funding(bar, rate[bar] * self._bars.open[bar])

    def find(self, wishes: Wishes, wanted: Ints) -> tuple[Found, Ints]:
        """The lists of signals that the wishes *wanted* join, and their numbers among these.

        The numbers have the shape ``(w, m)`` of :attr:`Wishes.lists`.
        """
        lists = wishes.lists[wanted]
        asked = np.array(sorted({*lists.ravel().tolist(), -1}))[1:]
        begins = np.searchsorted(asked, wishes.begins).tolist()
        given = begins[-1]
        forced = [wishes.forced[int(at)] for at in (asked[given:] - wishes.begins[-1]).tolist()]
        room = len(asked) * len(self._bars)
        if self._pool.shape[1] < room:
            self._pool = np.empty((2, room), np.int64)
        bar, side = self._pool
        ends = np.zeros(len(asked) + 1, np.int64)
        for rank, (method, values) in enumerate(wishes.settings):
            begin, end = begins[rank : rank + 2]
            if begin < end:
                rows = values[asked[begin:end] - wishes.begins[rank]]
                method.scans(self.columns, rows, bar, side, ends, begin)
        found = Found(bar, side, ends, given, np.zeros(sum(len(each.bars) for each in forced), np.int64))
        for place, each in enumerate(forced, given):
            self._put(each, found, place)
        return found, np.where(lists < 0, -1, np.searchsorted(asked, lists))

    def _put(self, forced: Forced, found: Found, place: int) -> None:
        """Write signals given from outside; those beyond the window are left out."""
        bar = np.asarray(forced.bars, np.int64) - self._start
        inside = (bar >= 0) & (bar < len(self._bars))
        begin = found.ends[place]
        end = begin + int(inside.sum())
        found.bar[begin:end], found.side[begin:end] = bar[inside], np.asarray(forced.sides)[inside]
        if forced.votes is not None:
            outside = found.ends[found.given]
            found.votes[begin - outside : end - outside] = forced.votes[inside]
        found.ends[place + 1] = end
