"""The registry of methods, their parameters, and signals against slow formulations of their own."""

from __future__ import annotations

import numpy as np
import pytest

from maestro_engine import methods
from maestro_engine.data.bars import Bars
from maestro_engine.indicators.columns import columns_of
from maestro_engine.indicators.crossing import BLOCK
from maestro_protocol.errors import ParameterError, UnknownKey

pd = pytest.importorskip("pandas")

EVERY = methods.all_methods()


def bars_of(n, seed=4):
    rng = np.random.default_rng(seed)
    close = 100.0 * np.exp(np.cumsum(rng.standard_normal(n)) * 0.01)
    opened = np.r_[100.0, close[:-1]]
    high, low = np.maximum(opened, close) * 1.003, np.minimum(opened, close) * 0.997
    return Bars("X", 300_000, 300_000 * np.arange(n), opened, high, low, close, rng.random(n), None)


def signals(method, bars, values=None):
    given = np.array([float(spec.default) for spec in method.specs] if values is None else values, np.float64)
    bar, side = np.empty(len(bars), np.int64), np.empty(len(bars), np.int64)
    count = method.scan(columns_of(bars), given, bar, side)
    return list(zip(bar[:count].tolist(), side[:count].tolist(), strict=True))


def where_sign_changes(line):
    return [
        (i, 1 if line[i] > 0 else -1)
        for i in range(1, len(line))
        if (line[i] > 0 >= line[i - 1]) or (line[i] < 0 <= line[i - 1])
    ]


def test_the_three_of_the_specification_are_found():
    assert {"ema_crossover", "macd_trend", "trend_breakout"} <= {method.name for method in EVERY}
    assert [method.name for method in EVERY] == sorted(method.name for method in EVERY)
    with pytest.raises(UnknownKey, match="did you mean 'ema_crossover'"):
        methods.get("ema_crossovr")


@pytest.mark.parametrize("method", EVERY, ids=lambda method: method.name)
def test_a_method_is_complete(method):
    assert method.about
    assert methods.get(method.name) is method
    space = methods.space_for([method.name])
    assert set(space.names) == {spec.name for spec in (*method.specs, *methods.COMMON)}
    assert methods.check([method.name], {}) == space.defaults()
    for spec in method.specs:
        assert spec.clip(float(spec.default)) == spec.default


@pytest.mark.parametrize("method", EVERY, ids=lambda method: method.name)
def test_later_bars_change_no_earlier_signal(method):
    whole = 2 * BLOCK + 9
    bars = bars_of(whole)
    full = signals(method, bars)
    assert len(full) > 1
    for n in (*range(1, 120), *range(BLOCK - 6, BLOCK + 9), *range(2 * BLOCK - 6, whole)):
        assert signals(method, bars.slice(0, n)) == [signal for signal in full if signal[0] < n]


@pytest.mark.parametrize("method", EVERY, ids=lambda method: method.name)
def test_a_price_that_stands_still_gives_no_signal(method):
    """Its averages agree but for their last digits, which differ with a bar's place in its group."""
    rng = np.random.default_rng(1)
    for _ in range(200):
        price = np.round(10.0 ** rng.uniform(-3.0, 5.0), 4)
        moved = price * np.exp(np.cumsum(rng.standard_normal(300)) * 0.01)
        close = np.r_[moved[: rng.choice((0, 300))], np.full(3_000, price)]
        still = Bars(
            "X", 300_000, 300_000 * np.arange(len(close)), close, close, close, close, np.ones(len(close)), None
        )
        drawn = np.sort(rng.choice(np.arange(5, 100), len(method.specs), replace=False))
        values = [float(spec.clip(float(value))) for spec, value in zip(method.specs, drawn, strict=True)]
        assert all(bar < len(close) - 1_000 for bar, _ in signals(method, still, values))


