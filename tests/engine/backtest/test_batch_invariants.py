"""What must hold of any batch: no look-ahead, money that adds up, results that threads and order cannot change."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maestro_engine import methods
from maestro_engine.backtest import (
    BarWindow,
    ExitReason,
    FillCosts,
    FixedEntries,
    TestSpec,
    period_pnl,
    simulate_batch,
)
from maestro_engine.data.bars import Bars
from maestro_protocol.errors import ParameterError

NAMES = tuple(method.name for method in methods.all_methods())
SETTINGS = settings(max_examples=25)


@st.composite
def specs(draw, window, test_id=0):
    """A test with drawn methods and parameters, all inside their bounds and in order."""
    names = tuple(draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=3, unique=True)))
    params = {}
    for spec in methods.space_for(names).specs:
        if draw(st.booleans()):
            params[spec.name] = spec.clip(draw(st.floats(spec.low, spec.high)))
    params["quorum"] = draw(st.integers(1, len(names)))
    for fast, slow in (("macd_fast", "macd_slow"), ("ema_fast", "ema_slow")):
        if fast in params or slow in params:
            params.update({fast: 7, slow: 7 + draw(st.integers(1, 50))})
    known = methods.space_for(names).names
    return TestSpec(test_id, window, names, {k: v for k, v in params.items() if k in known})


@st.composite
def costs(draw):
    bps = st.floats(0.0, 20.0)
    return FillCosts(draw(bps), draw(bps), draw(bps))


@pytest.fixture(scope="module")
def bars(generated) -> Bars:
    return generated(1_600, 11, funding=True)


def cut(bars: Bars, n: int) -> Bars:
    return bars.slice(0, n)


@SETTINGS
@given(data=st.data())
def test_future_bars_change_no_earlier_trade(bars, data):
    end = data.draw(st.integers(400, 1_500))
    spec = data.draw(specs(BarWindow(0, 50, end, end, end)))
    longer = TestSpec(0, BarWindow(0, 50, 1_600, 1_600, 1_600), spec.methods, spec.params)
    bill = data.draw(costs())
    before = simulate_batch(cut(bars, end), [spec], bill).trades(0)
    after = simulate_batch(bars, [longer], bill).trades(0)
    settled = before[before["reason"] != ExitReason.END]
    assert len(before) - len(settled) <= 1
    for field in settled.dtype.names:
        if field != "phase":
            np.testing.assert_array_equal(settled[field], after[field][: len(settled)])


@SETTINGS
@given(data=st.data())
def test_money_adds_up_exactly(bars, data):
    train_end = data.draw(st.integers(300, 900))
    window = BarWindow(20, 100, train_end, data.draw(st.integers(train_end, 1_200)), 1_500)
    spec = data.draw(specs(window))
    length = data.draw(st.integers(7, 400))
    result = simulate_batch(bars, [spec], data.draw(costs()), episode_bars=length)
    trades, episodes, total, phases = result.trades(0), result.episodes(0), result.totals[0], result.phases[0]
    for amount in ("pnl_micros", "fees_micros", "funding_micros"):
        assert trades[amount].sum() == episodes[amount].sum() == phases[amount].sum() == total[amount]
    assert total["mtm_micros"] == episodes["mtm_micros"].sum() == phases["mtm_micros"].sum()
    assert total["mtm_micros"] == total["pnl_micros"] == total["win_micros"] + total["loss_micros"]
    for count in ("n_trades", "wins", "losses", "blunders", "bars", "held_bars"):
        assert episodes[count].sum() == phases[count].sum() == total[count]
    assert total["n_trades"] == len(trades)
    assert total["bars"] == 1_400
    np.testing.assert_array_equal(trades["pnl_micros"], np.rint(trades["pnl"] * 1e6).astype(np.int64))
    gross = trades["side"] * (trades["exit"] - trades["entry"]) * trades["qty"]
    np.testing.assert_allclose(trades["pnl"], gross - trades["fees"] - trades["funding"], atol=1e-6)


@SETTINGS
@given(data=st.data())
def test_prices_lie_inside_their_bars_and_fees_are_never_negative(bars, data):
    spec = data.draw(specs(BarWindow(0, 30, 1_600, 1_600, 1_600)))
    trades = simulate_batch(bars, [spec], data.draw(costs())).trades(0)
    for when, price in (("entry_bar", "entry"), ("exit_bar", "exit")):
        at = trades[when]
        assert np.all(trades[price] >= bars.low[at])
        assert np.all(trades[price] <= bars.high[at])
    assert np.all(trades["fees"] >= 0.0)
    assert np.all(trades["mae"] <= 0.0)
    assert np.all(trades["mfe"] >= 0.0)
    assert np.all(trades["entry_bar"][1:] > trades["exit_bar"][:-1])


def assert_same(one, two, order):
    assert len(two) == len(order)
    for i, j in enumerate(order):
        assert one.tests[j].test_id == two.tests[i].test_id
        for view in ("trades", "episodes"):
            assert getattr(one, view)(j).tobytes() == getattr(two, view)(i).tobytes()
        assert one.totals[j].tobytes() == two.totals[i].tobytes()
        assert one.phases[j].tobytes() == two.phases[i].tobytes()


@settings(max_examples=8)
@given(data=st.data())
def test_threads_and_order_change_nothing(bars, data):
    windows = [BarWindow(s, s + 100, s + 500, s + 600, s + 800) for s in (0, 64, 300, 700)]
    tests = [data.draw(specs(windows[data.draw(st.integers(0, 3))], i)) for i in range(12)] * 5
    order = data.draw(st.permutations(range(len(tests))))
    one = simulate_batch(bars, tests, FillCosts())
    two = simulate_batch(bars, [tests[j] for j in order], FillCosts(), jobs=3)
    assert_same(one, two, order)
    alone = simulate_batch(bars, [tests[order[0]]], FillCosts())
    assert_same(one, alone, order[:1])


def test_sums_without_trades_are_the_same(bars):
    window = BarWindow(0, 100, 900, 1_000, 1_600)
    tests = [TestSpec(i, window, NAMES, {"atr_stop_mult": 1.0 + 0.1 * i}) for i in range(30)]
    kept, summed = (simulate_batch(bars, tests, FillCosts(), keep_trades=keep) for keep in (True, False))
    assert kept.totals.tobytes() == summed.totals.tobytes()
    assert all(kept.episodes(i).tobytes() == summed.episodes(i).tobytes() for i in range(30))
    with pytest.raises(LookupError, match="keep_trades"):
        summed.trades(0)


def test_period_pnl_adds_up_to_the_total(bars):
    tests = [
        TestSpec(i, BarWindow(0, 100, 1_600, 1_600, 1_600), NAMES[:2], {"atr_stop_mult": 1 + i / 10})
        for i in range(5)
    ]
    series = period_pnl(bars, tests, FillCosts(), period_bars=96)
    assert series.shape == (5, 16)
    np.testing.assert_array_equal(series.sum(axis=1), simulate_batch(bars, tests, FillCosts()).totals["pnl_micros"])


def test_forced_signals_take_the_same_exits(bars):
    """What a method found and then is forced gives the same trades, so a null model differs in its entries alone."""
    window = BarWindow(0, 100, 1_600, 1_600, 1_600)
    found = simulate_batch(bars, [TestSpec(0, window, ("macd_trend",), {})], FillCosts()).trades(0)
    forced = FixedEntries(found["entry_bar"] - 1, found["side"])
    given_back = simulate_batch(bars, [TestSpec(0, window, (), {}, forced)], FillCosts()).trades(0)
    assert len(found) > 10
    for field in found.dtype.names:
        if field != "methods":
            np.testing.assert_array_equal(found[field], given_back[field])


def test_a_window_is_a_world_of_its_own(bars):
    """History before a window's start does not reach into it."""
    inside = simulate_batch(bars, [TestSpec(0, BarWindow(500, 600, 1_200, 1_300, 1_600), NAMES, {})], FillCosts())
    apart = simulate_batch(
        bars.slice(500, 1_600), [TestSpec(0, BarWindow(0, 100, 700, 800, 1_100), NAMES, {})], FillCosts()
    )
    assert len(inside.trades(0)) > 5
    np.testing.assert_array_equal(inside.trades(0)["entry_bar"], apart.trades(0)["entry_bar"] + 500)
    np.testing.assert_array_equal(inside.trades(0)["pnl"], apart.trades(0)["pnl"])
    np.testing.assert_array_equal(inside.episodes(0)["first"], apart.episodes(0)["first"] + 500)


