"""calmar owns the Calmar ratio: what a year earns for each dollar of the deepest fall."""

from __future__ import annotations

from dataclasses import dataclass

from maestro_engine.backtest import Records
from maestro_engine.metrics.metric import Equity
from maestro_protocol.messages.campaign import Better, MetricUnit

YEAR_DAYS = 365.0


@dataclass(frozen=True, slots=True)
class Calmar:
    """Young, Calmar Ratio: A Smoother Tool, Futures magazine, 1991; here over the phase instead of three years.

    Positions have one size whatever was earned before, so a year earns as many dollars as there are years in the
    phase times less: nothing is compounded.
    """

    name: str = "calmar"
    label: str = "Calmar ratio"
    unit: MetricUnit = "ratio"
    better: Better = "more"

    def compute(self, trades: Records, equity: Equity) -> float | None:
        """PnL a year through the deepest fall, both in USD; null where nothing fell."""
        if not len(trades) or equity.maxdd >= 0.0 or equity.days <= 0.0:
            return None
        return equity.pnl * YEAR_DAYS / equity.days / -equity.maxdd


METRIC = Calmar()
