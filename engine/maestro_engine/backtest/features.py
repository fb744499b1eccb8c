"""features owns what the tests on one window share: its columns, its signals and its empty episodes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np

from maestro_engine import methods
from maestro_engine.backtest.records import EPISODE, Phase, Records, Regime
from maestro_engine.backtest.signals import ATRZ_BARS, Basis, Signals, elected, valued
from maestro_engine.backtest.spec import Forced
from maestro_engine.backtest.trade import Funding, Span
from maestro_engine.indicators.columns import Columns, columns_of
from maestro_engine.indicators.compiled import compiled, inlined, kernel
from maestro_engine.indicators.flow import flows
from maestro_engine.indicators.trend import path
from maestro_engine.indicators.volatility import wilder_atr, zscore
from maestro_engine.market.bars import Bars, Floats, Ints

REGIME_ATR_BARS = 14
"""The regime belongs to the market, so its ATR has one length whatever a test's own."""
KEPT = 256
"""Lists of signals that are kept for the next tests: settings are few and shared, or each test has its own."""
CALM, WILD = -0.5, 0.5
_LOW, _MID, _HIGH = int(Regime.LOW), int(Regime.MID), int(Regime.HIGH)
_UNKNOWN = int(Regime.UNKNOWN)
_TRAIN, _GAP, _VALIDATION = int(Phase.TRAIN), int(Phase.GAP), int(Phase.VALIDATION)


class SignalKey(NamedTuple):
    """All that decides a test's signals on a window. ``values`` holds each method's parameters, one after another."""

    methods: tuple[str, ...]
    values: tuple[float, ...]
    atr_bars: int
    cvd_bars: int
    imb_bars: int
    vhf_bars: int
    quorum: int
    quorum_bars: int


@kernel
def total_up(columns: Columns, basis: Basis) -> None:
    """Write the running totals of a window; those of taker volume where there is room for them."""
    path(columns.close, basis.walked)
    if len(basis.deltas):
        flows(columns.volume, columns.taker_buy, basis.deltas, basis.volumes)


@compiled
def atr_and_z(columns: Columns, bars: int) -> tuple[Floats, Floats]:
    """The average true range and its z-score among the last :data:`ATRZ_BARS`."""
    atr = wilder_atr(columns.high, columns.low, columns.close, bars)
    return atr, zscore(atr, ATRZ_BARS)


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
        total, known = 0.0, 0
        for i in range(first, stop):
            if not np.isnan(atrz[i]):
                total += atrz[i]
                known += 1
        row = frame[e]
        row["episode"] = e
        row["first"] = span.origin + first
        row["bars"] = stop - first
        row["phase"] = _TRAIN if first < span.train_end else (_GAP if first < span.val_start else _VALIDATION)
        row["atrz"] = total / known if known else np.nan
        row["regime"] = regime_of(row["atrz"])


class Features:
    """Columns and signals of the bars of one window, each made at its first use."""

    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self.columns = columns_of(bars)
        self._atr: dict[int, tuple[Floats, Floats]] = {}
        self._signals: dict[SignalKey, Signals] = {}

    @cached_property
    def basis(self) -> Basis:
        """Running totals of the window, made here because numpy asks for large pages and a kernel does not."""
        n = len(self._bars) + 1
        flowing = n if len(self.columns.taker_buy) else 0
        basis = Basis(np.empty(flowing), np.empty(flowing), np.empty(n))
        total_up(self.columns, basis)
        return basis

    def atr(self, bars: int) -> tuple[Floats, Floats]:
        """Average true range over *bars* and its z-score, each ``(n,)``."""
        if bars not in self._atr:
            self._atr[bars] = atr_and_z(self.columns, bars)
        return self._atr[bars]

    def signals(self, key: SignalKey) -> Signals:
        """Signals of the methods of *key*."""
        found = self._signals.get(key)
        if found is None:
            found = self._valued(key, *self._spoken(key))
            if len(self._signals) < KEPT:
                self._signals[key] = found
        return found

    def forced(self, key: SignalKey, forced: Forced, start: int) -> Signals:
        """Signals given from outside, their bars counted from *start*; those outside the window are left out."""
        bar = np.asarray(forced.bars, np.int64) - start
        inside = (bar >= 0) & (bar < len(self._bars))
        side = np.asarray(forced.sides, np.int64)
        return self._valued(key, bar[inside], side[inside], np.zeros(int(inside.sum()), np.int64))

    def _valued(self, key: SignalKey, bar: Ints, side: Ints, mask: Ints) -> Signals:
        atr, atrz = self.atr(key.atr_bars)
        spans = np.array((key.cvd_bars, key.imb_bars, key.vhf_bars))
        return valued(self.columns.close, self.basis, atr, atrz, bar, side, mask, spans)

    def _spoken(self, key: SignalKey) -> tuple[Ints, Ints, Ints]:
        n = len(self._bars)
        room = len(key.methods)
        bar, side = np.empty((room, n), np.int64), np.empty((room, n), np.int64)
        counts = np.empty(room, np.int64)
        at = 0
        for m, name in enumerate(key.methods):
            method = methods.get(name)
            values = np.array(key.values[at : at + len(method.specs)])
            counts[m] = method.scan(self.columns, values, bar[m], side[m])
            at += len(method.specs)
        if room == 1:
            k = int(counts[0])
            return bar[0, :k].copy(), side[0, :k].copy(), np.ones(k, np.int64)
        return elected(bar, side, counts, key.quorum, key.quorum_bars)

    def frame(self, span: Span) -> Records:
        """The window's episodes before any trade, ``(e,)`` of EPISODE."""
        count = -(-(span.end - span.first) // span.episode_bars)
        frame = np.zeros(count, EPISODE)
        lay_out(frame, span, self.atr(REGIME_ATR_BARS)[1])
        return frame

    def funding(self) -> Funding:
        """Bars where funding is due, and what a long of quantity 1 pays there."""
        rate = self._bars.funding_rate
        if rate is None:
            return Funding(np.empty(0, np.int64), np.empty(0))
        bar = np.flatnonzero(rate)
        return Funding(bar, rate[bar] * self._bars.open[bar])


def pooled(lists: Sequence[Signals]) -> tuple[Signals, Ints]:
    """Several lists of signals one after another, and where each begins, ``(len(lists) + 1,)``."""
    starts = np.zeros(len(lists) + 1, np.int64)
    np.cumsum([len(signals.bar) for signals in lists], out=starts[1:])
    if len(lists) == 1:
        return lists[0], starts
    return Signals(*(np.concatenate(column) for column in zip(*lists, strict=True))), starts
