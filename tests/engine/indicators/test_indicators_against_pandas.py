"""Every indicator against a formulation of its own in pandas, and none may look ahead."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numba import njit

from maestro_engine.indicators import averages, crossing, flow, trend, volatility
from maestro_engine.indicators.crossing import BLOCK

pd = pytest.importorskip("pandas")

EPS = np.finfo(float).eps
SETTINGS = settings(max_examples=40)
LENGTHS = st.integers(1, 60)
SIZES = st.integers(1, 200) | st.integers(BLOCK - 2, BLOCK + 6) | st.integers(2 * BLOCK - 2, 2 * BLOCK + 6)
SEEDS = st.integers(0, 10_000)


def walk(n, seed):
    return 100.0 * np.exp(np.cumsum(np.random.default_rng(seed).standard_normal(n)) * 0.01)


def candles(n, seed):
    rng = np.random.default_rng(seed)
    close = walk(n, seed)
    return close * (1 + 0.01 * rng.random(n)), close * (1 - 0.01 * rng.random(n)), close


def flows(n, seed):
    rng = np.random.default_rng(seed)
    volume = rng.random(n) * 50.0
    return volume, volume * rng.random(n)


def close_to(got, expected):
    np.testing.assert_allclose(got, np.asarray(expected, float), rtol=1e-9, atol=1e-9)


def summed(values, bars):
    """Each window's sum as if it were computed exactly: nothing of the bars before it is left in it."""
    return pd.Series(values).rolling(bars).apply(math.fsum, raw=True).to_numpy()


def lost(values, bars):
    """What the difference of two running totals may be off by: each of the bars between them rounds a total."""
    return (bars + 2) * EPS * np.max(np.abs(np.cumsum(values)))


def within(got, expected, error):
    """Unknown at the same bars, and elsewhere no further apart than *error*."""
    np.testing.assert_array_equal(np.isnan(got), np.isnan(expected))
    known = ~np.isnan(expected)
    distance, allowed = np.abs(got - expected)[known], np.broadcast_to(error, got.shape)[known]
    assert (distance <= allowed).all(), (distance / allowed).max()


@SETTINGS
@given(n=SIZES, seed=SEEDS, span=LENGTHS)
def test_averages(n, seed, span):
    values = pd.Series(walk(n, seed))
    close_to(averages.ema(values.to_numpy(), span), values.ewm(span=span, adjust=False).mean())
    close_to(averages.sma(values.to_numpy(), span), values.rolling(span).mean())


@SETTINGS
@given(n=SIZES, seed=SEEDS, fast=LENGTHS, more=LENGTHS, signal=LENGTHS)
def test_macd_histogram(n, seed, fast, more, signal):
    values = pd.Series(walk(n, seed))
    line = values.ewm(span=fast, adjust=False).mean() - values.ewm(span=fast + more, adjust=False).mean()
    expected = line - line.ewm(span=signal, adjust=False).mean()
    close_to(averages.macd_histogram(values.to_numpy(), fast, fast + more, signal), expected)


@SETTINGS
@given(n=SIZES, seed=SEEDS, bars=LENGTHS)
def test_wilder_atr(n, seed, bars):
    high, low, close = (pd.Series(column) for column in candles(n, seed))
    before = close.shift().fillna(close.iloc[0])
    ranges = pd.concat([high - low, (high - before).abs(), (low - before).abs()], axis=1).max(axis=1)
    expected = ranges.ewm(alpha=1 / bars, adjust=False).mean()
    close_to(volatility.wilder_atr(high.to_numpy(), low.to_numpy(), close.to_numpy(), bars), expected)


@SETTINGS
@given(n=SIZES, seed=SEEDS, bars=st.integers(5, 60))
@example(n=5, seed=5023, bars=5)
def test_zscore(n, seed, bars):
    values = pd.Series(walk(n, seed))
    moved = values - values[0]  # a mean of prices would round more than the indicator does
    window = moved.rolling(bars)
    mean, deviation = window.apply(np.mean, raw=True), window.apply(np.std, raw=True)
    expected = ((moved - mean) / deviation).to_numpy()
    # Every bar so far rounded the sums of the changes from the first value, which are at most `far`, and of their
    # squares: divided by `bars` both are off by `steps` times what they are sums of.
    far, steps = moved.abs().max(), 2 * (n + bars) * EPS
    of_mean, of_variance = steps * far / deviation, 3 * steps * far**2 / deviation**2
    within(volatility.zscore(values.to_numpy(), bars), expected, of_mean + np.abs(expected) * of_variance)


