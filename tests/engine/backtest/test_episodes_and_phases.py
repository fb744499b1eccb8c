"""Episode, phase and total rows against a slow bookkeeping of their own, bar by bar from the trades."""

from __future__ import annotations

import numpy as np
import pytest

from maestro_engine.backtest import (
    BarWindow,
    ExitReason,
    FillCosts,
    Phase,
    Regime,
    TestSpec,
    TradeSize,
    simulate_batch,
)
from maestro_engine.indicators.volatility import wilder_atr, zscore

COSTS, QTY, LENGTH = FillCosts(5.0, 2.0, 1.0), 2.0, 120
WINDOW = BarWindow(40, 340, 1_333, 1_500, 2_017)


@pytest.fixture(scope="module")
def bars(generated):
    return generated(2_100, 21, funding=True)


@pytest.fixture(scope="module")
def result(bars):
    test = TestSpec("t", WINDOW, ("macd_trend", "trend_breakout"), {"atr_stop_mult": 2.5, "hard_tp_usd": 900.0})
    return simulate_batch(bars, [test], COSTS, TradeSize.fixed(QTY), episode_bars=LENGTH)


@pytest.fixture(scope="module")
def equity(bars, result):
    """Equity in USD at the close of every bar from ``first - 1``, from nothing but trades and prices."""
    out = np.zeros(len(bars))
    for t in result.trades(0):
        out[t["exit_bar"] :] += t["pnl"]
        paid = QTY * t["entry"] * COSTS.taker_bps * 1e-4
        whole = t["reason"] == ExitReason.END
        for i in range(t["entry_bar"], t["exit_bar"] + whole):
            if i > t["entry_bar"]:
                paid += t["side"] * bars.funding_rate[i] * QTY * bars.open[i]
            if i != t["exit_bar"]:
                out[i] += t["side"] * (bars.close[i] - t["entry"]) * QTY - paid
    return out


def drawdown(levels):
    return float((levels - np.maximum.accumulate(levels)).min())


def test_episodes_tell_equity_and_drawdown(result, equity):
    episodes = result.episodes(0)
    assert episodes["bars"].tolist() == [LENGTH] * 13 + [117]
    for e in episodes:
        first, stop = int(e["first"]), int(e["first"] + e["bars"])
        levels = equity[first - 1 : stop]
        assert e["mtm_micros"] == pytest.approx((levels[-1] - levels[0]) * 1e6, abs=50)
        assert e["maxdd_micros"] == pytest.approx(drawdown(levels) * 1e6, abs=50)


def test_the_whole_and_its_phases_tell_drawdown(result, equity):
    total, episodes = result.totals[0], result.episodes(0)
    assert total["maxdd_micros"] == pytest.approx(drawdown(equity[WINDOW.first - 1 : WINDOW.end]) * 1e6, abs=50)
    for phase in Phase:
        own = episodes[episodes["phase"] == phase]
        levels = equity[int(own["first"][0]) - 1 : int(own["first"][-1] + own["bars"][-1])]
        assert result.phases[0][phase]["maxdd_micros"] == pytest.approx(drawdown(levels) * 1e6, abs=50)
        assert result.phases[0][phase]["mtm_micros"] == own["mtm_micros"].sum()
        assert result.phases[0][phase]["episodes"] == len(own)


def test_trades_are_counted_where_they_end(result):
    trades, episodes = result.trades(0), result.episodes(0)
    np.testing.assert_array_equal(trades["episode"], (trades["exit_bar"] - WINDOW.first) // LENGTH)
    for e in episodes:
        own = trades[trades["episode"] == e["episode"]]
        assert e["n_trades"] == len(own)
        assert e["wins"] == (own["pnl_micros"] > 0).sum()
        assert e["losses"] == (own["pnl_micros"] < 0).sum()
        assert e["blunders"] == own["blunder"].sum()
        assert e["win_micros"] == own["pnl_micros"][own["pnl_micros"] > 0].sum()
        assert e["pnl_micros"] == own["pnl_micros"].sum()


def test_phases_of_trades_and_episodes(result):
    trades, episodes = result.trades(0), result.episodes(0)
    train = trades["exit_bar"] < WINDOW.train_end
    validation = trades["entry_bar"] >= WINDOW.val_start
    expected = np.where(train, Phase.TRAIN, np.where(validation, Phase.VALIDATION, Phase.GAP))
    np.testing.assert_array_equal(trades["phase"], expected)
    assert set(expected) == set(Phase)
    first = episodes["first"]
    expected = np.where(first < WINDOW.train_end, 0, np.where(first < WINDOW.val_start, 1, 2))
    np.testing.assert_array_equal(episodes["phase"], expected)
    for phase in Phase:
        assert result.phases[0][phase]["n_trades"] == (trades["phase"] == phase).sum()


def test_held_bars_are_closes_with_a_position(result):
    trades = result.trades(0)
    held = (trades["exit_bar"] - trades["entry_bar"] + (trades["reason"] == ExitReason.END)).sum()
    assert result.totals[0]["held_bars"] == held


def test_regime_is_the_mean_z_score_of_the_windows_atr(bars, result):
    window = bars.slice(WINDOW.start, WINDOW.end)
    z = zscore(wilder_atr(window.high, window.low, window.close, 14), 288)
    seen = set()
    for e in result.episodes(0):
        at = int(e["first"]) - WINDOW.start
        mean = z[at : at + int(e["bars"])].mean()
        assert e["atrz"] == pytest.approx(mean)
        assert e["regime"] == (Regime.LOW if mean < -0.5 else Regime.HIGH if mean > 0.5 else Regime.MID)
        seen.add(int(e["regime"]))
    assert len(seen) > 1
    assert result.totals[0]["high_vol"] == (result.episodes(0)["regime"] == Regime.HIGH).sum()


def test_regime_is_unknown_before_there_are_enough_bars(bars):
    short = simulate_batch(bars, [TestSpec(0, BarWindow(0, 10, 250, 250, 250), ("macd_trend",), {})], COSTS)
    assert set(short.episodes(0)["regime"]) == {Regime.UNKNOWN}
    assert np.isnan(short.episodes(0)["atrz"]).all()
    assert short.totals[0]["known_vol"] == 0
