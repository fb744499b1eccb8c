"""signals owns what is known when a method speaks: bar, side, ATR, gate values, and who voted for it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from maestro_engine.indicators.compiled import compiled, inlined
from maestro_engine.indicators.flow import last_sum, ratio
from maestro_engine.indicators.trend import vhf_at
from maestro_engine.market.bars import Floats, Ints

ATRZ_BARS = 288
"""Length of the trailing window in which the ATR's z-score stands: a day of 5-minute bars."""

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


@compiled
def valued(
    close: Floats, basis: Basis, atr: Floats, atrz: Floats, bar: Ints, side: Ints, methods: Ints, spans: Ints
) -> Signals:
    """Signals with everything known at them; *spans* are the bars of cvd, imbalance and VHF."""
    k = len(bar)
    gates = np.full((k, 4), np.nan)
    at = np.empty(k)
    for j in range(k):
        i = bar[j]
        at[j] = atr[i]
        if len(basis.deltas):
            gates[j, CVD] = last_sum(basis.deltas, i, spans[0])
            gates[j, IMB] = ratio(last_sum(basis.deltas, i, spans[1]), last_sum(basis.volumes, i, spans[1]))
        gates[j, ATRZ] = atrz[i]
        gates[j, VHF] = vhf_at(close, basis.walked, i, spans[2])
    return Signals(bar, side, at, gates, methods)


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


@compiled
def elected(bars: Ints, sides: Ints, counts: Ints, quorum: int, within: int) -> tuple[Ints, Ints, Ints]:
    """Signals of several methods as one list: bar, side, and the bitmask of those who voted for the side.

    Row *m* of *bars* and *sides* holds ``counts[m]`` signals of method *m*. Opposite signals on one bar cancel
    and are no votes. A side needs *quorum* methods that signalled it within the last *within* bars.
    """
    n_methods = len(counts)
    heads = np.zeros(n_methods, np.int64)
    last = np.full((n_methods, 2), -within, np.int64)  # bar of the last long and short signal of a method
    room = counts.sum()
    bar, side, mask = np.empty(room, np.int64), np.empty(room, np.int64), np.empty(room, np.int64)
    found = 0
    while True:
        now, speaks = next_bar(bars, sides, counts, heads)
        if now < 0:
            return bar[:found], side[:found], mask[:found]
        for m in range(n_methods):
            if heads[m] < counts[m] and bars[m, heads[m]] == now:
                if speaks != 0:
                    last[m, (1 - speaks) // 2] = now
                heads[m] += 1
        voters = votes(last, speaks, now - within)
        if speaks != 0 and bits(voters) >= quorum:
            bar[found], side[found], mask[found] = now, speaks, voters
            found += 1


@inlined
def next_bar(bars: Ints, sides: Ints, counts: Ints, heads: Ints) -> tuple[int, int]:
    """The next bar on which any method signals, -1 at the end, and the side they agree on or 0."""
    now, speaks = -1, 0
    for m in range(len(counts)):
        if heads[m] >= counts[m]:
            continue
        bar, side = bars[m, heads[m]], sides[m, heads[m]]
        if now < 0 or bar < now:
            now, speaks = bar, side
        elif bar == now and side != speaks:
            speaks = 0
    return now, speaks


@inlined
def votes(last: Ints, side: int, after: int) -> int:
    """Bitmask of the methods whose last signal for *side* came later than bar *after*."""
    mask = 0
    for m in range(len(last)):
        if last[m, (1 - side) // 2] > after:
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