@settings(max_examples=5)
@given(data=st.data(), cells=st.sampled_from((1, 20_000)))
def test_how_many_lists_are_looked_for_at_once_changes_nothing(bars, data, cells):
    window = BarWindow(0, 100, 1_600, 1_600, 1_600)
    at = np.arange(90, 1_500, 70)
    forced = FixedEntries(at, np.where(at % 20 == 0, 1, -1), np.arange(len(at)))
    tests = [data.draw(specs(window, i)) for i in range(12)]
    tests += [TestSpec(i, window, ("macd_trend",), {"atr_bars": 9 + i % 2}, forced) for i in range(12, 15)]
    together = simulate_batch(bars, tests, FillCosts())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("maestro_engine.backtest.batch.MAX_SIGNAL_CELLS", cells)
        apart = simulate_batch(bars, tests, FillCosts())
    assert_same(together, apart, range(len(tests)))
    assert set(together.trades(14)["methods"]) <= set(forced.votes)
    assert len(together.trades(14)) > 5


def test_values_that_do_not_go_together_are_refused_by_the_name_of_their_test(bars):
    window = BarWindow(0, 100, 1_600, 1_600, 1_600)
    good = TestSpec("good", window, ("macd_trend", "ema_crossover"), {"quorum": 2})
    bad = TestSpec("bad", window, ("ema_crossover", "macd_trend"), {"macd_fast": 40})
    with pytest.raises(ParameterError, match="test bad: macd_trend: macd_fast 40 must be below macd_slow 26"):
        simulate_batch(bars, [good, bad], FillCosts())
    bad = TestSpec("bad", window, ("macd_trend",), {"quorum": 2})
    with pytest.raises(ParameterError, match="test bad: quorum: 2 votes asked of 1 methods"):
        simulate_batch(bars, [good, bad], FillCosts())
    with pytest.raises(ParameterError, match="test bad: macd_fast: 'many' is not a number"):
        simulate_batch(bars, [good, TestSpec("bad", window, ("macd_trend",), {"macd_fast": "many"})], FillCosts())
    assert len(simulate_batch(bars, [], FillCosts())) == 0
