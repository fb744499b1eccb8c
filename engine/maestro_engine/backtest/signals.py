"""signals owns what is known when methods speak: bar, side, who voted for it, ATR and gate values."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from maestro_engine.data.bars import Floats, Ints
from maestro_engine.indicators.columns import Columns
from maestro_engine.indicators.compiled import inlined, kernel
from maestro_engine.indicators.flow import last_sum, ratio
from maestro_engine.indicators.trend import STRIDE, vhf_at, vhf_by_strides
from maestro_engine.indicators.volatility import Z_BLOCK, write_atr, write_zscore

ATRZ_BARS = 288
"""Length of the trailing window in which the ATR's z-score stands: a day of 5-minute bars."""
REGIME_ATR_BARS = 14
"""The regime belongs to the market, so its ATR has one length whatever a test's own."""

CVD, IMB, ATRZ, VHF = 0, 1, 2, 3
"""Columns of :attr:`Signals.gates`."""

RULES = (
    "atr_stop_mult",
    "hard_tp_usd",
    "timeout_bars",
    "gate_cvd",
    "gate_imb",
    "imb_min",
    "gate_atrz",
    "atr_z_min",
    "gate_vhf",
    "vhf_min",
)
"""Parameters of exits and gates, in the order of a row of rules. The kernel reads them by these numbers:"""
STOP_MULT, TP_USD, TIMEOUT_BARS, GATE_CVD, GATE_IMB, IMB_MIN, GATE_ATRZ, ATR_Z_MIN, GATE_VHF, VHF_MIN = range(10)

SPOKEN = ("atr_bars", "cvd_bars", "imb_bars", "vhf_bars", "quorum", "quorum_bars")
"""Parameters that decide the signals of every test, in the order of a row of what is spoken:"""
ATR_BARS, CVD_BARS, IMB_BARS, VHF_BARS, QUORUM, QUORUM_BARS = range(6)


class Found(NamedTuple):
    """Signals as methods found them, list after list: list *l* is ``[ends[l], ends[l + 1])`` of bar and side."""

    bar: Ints
    side: Ints
    ends: Ints
    given: int
    """The first list that came from outside and not from a method,"""
    votes: Ints
    """and what :attr:`Signals.methods` says of the signals from there on."""


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


class Basis(NamedTuple):
    """Columns of a window from which a signal's values are read in a few steps, whatever their lengths."""

    deltas: Floats
    """Running total of volume delta, ``(n + 1,)``; ``(0,)`` without taker volume, like the next."""
    volumes: Floats
    walked: Floats
    """Running total of absolute changes of the close, ``(n + 1,)``."""
    tops: Floats
    """Highest of the last :data:`STRIDE` closes, ``(n,)``; ``(0,)`` where few tests ask for it, like the next."""
    depths: Floats
    """Highest of as many closes with the sign -1."""


class Ranges(NamedTuple):
    """Average true ranges of several lengths, and their z-scores among the last :data:`ATRZ_BARS`."""

    atr: Floats
    """Shape ``(lengths, n)``, as is the next."""
    atrz: Floats


class Ballot(NamedTuple):
    """Room for the votes of *m* methods."""

    head: Ints
    """The next signal of each, and the end of its list; both ``(m,)``."""
    end: Ints
    last: Ints
    """Bar of the last long and short signal of each, ``(m, 2)``."""


def ballot_for(methods: int) -> Ballot:
    """Room for the votes of so many *methods*."""
    return Ballot(np.empty(methods, np.int64), np.empty(methods, np.int64), np.empty((methods, 2), np.int64))


def signals_for(count: int) -> Signals:
    """Room for *count* signals, in one piece: numpy asks for large pages where it is large."""
    room = np.empty((8, count))
    bar, side, voters = room[:3].view(np.int64)
    return Signals(bar, side, room[3], room[4:].reshape(count, 4), voters)


def measured(columns: Columns, lengths: Ints) -> Ranges:
    """The ranges of each of *lengths*, made here because numpy asks for large pages and a kernel does not."""
    shape = len(lengths), len(columns.close)
    ranges = Ranges(np.empty(shape), np.empty(shape))
    _measure(columns, lengths, np.empty((2, Z_BLOCK)), ranges)
    return ranges


@kernel
def _measure(columns: Columns, lengths: Ints, room: Floats, to: Ranges) -> None:
    for r in range(len(lengths)):
        write_atr(columns.high, columns.low, columns.close, lengths[r], to.atr[r])
        write_zscore(to.atr[r], ATRZ_BARS, room[0], room[1], to.atrz[r])


@inlined
def speak(found: Found, lists: Ints, spoken: Ints, ballot: Ballot, to: Signals) -> int:
    """Write bar, side and votes of the signals that *lists* come to; gives their count."""
    if len(lists) == 1 or lists[1] < 0:
        return copied(found, lists[0], to)
    return elected(found, lists, spoken[QUORUM], spoken[QUORUM_BARS], ballot, to)


