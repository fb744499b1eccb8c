"""backtesting_event owns the rules as a strategy of ``backtesting``, called bar by bar."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import backtesting
import numpy as np
import pandas as pd
from backtesting import Backtest, Strategy
from rules import ATR_BARS, CASH, FEE, WARMUP, Rules
from wire import Traded, serve_engine

warnings.filterwarnings("ignore")
backtesting.backtesting._tqdm = lambda items, **_: items  # a progress bar would be timed too


def histogram(close: Any, fast: int, slow: int, signal: int) -> Any:
    series = pd.Series(close)
    line = series.ewm(span=fast, adjust=False).mean() - series.ewm(span=slow, adjust=False).mean()
    return (line - line.ewm(span=signal, adjust=False).mean()).to_numpy()


def average_true_range(high: Any, low: Any, close: Any) -> Any:
    before = np.concatenate((close[:1], close[:-1]))
    spread = np.maximum(high, before) - np.minimum(low, before)
    return pd.Series(spread).ewm(alpha=1 / ATR_BARS, adjust=False).mean().to_numpy()


class Reference(Strategy):
    asked = Rules()

    def init(self) -> None:
        asked, data = self.asked, self.data
        self.histogram = self.I(histogram, data.Close, asked.fast, asked.slow, asked.signal)
        self.atr = self.I(average_true_range, data.High, data.Low, data.Close)

    def next(self) -> None:
        bar = len(self.data) - 1
        if self.trades:
            if bar - self.trades[0].entry_bar >= self.asked.timeout - 1:
                self.trades[0].close()
        elif bar >= WARMUP:
            self._enter(self.histogram[-2], self.histogram[-1], self.data.Close[-1])

    def _enter(self, before: float, now: float, close: float) -> None:
        stop, target = self.asked.stop_atr * self.atr[-1], self.asked.target_usd
        if now > 0 >= before:
            self.buy(size=1, sl=close - stop, tp=close + target)
        elif now < 0 <= before:
            self.sell(size=1, sl=close + stop, tp=close - target)


class Backtesting:
    def load(self, columns: dict[str, Any]) -> Any:
        prices = {name.capitalize(): columns[name] for name in ("open", "high", "low", "close", "volume")}
        frame = pd.DataFrame(prices, index=pd.to_datetime(columns["open_ms"], unit="ms"))
        self.one(frame.iloc[:500], Rules())
        return frame

    def one(self, market: Any, asked: Rules) -> list[Any]:
        return self.many(market, [asked])

    def many(self, market: Any, grid: Sequence[Rules]) -> list[Any]:
        backtest = Backtest(market, Reference, cash=CASH, commission=FEE, finalize_trades=True)
        return [backtest.run(asked=asked)["_trades"] for asked in grid]

    def told(self, trades: list[Any]) -> Traded:
        return Traded(sum(len(run) for run in trades), float(sum(run["PnL"].sum() for run in trades)))


if __name__ == "__main__":
    serve_engine(Backtesting())
