"""signals owns the entry signals of a test: bar, side, which methods voted for it, ATR and gate values."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from maestro_engine.data.bars import Floats, Ints
from maestro_engine.exits.rules import EXIT_RULES
from maestro_engine.indicators.columns import Columns
from maestro_engine.indicators.compiled import inlined, kernel
from maestro_engine.indicators.flow import GRAIN, delta_at, ratio, window_sum
from maestro_engine.indicators.trend import STRIDE, vhf_at, vhf_by_strides
from maestro_engine.indicators.volatility import Z_BLOCK, atr_into, zscore_into

ATRZ_BARS = 288
"""Length of the trailing window in which the ATR's z-score stands: a day of 5-minute bars."""
REGIME_ATR_BARS = 14
"""The regime belongs to the market, so its ATR has one length whatever a test's own."""

CVD, IMB, ATRZ, VHF = 0, 1, 2, 3
"""Columns of :attr:`Signals.gates`."""

RULES = (
    *EXIT_RULES,
    "gate_cvd",
    "gate_imb",
    "imb_min",
    "gate_atrz",
    "atr_z_min",
    "gate_vhf",
    "vhf_min",
)
"""Parameters of exits and gates, in the order of a row of rules. The kernel reads them by these numbers:"""
GATE_CVD, GATE_IMB, IMB_MIN, GATE_ATRZ, ATR_Z_MIN, GATE_VHF, VHF_MIN = range(len(EXIT_RULES), len(RULES))

SIGNAL_PARAMS = ("atr_bars", "cvd_bars", "imb_bars", "vhf_bars", "quorum", "quorum_bars")
"""Parameters that decide the signals of every test, in the order of a row of what is params:"""
ATR_BARS, CVD_BARS, IMB_BARS, VHF_BARS, QUORUM, QUORUM_BARS = range(6)


class RawSignals(NamedTuple):
    """Signals as the methods' scans wrote them: list *l* is ``[ends[l], ends[l + 1])`` of bar and side."""

    bar: Ints
    side: Ints
    ends: Ints
    first_fixed: int
    """The first list of fixed entries,"""
    votes: Ints
    """and :attr:`Signals.methods` of the signals from there on."""


class Signals(NamedTuple):
    """Signals in ascending order of bars; every array has *k* rows."""

    bar: Ints
    """The bar on whose close the signal stands; the fill is at the next open."""
    side: Ints
    """+1 long, -1 short."""
    atr: Floats
    gates: Floats
    """Shape ``(k, 4)``: volume delta, taker imbalance, z-score of the ATR, VHF; NaN where unknown."""
    methods: Ints
    """Bit *i* is set when the test's *i*-th method voted for the side; 0 for forced signals."""


class RunningSums(NamedTuple):
    """Running sums and maxima of a window, from which gate values of any length are read in a few steps."""

    delta: Floats
    """Cumulative volume delta, ``(n + 1,)``; ``(0,)`` without taker volume, like the next."""
    volume: Floats
    path_length: Floats
    """Cumulative absolute changes of the close, ``(n + 1,)``."""
    stride_max: Floats
    """Highest of the last :data:`STRIDE` closes, ``(n,)``; ``(0,)`` where few tests ask for it, like the next."""
    stride_neg_min: Floats
    """Highest of as many negated closes."""


class AtrTable(NamedTuple):
    """Average true ranges of several lengths, and their z-scores among the last :data:`ATRZ_BARS`."""

    atr: Floats
    """Shape ``(lengths, n)``, as is the next."""
    atrz: Floats


class VoteCounter(NamedTuple):
    """The state of a vote among *m* methods."""

    head: Ints
    """The next signal of each, and the end of its list; both ``(m,)``."""
    end: Ints
    last: Ints
    """Bar of the last long and short signal of each, ``(m, 2)``."""


def new_vote_counter(methods: int) -> VoteCounter:
    """A counter for the votes of so many *methods*."""
    return VoteCounter(np.empty(methods, np.int64), np.empty(methods, np.int64), np.empty((methods, 2), np.int64))


def empty_signals(count: int) -> Signals:
    """Uninitialised signals, *count* rows in one piece: numpy asks for large pages where it is large."""
    work = np.empty((8, count))
    bar, side, voters = work[:3].view(np.int64)
    return Signals(bar, side, work[3], work[4:].reshape(count, 4), voters)


def atr_table(columns: Columns, lengths: Ints) -> AtrTable:
    """ATR and its z-score for each of *lengths*, ``(lengths, n)``.

    Made outside the kernel because numpy asks for large pages and a kernel does not.
    """
    shape = len(lengths), len(columns.close)
    ranges = AtrTable(np.empty(shape), np.empty(shape))
    _fill_atr_table(columns, lengths, np.empty((2, Z_BLOCK)), ranges)
    return ranges


@kernel
def _fill_atr_table(columns: Columns, lengths: Ints, work: Floats, to: AtrTable) -> None:
    for r in range(len(lengths)):
        atr_into(columns.high, columns.low, columns.close, lengths[r], to.atr[r])
        zscore_into(to.atr[r], ATRZ_BARS, work[0], work[1], to.atrz[r])


