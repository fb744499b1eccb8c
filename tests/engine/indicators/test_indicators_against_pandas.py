"""Every indicator against a formulation of its own in pandas, and none may look ahead."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maestro_engine.indicators import averages, crossing, flow, trend, volatility
from maestro_engine.indicators.crossing import BLOCK

pd = pytest.importorskip("pandas")

SETTINGS = settings(max_examples=40, deadline=None)
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
def test_zscore(n, seed, bars):
    values = pd.Series(walk(n, seed))
    window = values.rolling(bars)
    got = volatility.zscore(values.to_numpy(), bars)
    np.testing.assert_allclose(got, (values - window.mean()) / window.std(ddof=0), rtol=1e-6, atol=1e-7)


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
    expected = span / close.diff().abs().rolling(bars).sum()
    close_to(trend.vhf(close.to_numpy(), bars), expected)


@SETTINGS
@given(n=SIZES, seed=SEEDS, bars=LENGTHS)
def test_flow(n, seed, bars):
    volume, buys = flows(n, seed)
    delta = pd.Series(2 * buys - volume).rolling(bars).sum()
    close_to(flow.cvd(volume, buys, bars), delta)
    close_to(flow.imbalance(volume, buys, bars), delta / pd.Series(volume).rolling(bars).sum())


def test_imbalance_without_volume_is_unknown():
    assert np.isnan(flow.imbalance(np.zeros(5), np.zeros(5), 2)).all()


@SETTINGS
@given(values=st.lists(st.sampled_from([-1.0, 0.0, 1e-300, 2.0, float("nan")]), min_size=1, max_size=40))
def test_crossings(values):
    expected = [
        (i, 1 if now > 0 else -1)
        for i, (before, now) in enumerate(pairwise(values), 1)
        if (now > 0 >= before) or (now < 0 <= before)
    ]
    found = [(i, crossing.crossed(before, now)) for i, (before, now) in enumerate(pairwise(values), 1)]
    assert [(i, side) for i, side in found if side != 0] == expected


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
