"""strategy owns what the methods make of closed candles: the very signals, stops and timeouts of a backtest."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from maestro_engine.backtest.live import exit_levels, signals_on
from maestro_engine.market.bars import Bars
from maestro_engine.session.config import SessionConfig
from maestro_engine.session.trading.venue import decimal
from maestro_engine.venue.orders import Side


@dataclass(frozen=True, slots=True)
class Intent:
    """A wish to enter on the close just seen; the desk decides whether it may."""

    side: Side
    qty: Decimal
    stop: Decimal
    target: Decimal


class Strategy:
    """Pure: asks the methods about the candles it is given."""

    def __init__(self, config: SessionConfig) -> None:
        self._methods, self._values, self._qty = config.methods, config.values(), config.quantity
        self._timeout_ms = int(self._values["timeout_bars"]) * config.step_ms

    def intent(self, bars: Bars) -> Intent | None:
        """What the close of the last of *bars* asks for.

        Raises as :func:`~maestro_engine.backtest.live.signals_on` does.
        """
        found = signals_on(bars, self._methods, self._values)
        if not len(found.bar) or int(found.bar[-1]) != len(bars) - 1:
            return None
        side, atr, close = int(found.side[-1]), float(found.atr[-1]), float(bars.close[-1])
        stop_mult, reward = float(self._values["atr_stop_mult"]), float(self._values["hard_tp_usd"])
        stop, target = exit_levels(side, close, atr, float(self._qty), stop_mult, reward)
        return Intent(Side.BUY if side > 0 else Side.SELL, self._qty, _price(stop), _price(target))

    def timed_out(self, bar_ms: int, closed_ms: int) -> bool:
        """Whether a trade whose first candle opened at *bar_ms* is to be left at *closed_ms* (UTC milliseconds)."""
        return closed_ms - bar_ms >= self._timeout_ms


def _price(level: float) -> Decimal:
    """A level on the finest grid there is; what is not positive stays so, and the desk lifts it to one tick."""
    return decimal(level)
