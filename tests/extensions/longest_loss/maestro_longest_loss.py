"""maestro_longest_loss is a metric from outside: how many trades in a row lost, at the most."""

from __future__ import annotations

from maestro_engine.backtest import Records
from maestro_engine.metrics.metric import Equity
from maestro_protocol.messages.campaign import Better, MetricUnit


class LongestLoss:
    """A number of trades, in order of their exits."""

    name = "longest_loss"
    label = "Losers in a row"
    unit: MetricUnit = "count"
    better: Better = "less"

    def compute(self, trades: Records, equity: Equity) -> float | None:
        most = now = 0
        for lost in (trades["pnl"] < 0).tolist():
            now = now + 1 if lost else 0
            most = max(most, now)
        return float(most) if len(trades) else None


METRIC = LongestLoss()