def test_zscore_of_what_never_moves_is_unknown():
    assert np.isnan(volatility.zscore(np.full(50, 3.3), 10)).all()


@SETTINGS
@given(n=SIZES, seed=SEEDS, bars=LENGTHS)
def test_donchian(n, seed, bars):
    high, low, _ = candles(n, seed)
    upper, lower = trend.donchian(high, low, bars)
    np.testing.assert_array_equal(upper, pd.Series(high).rolling(bars).max())
    np.testing.assert_array_equal(lower, pd.Series(low).rolling(bars).min())


@SETTINGS
@given(n=SIZES, seed=SEEDS, bars=st.integers(2, 60))
def test_vhf(n, seed, bars):
    close = pd.Series(walk(n, seed))
    span = close.rolling(bars).max() - close.rolling(bars).min()
    changes = close.diff().abs()
    way = summed(changes, bars)
    within(trend.vhf(close.to_numpy(), bars), span / way, 2 * EPS + lost(changes.fillna(0.0), bars) / way)


@SETTINGS
@given(n=SIZES, seed=SEEDS, bars=LENGTHS)
@example(n=1022, seed=1027, bars=1)  # a bar of 0.0003 after a total of 26,000: 3e-9 of its imbalance is rounding
def test_flow(n, seed, bars):
    volume, buys = flows(n, seed)
    deltas = 2 * buys - volume
    delta, whole = summed(deltas, bars), summed(volume, bars)
    within(flow.cvd(volume, buys, bars), delta, lost(deltas, bars))
    # |delta| <= volume, so an error of the volume moves the ratio by no more than one of the delta
    error = 2 * EPS + (lost(deltas, bars) + lost(volume, bars)) / whole
    within(flow.imbalance(volume, buys, bars), delta / whole, error)


def test_imbalance_without_volume_is_unknown():
    assert np.isnan(flow.imbalance(np.zeros(5), np.zeros(5), 2)).all()


@njit
def noted(values, bar, side):
    """Crossings of a line that is given block by block, as methods give theirs."""
    line, count = crossing.line_buffer(), 0
    for begin in range(0, len(values), BLOCK):
        block = values[begin : begin + BLOCK]
        line[1 : len(block) + 1] = block
        count = crossing.crossings(line, begin, len(block), bar, side, count)
    return count


@SETTINGS
@given(
    values=st.lists(st.sampled_from([-1.0, 0.0, 1e-300, 2.0, float("nan")]), min_size=1, max_size=40),
    before=st.sampled_from([0, 1, 22, 63, 64, BLOCK - 20, BLOCK]),
)
def test_crossings(values, before):
    line = [0.0] * before + values
    expected = [
        (i, 1 if now > 0 else -1)
        for i, (last, now) in enumerate(pairwise([0.0, *line]))
        if (now > 0 >= last) or (now < 0 <= last)
    ]
    bar, side = np.empty(len(line), np.int64), np.empty(len(line), np.int64)
    count = noted(np.array(line), bar, side)
    assert list(zip(bar[:count].tolist(), side[:count].tolist(), strict=True)) == expected


COLUMNS = {
    "ema": lambda h, lo, c, v, b: averages.ema(c, 9),
    "sma": lambda h, lo, c, v, b: averages.sma(c, 9),
    "macd": lambda h, lo, c, v, b: averages.macd_histogram(c, 5, 11, 4),
    "atr": lambda h, lo, c, v, b: volatility.wilder_atr(h, lo, c, 7),
    "zscore": lambda h, lo, c, v, b: volatility.zscore(c, 12),
    "upper": lambda h, lo, c, v, b: trend.donchian(h, lo, 8)[0],
    "lower": lambda h, lo, c, v, b: trend.donchian(h, lo, 8)[1],
    "vhf": lambda h, lo, c, v, b: trend.vhf(c, 10),
    "cvd": lambda h, lo, c, v, b: flow.cvd(v, b, 10),
    "imbalance": lambda h, lo, c, v, b: flow.imbalance(v, b, 10),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_later_bars_change_no_bit_of_earlier_values(name):
    whole = BLOCK + 9
    columns = (*candles(whole, 3), *flows(whole, 3))
    full = COLUMNS[name](*columns)
    for n in (*range(1, 121), *range(BLOCK - 6, whole)):
        part = COLUMNS[name](*(np.ascontiguousarray(column[:n]) for column in columns))
        np.testing.assert_array_equal(part, full[:n])
