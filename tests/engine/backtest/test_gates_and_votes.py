"""Gates let through what they say, several methods vote, and wrong requests are refused in one clear line."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from maestro_engine.backtest import (
    BarWindow,
    FillCosts,
    FixedEntries,
    TestSpec,
    TradeSize,
    signals_on,
    simulate_batch,
)
from maestro_engine.indicators.flow import cvd, imbalance
from maestro_engine.indicators.trend import vhf
from maestro_engine.indicators.volatility import wilder_atr, zscore
from maestro_protocol.errors import ConfigError, DataError, ParameterError, UnknownKey

THREE = ("ema_crossover", "macd_trend", "trend_breakout")
N = 3_000


@pytest.fixture(scope="module")
def bars(generated):
    return generated(N, 5)


def trades_of(bars, params, names=("macd_trend",), first=300):
    test = TestSpec("gates", BarWindow(0, first, N, N, N), names, params)
    return simulate_batch(bars, [test], FillCosts()).trades(0)


def test_gate_values_are_the_indicators_at_the_signal(bars):
    trades = trades_of(bars, {"cvd_bars": 20, "imb_bars": 7, "vhf_bars": 30, "atr_bars": 10})
    at = trades["entry_bar"] - 1
    z = zscore(wilder_atr(bars.high, bars.low, bars.close, 10), 288)
    expected = {
        "cvd": cvd(bars.volume, bars.taker_buy_volume, 20),
        "imb": imbalance(bars.volume, bars.taker_buy_volume, 7),
        "vhf": vhf(bars.close, 30),
        "atrz": z,
    }
    for name, column in expected.items():
        np.testing.assert_allclose(trades[name], column[at], rtol=1e-12)


@pytest.mark.parametrize(
    ("params", "holds"),
    [
        ({"gate_cvd": True}, lambda t: t["side"] * t["cvd"] > 0),
        ({"gate_imb": True, "imb_min": 0.1}, lambda t: t["side"] * t["imb"] >= 0.1),
        ({"gate_atrz": True, "atr_z_min": 0.5}, lambda t: t["atrz"] >= 0.5),
        ({"gate_vhf": True, "vhf_min": 0.4}, lambda t: t["vhf"] >= 0.4),
    ],
)
def test_a_gate_lets_through_what_it_says_and_only_when_on(bars, params, holds):
    gated, free = (
        trades_of(bars, params),
        trades_of(bars, dict.fromkeys(params, False) | {k: v for k, v in params.items() if not isinstance(v, bool)}),
    )
    assert 0 < len(gated) < len(free)
    assert holds(gated).all()
    assert not holds(free).all()


def ticked(bars):
    """*bars* in whole tenths, as exchanges quote them."""
    close = np.round(bars.close, 1)
    high, low = np.round(bars.high + 0.1, 1), np.round(bars.low - 0.1, 1)
    return dataclasses.replace(
        bars, open=np.roll(close, 1), high=np.maximum(high, np.roll(close, 1)), low=low, close=close
    )


def test_a_gate_at_its_exact_bound_answers_the_same_wherever_the_window_starts(bars):
    """The ratio of whole tenths is its own bound: it reaches it, though running totals round it by their history."""
    quoted, first, bars_of_vhf = ticked(bars), 900, 28
    steps = np.abs(np.diff(np.round(quoted.close * 10).astype(np.int64)))
    params = {"vhf_bars": bars_of_vhf, "timeout_bars": 12}
    seen = trades_of(quoted, params, ("trend_breakout",), first)["entry_bar"][:6] - 1
    assert len(seen) == 6
    for signal in seen.tolist():
        closes = np.round(quoted.close[signal - bars_of_vhf + 1 : signal + 1] * 10).astype(np.int64)
        bound = int(np.ptp(closes)) / int(steps[signal - bars_of_vhf : signal].sum())
        gated = params | {"gate_vhf": True, "vhf_min": bound}
        tests = [
            TestSpec(f"from {start}", BarWindow(start, signal, N, N, N), ("trend_breakout",), gated)
            for start in range(0, 600, 7)
        ]
        ran = simulate_batch(quoted, tests, FillCosts())
        assert {int(ran.trades(place)["entry_bar"][0]) for place in range(len(tests))} == {signal + 1}


def test_an_unknown_value_does_not_pass_a_gate(bars):
    early = trades_of(bars, {"gate_atrz": True, "atr_z_min": -3.0}, first=10)
    assert early["entry_bar"].min() > 287
    assert np.isnan(trades_of(bars, {}, first=10)["atrz"][0])


def test_gates_on_taker_volume_need_it(generated):
    bars = generated(N, 5, taker=False)
    for gate in ("gate_cvd", "gate_imb"):
        with pytest.raises(DataError, match=f"test gates: {gate} needs taker volume.*TESTUSDT"):
            trades_of(bars, {gate: True})
        with pytest.raises(DataError, match=gate):
            signals_on(bars, ["macd_trend"], {gate: True})
    trades = trades_of(bars, {"gate_vhf": True})
    assert len(trades) > 5
    assert np.isnan(trades["cvd"]).all()
    assert np.isnan(trades["imb"]).all()


def entries(bars, names, params=None):
    found = signals_on(bars, names, params or {})
    return {(int(b), int(s)): int(m) for b, s, m in zip(found.bar, found.side, found.methods, strict=True)}


def test_an_ensemble_is_the_union_without_what_cancels(bars):
    alone = [entries(bars, [name]) for name in THREE]
    spoken = set().union(*alone)
    cancelled = {(b, s) for b, s in spoken if (b, -s) in spoken}
    assert set(entries(bars, THREE)) == spoken - cancelled
    assert all(set(one) <= spoken for one in alone)


@pytest.mark.parametrize("quorum", [2, 3])
@pytest.mark.parametrize("within", [1, 12])
def test_a_quorum_counts_methods_that_agreed_lately(bars, quorum, within):
    alone = [set(entries(bars, [name])) for name in THREE]
    spoken = set().union(*alone)
    spoken -= {(b, s) for b, s in spoken if (b, -s) in spoken}
    expected = {}
    for b, s in spoken:
        votes = [any((b - k, s) in one and (b - k, s) in spoken for k in range(within)) for one in alone]
        if sum(votes) >= quorum:
            expected[b, s] = sum(1 << i for i, vote in enumerate(votes) if vote)
    assert entries(bars, THREE, {"quorum": quorum, "quorum_bars": within}) == expected
    assert within == 1 or expected


def test_a_session_sees_the_signals_a_backtest_takes(bars):
    params = {"gate_vhf": True, "quorum": 2, "macd_fast": 8}
    trades = trades_of(bars, params, THREE[:2], first=0)
    live = entries(bars, THREE[:2], params)
    taken = {(int(t["entry_bar"]) - 1, int(t["side"])): int(t["methods"]) for t in trades}
    assert taken.items() <= live.items()
    for bar, _side in list(taken)[:10]:
        seen = signals_on(bars.slice(0, bar + 1), THREE[:2], params)
        assert seen.bar[-1] == bar


@pytest.mark.parametrize(
    ("params", "error", "says"),
    [
        (
            {"atr_stop_mlt": 1.0},
            ParameterError,
            "test gates: unknown parameter 'atr_stop_mlt'; did you mean 'atr_stop_mult'",
        ),
        ({"atr_stop_mult": 9.0}, ParameterError, "test gates: atr_stop_mult: 9.0 is outside its bounds 0.5 .. 5"),
        ({"atr_stop_mult": float("nan")}, ParameterError, "test gates: atr_stop_mult: nan"),
        ({"timeout_bars": 60.5}, ParameterError, "test gates: timeout_bars: 60.5 is not a whole number of bars"),
        ({"gate_vhf": 0.5}, ParameterError, "test gates: gate_vhf: 0.5 is not true or false"),
        ({"timeout_bars": None}, ParameterError, "test gates: timeout_bars: None is not a number"),
        ({"timeout_bars": "soon"}, ParameterError, "test gates: timeout_bars: 'soon' is not a number"),
        ({"macd_fast": 30, "macd_slow": 20}, ParameterError, "macd_fast 30 must be below macd_slow 20"),
        ({"quorum": 2}, ParameterError, "quorum: 2 votes asked of 1 methods"),
    ],
)
def test_wrong_parameters_are_refused(bars, params, error, says):
    with pytest.raises(error) as caught:
        trades_of(bars, params)
    assert says in str(caught.value)


def test_wrong_requests_are_refused(bars):
    with pytest.raises(UnknownKey, match="did you mean 'macd_trend'"):
        trades_of(bars, {}, ("macd_trnd",))
    with pytest.raises(ConfigError, match="window ends at bar 3001"):
        simulate_batch(bars, [TestSpec(0, BarWindow(0, 1, 2, 2, N + 1), THREE, {})], FillCosts())
    with pytest.raises(ConfigError, match="start <= first"):
        BarWindow(5, 4, 10, 10, 12)
    with pytest.raises(ConfigError, match="taker_bps"):
        FillCosts(taker_bps=-1.0)
    with pytest.raises(ConfigError, match="either qty or notional"):
        TradeSize(qty=1.0)
    with pytest.raises(ParameterError, match="ascending"):
        FixedEntries(np.array([3, 3]), np.array([1, 1]))
    with pytest.raises(ParameterError, match=r"\+1 or -1"):
        FixedEntries(np.array([3, 4]), np.array([1, 0]))


def test_nothing_asked_nothing_done(bars):
    assert len(simulate_batch(bars, [], FillCosts())) == 0


def test_bars_are_not_touched(bars):
    before = [getattr(bars, f.name) for f in dataclasses.fields(bars)]
    copies = [column.copy() if isinstance(column, np.ndarray) else column for column in before]
    trades_of(bars, {}, THREE)
    for column, copy in zip(before, copies, strict=True):
        if isinstance(column, np.ndarray):
            np.testing.assert_array_equal(column, copy)
            assert column.flags.writeable
