"""Trade for trade against the public library ``backtesting``, run with the same rules.

Where its rules differ, and what is left out for it: it has no slippage, maker fee, funding or gates, so there
are none here; at the end of the data it closes at the last *open* and may fill an order of the last bar there,
while ours closes at the last close, so trades that only the end closed are compared by their entry alone.
"""

from __future__ import annotations

import numpy as np
import pytest

from maestro_engine.backtest import ExitReason, FillCosts, TestSpec, TradeSize, simulate_batch

backtesting = pytest.importorskip("backtesting")
pandas = pytest.importorskip("pandas")

# the library calls what its pandas has deprecated
pytestmark = pytest.mark.filterwarnings("ignore:DatetimeIndex.dayofweek")

FIRST, TIMEOUT, STOP_MULT, TARGET, FEE_BPS = 200, 24, 2.5, 450.0, 4.0


def ewm(values, span):
    return pandas.Series(values).ewm(span=span, adjust=False).mean()


def macd_histogram(close):
    line = ewm(close, 12) - ewm(close, 26)
    return (line - ewm(line, 9)).to_numpy()


def crossover(close):
    return (ewm(close, 20) - ewm(close, 50)).to_numpy()


def atr(high, low, close):
    before = np.r_[close[0], close[:-1]]
    true_range = np.maximum(high, before) - np.minimum(low, before)
    return pandas.Series(true_range).ewm(alpha=1 / 14, adjust=False).mean().to_numpy()


def their_trades(bars, indicator):
    class Rules(backtesting.Strategy):
        def init(self):
            self.line = self.I(indicator, self.data.Close)
            self.atr = self.I(atr, self.data.High, self.data.Low, self.data.Close)

        def next(self):
            i = len(self.data) - 1
            if self.trades:
                if i - self.trades[0].entry_bar >= TIMEOUT - 1:
                    self.trades[0].close()
            elif i >= FIRST:
                now, before, close = self.line[-1], self.line[-2], self.data.Close[-1]
                stop = STOP_MULT * self.atr[-1]
                if now > 0 >= before:
                    self.buy(size=1, sl=close - stop, tp=close + TARGET)
                elif now < 0 <= before:
                    self.sell(size=1, sl=close + stop, tp=close - TARGET)

    frame = pandas.DataFrame(
        {"Open": bars.open, "High": bars.high, "Low": bars.low, "Close": bars.close, "Volume": bars.volume},
        index=pandas.to_datetime(bars.open_time, unit="ms"),
    )
    backtesting.backtesting._tqdm = lambda values, **_: values  # no progress bar
    run = backtesting.Backtest(frame, Rules, cash=1e8, commission=FEE_BPS * 1e-4, finalize_trades=True)
    return run.run()["_trades"]


def assert_same_trades(bars, window, method, indicator):
    spec = TestSpec(
        0, window, (method,), {"timeout_bars": TIMEOUT, "atr_stop_mult": STOP_MULT, "hard_tp_usd": TARGET}
    )
    result = simulate_batch(bars, [spec], FillCosts(FEE_BPS, FEE_BPS, 0.0), TradeSize.fixed(1.0))
    ours, theirs = result.trades(0), their_trades(bars, indicator)
    ended = int(ours["reason"][-1] == ExitReason.END)
    assert len(ours) > 20
    assert len(ours) <= len(theirs) <= len(ours) + 1
    np.testing.assert_array_equal(ours["entry_bar"], theirs["EntryBar"][: len(ours)])
    np.testing.assert_array_equal(ours["side"], np.sign(theirs["Size"][: len(ours)]))
    np.testing.assert_allclose(ours["entry"], theirs["EntryPrice"][: len(ours)], rtol=1e-9)
    closed, theirs = ours[: len(ours) - ended], theirs[: len(ours) - ended]
    np.testing.assert_array_equal(closed["exit_bar"], theirs["ExitBar"])
    np.testing.assert_allclose(closed["exit"], theirs["ExitPrice"], rtol=1e-9)
    np.testing.assert_allclose(closed["pnl"], theirs["PnL"], rtol=1e-9, atol=1e-7)
    assert {ExitReason.STOP, ExitReason.TARGET, ExitReason.TIMEOUT} <= set(closed["reason"])


METHODS = [("macd_trend", macd_histogram), ("ema_crossover", crossover)]


@pytest.mark.parametrize(("method", "indicator"), METHODS)
@pytest.mark.parametrize("seed", [1, 2])
def test_generated_bars(generated, whole, method, indicator, seed):
    bars = generated(6_000, seed)
    assert_same_trades(bars, whole(len(bars), FIRST), method, indicator)


@pytest.mark.parametrize(("method", "indicator"), METHODS)
@pytest.mark.parametrize("start", [0, 30_000])
def test_real_bars(btcusdt, whole, method, indicator, start):
    bars = btcusdt.slice(start, start + 10_000)
    assert_same_trades(bars, whole(len(bars), FIRST), method, indicator)