@pytest.mark.parametrize("method", EVERY, ids=lambda method: method.name)
def test_many_settings_in_one_call_give_the_signals_of_one_after_another(method):
    """List after list, from where those before them end, and however short the bars are."""
    for n in (700, 3):
        bars, first = bars_of(n), 2
        rows = np.array(
            [
                [float(spec.clip(spec.low + (step + at) * spec.step)) for at, spec in enumerate(method.specs)]
                for step in range(5)
            ]
        )
        pool, sides, ends = np.full(6 * n + 11, -1), np.full(6 * n + 11, -1), np.zeros(first + 6, np.int64)
        ends[first] = 11
        method.scan_grid(columns_of(bars), rows, pool, sides, ends, first)
        assert ends[first] == 11
        for r, values in enumerate(rows):
            own = slice(ends[first + r], ends[first + r + 1])
            assert list(zip(pool[own].tolist(), sides[own].tolist(), strict=True)) == signals(method, bars, values)


def test_macd_trend_enters_where_the_histogram_changes_its_sign():
    bars = bars_of(2_000)
    close = pd.Series(bars.close)
    line = close.ewm(span=8, adjust=False).mean() - close.ewm(span=21, adjust=False).mean()
    histogram = (line - line.ewm(span=5, adjust=False).mean()).to_numpy()
    assert signals(methods.get("macd_trend"), bars, (8, 21, 5)) == where_sign_changes(histogram)


def test_ema_crossover_enters_where_the_averages_cross():
    bars = bars_of(2_000)
    close = pd.Series(bars.close)
    line = (close.ewm(span=10, adjust=False).mean() - close.ewm(span=30, adjust=False).mean()).to_numpy()
    assert signals(methods.get("ema_crossover"), bars, (10, 30)) == where_sign_changes(line)


@pytest.mark.parametrize("length", [5, 20, 47, 400, 2_500])
def test_trend_breakout_enters_with_the_first_close_outside_the_channel(length):
    bars = bars_of(2_000)
    upper = pd.Series(bars.high).rolling(length).max().shift().to_numpy()
    lower = pd.Series(bars.low).rolling(length).min().shift().to_numpy()
    now = (bars.close > upper).astype(int) - (bars.close < lower).astype(int)
    expected = [(i, int(now[i])) for i in range(1, 2_000) if now[i] != 0 and now[i] != now[i - 1]]
    got = signals(methods.get("trend_breakout"), bars, (length,))
    assert got == expected
    assert {side for _, side in got} == ({-1, 1} if length < 2_000 else set())


def test_a_space_joins_methods_and_shares_the_common_parameters():
    space = methods.space_for(["macd_trend", "ema_crossover"])
    assert {"macd_fast", "ema_fast", "atr_stop_mult", "quorum"} <= set(space.names)
    assert space["gate_cvd"].needs == space["gate_imb"].needs == "taker_volume"


def test_parameters_that_do_not_go_together_are_refused():
    with pytest.raises(ParameterError, match="macd_fast 40 must be below macd_slow 26"):
        methods.check(["macd_trend"], {"macd_fast": 40})
    with pytest.raises(ParameterError, match="3 votes asked of 2 methods"):
        methods.check(["macd_trend", "ema_crossover"], {"quorum": 3})
    assert methods.check(["macd_trend", "ema_crossover"], {"quorum": 2})["quorum"] == 2


def test_a_trade_has_one_target():
    assert methods.check(["macd_trend"], {"tp_atr": 3, "trail_atr": 2})["tp_atr"] == 3.0
    with pytest.raises(ParameterError, match="tp_atr and tp_r: a trade has one target"):
        methods.check(["macd_trend"], {"tp_atr": 3, "tp_r": 2})


def test_exits_that_are_off_by_default_are_in_no_space_that_is_searched():
    optional = {spec.name for spec in methods.OPTIONAL_EXITS}
    assert optional == {"tp_atr", "tp_r", "trail_atr", "break_even_r"}
    assert all(spec.default == spec.low == 0.0 for spec in methods.OPTIONAL_EXITS)
    for method in methods.all_methods():
        assert not optional & set(methods.space_for([method.name]).names)
        assert not optional & set(methods.check([method.name], {}))
