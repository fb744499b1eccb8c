"""averages owns moving averages: simple, exponential, and the MACD histogram built of them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from maestro_engine.data.bars import Floats
from maestro_engine.indicators.compiled import compiled, inlined
from maestro_engine.indicators.intrinsics import fma


class EmaWeights(NamedTuple):
    """Weight ``a`` of the newest value, and the first four powers of ``1 - a``.

    What a recursion carries is the average over its weight, ``s = x + (1 - a) s``: one fused step for each value.
    """

    a: float
    k1: float
    k2: float
    k3: float
    k4: float


@inlined
def ema_weights(a: float) -> EmaWeights:
    k = 1.0 - a
    return EmaWeights(a, k, k * k, k * k * k, k * k * k * k)


@inlined
def span_weights(span: float) -> EmaWeights:
    """The usual ``a = 2 / (span + 1)``."""
    return ema_weights(2.0 / (span + 1.0))


@inlined
def ema_step4(
    d: EmaWeights, last: float, x0: float, x1: float, x2: float, x3: float
) -> tuple[float, float, float, float]:
    """The next four sums after *last*.

    Each sum waits for the one before; with the recursion written out over four values only every fourth does.
    """
    p1 = fma(d.k1, x0, x1)
    p2 = fma(d.k1, p1, x2)
    p3 = fma(d.k1, p2, x3)
    return fma(d.k1, last, x0), fma(d.k2, last, p1), fma(d.k3, last, p2), fma(d.k4, last, p3)


@inlined
def ema_step2(d: EmaWeights, last: float, x0: float, x1: float) -> tuple[float, float]:
    """The next two sums: where several averages run side by side, this is faster than :func:`four`."""
    return fma(d.k1, last, x0), fma(d.k2, last, fma(d.k1, x0, x1))


@inlined
def ema_diff(one: EmaWeights, sum_of_one: float, other: EmaWeights, sum_of_other: float) -> float:
    """One average minus the other."""
    return fma(one.a, sum_of_one, -other.a * sum_of_other)


@inlined
def value_at(values: Floats, index: int) -> float:
    """``values[index]``, or the last one beyond the end: fills up the last group of four."""
    return values[min(index, len(values) - 1)]


@inlined
def ema_into(d: EmaWeights, last: float, values: Floats, out: Floats) -> float:
    """Write the averages of *values* after the sum *last* into *out*, maybe *values* itself; gives the last sum."""
    whole = len(values) // 4 * 4
    for i in range(0, whole, 4):
        s0, s1, s2, last = ema_step4(d, last, values[i], values[i + 1], values[i + 2], values[i + 3])
        out[i], out[i + 1], out[i + 2], out[i + 3] = d.a * s0, d.a * s1, d.a * s2, d.a * last
    if whole < len(values):
        rest = ema_step4(d, last, values[whole], value_at(values, whole + 1), value_at(values, whole + 2), 0.0)
        for j in range(len(values) - whole):
            last = rest[j]
            out[whole + j] = d.a * last
    return last


@compiled
def ema(values: Floats, span: float) -> Floats:
    """Exponential moving average, ``a = 2 / (span + 1)``, seeded with the first value; shape ``(n,)``."""
    out = values.copy()
    if len(values):
        d = span_weights(span)
        ema_into(d, values[0] / d.a, values[1:], out[1:])
    return out


@inlined
def nan_mean(values: Floats) -> float:
    """Mean of those *values* that are not NaN, of which there may be none: then NaN.

    Four sums side by side, as one would make each value wait for the one before.
    """
    s0 = s1 = s2 = s3 = 0.0
    known, whole = 0, len(values) // 4 * 4
    for i in range(0, whole, 4):
        x0, x1, x2, x3 = values[i], values[i + 1], values[i + 2], values[i + 3]
        known += int(x0 == x0) + int(x1 == x1) + int(x2 == x2) + int(x3 == x3)
        s0 += x0 if x0 == x0 else 0.0
        s1 += x1 if x1 == x1 else 0.0
        s2 += x2 if x2 == x2 else 0.0
        s3 += x3 if x3 == x3 else 0.0
    for i in range(whole, len(values)):
        if values[i] == values[i]:
            s0 += values[i]
            known += 1
    return ((s0 + s1) + (s2 + s3)) / known if known else np.nan


@compiled
def sma(values: Floats, bars: int) -> Floats:
    """Mean of the last *bars* values; NaN before there are as many. Shape ``(n,)``."""
    n = len(values)
    out = np.full(n, np.nan)
    total = 0.0
    for i in range(n):
        total += values[i]
        if i >= bars:
            total -= values[i - bars]
        if i >= bars - 1:
            out[i] = total / bars
    return out


class MacdWeights(NamedTuple):
    """Weights of the three averages of a MACD."""

    fast: EmaWeights
    slow: EmaWeights
    signal: EmaWeights


class MacdState(NamedTuple):
    """The sums of the three averages at one bar."""

    fast: float
    slow: float
    signal: float


@inlined
def macd_weights(fast: float, slow: float, signal: float) -> MacdWeights:
    """Weights for the usual spans."""
    return MacdWeights(span_weights(fast), span_weights(slow), span_weights(signal))


@inlined
def macd_init(m: MacdWeights, close: float) -> MacdState:
    """The state at the first bar, at whose *close* both averages begin."""
    return MacdState(close / m.fast.a, close / m.slow.a, 0.0)


@inlined
def macd_step2(m: MacdWeights, last: MacdState, x0: float, x1: float) -> tuple[float, float, MacdState]:
    """Histogram of the next two bars with closes *x0* and *x1*, and the state at the second of them."""
    fast0, fast1 = ema_step2(m.fast, last.fast, x0, x1)
    slow0, slow1 = ema_step2(m.slow, last.slow, x0, x1)
    line0, line1 = ema_diff(m.fast, fast0, m.slow, slow0), ema_diff(m.fast, fast1, m.slow, slow1)
    signal0, signal1 = ema_step2(m.signal, last.signal, line0, line1)
    own = -m.signal.a
    return fma(own, signal0, line0), fma(own, signal1, line1), MacdState(fast1, slow1, signal1)


@inlined
def macd_into(m: MacdWeights, last: MacdState, close: Floats, out: Floats) -> MacdState:
    """Write the histogram of the bars after *last* into *out*; gives the state at the last of an even number."""
    for i in range(0, len(close) - 1, 2):
        out[i], out[i + 1], last = macd_step2(m, last, close[i], close[i + 1])
    if len(close) % 2:
        out[-1] = macd_step2(m, last, close[-1], close[-1])[0]
    return last


@compiled
def macd_histogram(close: Floats, fast: float, slow: float, signal: float) -> Floats:
    """MACD line minus its signal line (Appel): ``m = ema(fast) - ema(slow)``, ``m - ema(m, signal)``.

    Both averages are seeded with the first close, so the histogram starts at 0. Shape ``(n,)``.
    """
    out = np.zeros(len(close))
    if len(close):
        weights = macd_weights(fast, slow, signal)
        macd_into(weights, macd_init(weights, close[0]), close[1:], out[1:])
    return out