@inlined
def value(close: Floats, basis: Basis, atr: Floats, atrz: Floats, spoken: Ints, count: int, to: Signals) -> None:
    """Write what else is known at the first *count* signals."""
    for k in range(count):
        i, gates = to.bar[k], to.gates[k]
        to.atr[k] = atr[i]
        gates[CVD] = gates[IMB] = np.nan
        if len(basis.deltas):
            gates[CVD] = last_sum(basis.deltas, i, spoken[CVD_BARS])
            taken = last_sum(basis.deltas, i, spoken[IMB_BARS])
            gates[IMB] = ratio(taken, last_sum(basis.volumes, i, spoken[IMB_BARS]))
        gates[ATRZ] = atrz[i]
        if len(basis.tops) and spoken[VHF_BARS] >= STRIDE:
            gates[VHF] = vhf_by_strides(basis.tops, basis.depths, basis.walked, i, spoken[VHF_BARS])
        else:
            gates[VHF] = vhf_at(close, basis.walked, i, spoken[VHF_BARS])


@inlined
def copied(found: Found, index: int, to: Signals) -> int:
    """The signals of a list that decides alone, none for list -1; gives their count."""
    if index < 0:
        return 0
    begin, end = found.ends[index], found.ends[index + 1]
    for k in range(end - begin):
        to.bar[k], to.side[k], to.methods[k] = found.bar[begin + k], found.side[begin + k], 1
    if index >= found.given:
        outside = begin - found.ends[found.given]
        for k in range(end - begin):
            to.methods[k] = found.votes[outside + k]
    return end - begin


@inlined
def elected(found: Found, lists: Ints, quorum: int, within: int, ballot: Ballot, to: Signals) -> int:
    """Signals of several methods as one list: bar, side, and the bitmask of those who voted for the side.

    Opposite signals on one bar cancel and are no votes. A side needs *quorum* methods that signalled it within
    the last *within* bars. Gives the count.
    """
    voters = open_ballot(found, lists, within, ballot)
    count = 0
    while True:
        now, speaks = next_bar(found, ballot, voters)
        if now < 0:
            return count
        for m in range(voters):
            if ballot.head[m] < ballot.end[m] and found.bar[ballot.head[m]] == now:
                if speaks != 0:
                    ballot.last[m, (1 - speaks) // 2] = now
                ballot.head[m] += 1
        if speaks != 0:
            mask = votes(ballot, voters, speaks, now - within)
            if bits(mask) >= quorum:
                to.bar[count], to.side[count], to.methods[count] = now, speaks, mask
                count += 1


@inlined
def open_ballot(found: Found, lists: Ints, within: int, ballot: Ballot) -> int:
    """Begin an election among *lists*; gives the number of methods."""
    voters = 0
    for m in range(len(lists)):
        if lists[m] >= 0:
            ballot.head[m], ballot.end[m] = found.ends[lists[m]], found.ends[lists[m] + 1]
            ballot.last[m, 0] = ballot.last[m, 1] = -within
            voters += 1
    return voters


@inlined
def next_bar(found: Found, ballot: Ballot, voters: int) -> tuple[int, int]:
    """The next bar on which any method signals, -1 at the end, and the side they agree on or 0."""
    now, speaks = -1, 0
    for m in range(voters):
        head = ballot.head[m]
        if head >= ballot.end[m]:
            continue
        bar, side = int(found.bar[head]), int(found.side[head])
        if now < 0 or bar < now:
            now, speaks = bar, side
        elif bar == now and side != speaks:
            speaks = 0
    return now, speaks


@inlined
def votes(ballot: Ballot, voters: int, side: int, after: int) -> int:
    """Bitmask of the methods whose last signal for *side* came later than bar *after*."""
    mask = 0
    for m in range(voters):
        if ballot.last[m, (1 - side) // 2] > after:
            mask |= 1 << m
    return mask


@inlined
def bits(mask: int) -> int:
    """How many bits are set."""
    count = 0
    while mask:
        count += mask & 1
        mask >>= 1
    return count


@inlined
def admits(signals: Signals, k: int, rules: Floats) -> bool:
    """Whether every gate that is on lets signal *k* through. An unknown value does not."""
    side, gates = signals.side[k], signals.gates[k]
    if rules[GATE_CVD] != 0.0 and not side * gates[CVD] > 0.0:
        return False
    if rules[GATE_IMB] != 0.0 and not side * gates[IMB] >= rules[IMB_MIN]:
        return False
    if rules[GATE_ATRZ] != 0.0 and not gates[ATRZ] >= rules[ATR_Z_MIN]:
        return False
    return rules[GATE_VHF] == 0.0 or gates[VHF] >= rules[VHF_MIN]