@inlined
def merge_signals(raw: RawSignals, lists: Ints, params: Ints, votes: VoteCounter, to: Signals) -> int:
    """Merge *lists* into one: write bar, side and voters of its signals; returns their count."""
    if len(lists) == 1 or lists[1] < 0:
        return copy_signals(raw, lists[0], to)
    return quorum_signals(raw, lists, params[QUORUM], params[QUORUM_BARS], votes, to)


@inlined
def evaluate_gates(
    close: Floats, sums: RunningSums, atr: Floats, atrz: Floats, params: Ints, count: int, to: Signals
) -> None:
    """Write ATR and gate values at the first *count* signals, NaN where unknown."""
    for k in range(count):
        i, gates = to.bar[k], to.gates[k]
        to.atr[k] = atr[i]
        gates[CVD] = gates[IMB] = np.nan
        if len(sums.delta):
            gates[CVD] = delta_at(sums.delta, sums.volume, i, params[CVD_BARS])
            taken = window_sum(sums.delta, i, params[IMB_BARS])
            gates[IMB] = ratio(taken, window_sum(sums.volume, i, params[IMB_BARS]))
        gates[ATRZ] = atrz[i]
        if len(sums.stride_max) and params[VHF_BARS] >= STRIDE:
            gates[VHF] = vhf_by_strides(sums.stride_max, sums.stride_neg_min, sums.path_length, i, params[VHF_BARS])
        else:
            gates[VHF] = vhf_at(close, sums.path_length, i, params[VHF_BARS])


@inlined
def copy_signals(raw: RawSignals, index: int, to: Signals) -> int:
    """The signals of a single list, none for list -1; returns their count."""
    if index < 0:
        return 0
    begin, end = raw.ends[index], raw.ends[index + 1]
    for k in range(end - begin):
        to.bar[k], to.side[k], to.methods[k] = raw.bar[begin + k], raw.side[begin + k], 1
    if index >= raw.first_fixed:
        outside = begin - raw.ends[raw.first_fixed]
        for k in range(end - begin):
            to.methods[k] = raw.votes[outside + k]
    return end - begin


@inlined
def quorum_signals(raw: RawSignals, lists: Ints, quorum: int, within: int, votes: VoteCounter, to: Signals) -> int:
    """Signals of several methods as one list: bar, side, and the bitmask of the methods that voted for the side.

    Opposite signals on one bar cancel and are no votes. A side needs *quorum* methods that signalled it within
    the last *within* bars. Returns the count.
    """
    voters = start_count(raw, lists, within, votes)
    count = 0
    while True:
        bar, agreed = next_signal_bar(raw, votes, voters)
        if bar < 0:
            return count
        for m in range(voters):
            if votes.head[m] < votes.end[m] and raw.bar[votes.head[m]] == bar:
                if agreed != 0:
                    votes.last[m, (1 - agreed) // 2] = bar
                votes.head[m] += 1
        if agreed != 0:
            mask = voter_mask(votes, voters, agreed, bar - within)
            if bit_count(mask) >= quorum:
                to.bar[count], to.side[count], to.methods[count] = bar, agreed, mask
                count += 1


@inlined
def start_count(raw: RawSignals, lists: Ints, within: int, votes: VoteCounter) -> int:
    """Start a vote among *lists*; returns the number of methods."""
    voters = 0
    for m in range(len(lists)):
        if lists[m] >= 0:
            votes.head[m], votes.end[m] = raw.ends[lists[m]], raw.ends[lists[m] + 1]
            votes.last[m, 0] = votes.last[m, 1] = -within
            voters += 1
    return voters


@inlined
def next_signal_bar(raw: RawSignals, votes: VoteCounter, voters: int) -> tuple[int, int]:
    """The next bar on which any method signals, -1 at the end, and the side they agree on or 0."""
    first, agreed = -1, 0
    for m in range(voters):
        head = votes.head[m]
        if head >= votes.end[m]:
            continue
        bar, side = int(raw.bar[head]), int(raw.side[head])
        if first < 0 or bar < first:
            first, agreed = bar, side
        elif bar == first and side != agreed:
            agreed = 0
    return first, agreed


@inlined
def voter_mask(votes: VoteCounter, voters: int, side: int, after: int) -> int:
    """Bitmask of the methods whose last signal for *side* came later than bar *after*."""
    mask = 0
    for m in range(voters):
        if votes.last[m, (1 - side) // 2] > after:
            mask |= 1 << m
    return mask


@inlined
def bit_count(mask: int) -> int:
    """How many bits are set."""
    count = 0
    while mask:
        count += mask & 1
        mask >>= 1
    return count


@inlined
def passes_gates(signals: Signals, k: int, rules: Floats) -> bool:
    """Whether every gate that is on admits signal *k*. An unknown value does not.

    A value that is its bound but for :data:`GRAIN` reaches it: its last digits hang on where running totals began.
    """
    side, gates = signals.side[k], signals.gates[k]
    if rules[GATE_CVD] != 0.0 and not side * gates[CVD] > 0.0:
        return False
    if rules[GATE_IMB] != 0.0 and not side * gates[IMB] >= rules[IMB_MIN] - GRAIN:
        return False
    if rules[GATE_ATRZ] != 0.0 and not gates[ATRZ] >= rules[ATR_Z_MIN] - GRAIN:
        return False
    return rules[GATE_VHF] == 0.0 or gates[VHF] >= rules[VHF_MIN] - GRAIN
