"""strategy owns what the methods make of closed candles: the very signals, stops and timeouts of a backtest."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from numpy.lib.stride_tricks import sliding_window_view

from maestro_engine.backtest.live import signals_on
from maestro_engine.backtest.signals import Signals
from maestro_engine.data.bars import Bars
from maestro_engine.exits import rules as exits
from maestro_engine.exits.rules import StopMoves
from maestro_engine.session.config import SessionConfig
from maestro_engine.session.trading.venue import decimal
from maestro_engine.trading.venue.orders import Side

BPS = 1e-4


@dataclass(frozen=True, slots=True)
class Intent:
    """A wish to enter on the close just seen; the desk decides whether it may."""

    side: Side
    qty: Decimal
    stop: Decimal
    target: Decimal
    moves: StopMoves
    methods: tuple[str, ...]
    """Those that voted for the side."""
    gates: tuple[float, float, float, float]
    """What the gates read: volume delta, taker imbalance, z-score of the ATR, VHF; NaN where unknown."""


@dataclass(frozen=True, slots=True)
class SessionTarget:
    """The target order of a session: as stated, in its own money, as a share of the price, and how often reached."""

    stated: float
    amount: float
    distance: float
    reached: float
    """Of the stretches of ``bars_held`` bars, the share in which price went so far, up or down."""
    bars_held: int


def reached(bars: Bars, distance: float, bars_held: int) -> float:
    """The share of all stretches of *bars_held* bars in which price moved by *distance* (a ratio) from its close."""
    n = len(bars) - bars_held
    if n <= 0:
        return 0.0
    highest = sliding_window_view(bars.high[1:], bars_held).max(axis=1)[:n]
    lowest = sliding_window_view(bars.low[1:], bars_held).min(axis=1)[:n]
    close = bars.close[:n]
    return float(((highest >= close * (1 + distance)) | (lowest <= close * (1 - distance))).mean())


class Strategy:
    """Pure: asks the methods about the candles it is given.

    *share*: what amounts of money are multiplied by; None takes it from the position's size at each close.
    """

    def __init__(self, config: SessionConfig, share: Decimal | None = None) -> None:
        self._methods, self._values, self._qty = config.methods, config.values(), config.quantity
        self._declared_for, self._share, self._costs = config.declared_for, share, config.costs
        self.timeout_ms = int(self._values["timeout_bars"]) * config.step_ms
        """After so long, from its first candle's open to the close of its last, a trade is left."""

    def intent(self, bars: Bars) -> Intent | None:
        """What the close of the last of *bars* asks for.

        Raises as :func:`~maestro_engine.backtest.live.signals_on` does.
        """
        found = self.signals(bars)
        if not len(found.bar) or int(found.bar[-1]) != len(bars) - 1:
            return None
        return self.wish(found, -1, float(bars.close[-1]))

    def signals(self, bars: Bars) -> Signals:
        """All that the methods say on *bars*. Raises as :func:`~maestro_engine.backtest.live.signals_on` does."""
        return signals_on(bars, self._methods, self._values)

    def wish(self, found: Signals, place: int, close: float) -> Intent:
        """What the signal at *place* asks for, which stands on *close*."""
        side, atr = int(found.side[place]), float(found.atr[place])
        rules = exits.exit_row(self._values | {"hard_tp_usd": self.reward(close)})
        stop, target = exits.stop_and_target(side, close, atr, float(self._qty), rules)
        moves = exits.stop_moves(side, atr, rules, self._costs.taker_bps * BPS, self._costs.slippage_bps * BPS)
        votes = int(found.methods[place])
        names = tuple(name for bit, name in enumerate(self._methods) if votes >> bit & 1)
        cvd, imb, atrz, vhf = found.gates[place].tolist()
        way = Side.BUY if side > 0 else Side.SELL
        return Intent(way, self._qty, _price(stop), _price(target), moves, names, (cvd, imb, atrz, vhf))

    def reward(self, close: float) -> float:
        """The profit at which a position entered around *close* is closed, quote currency, before costs."""
        stated = float(self._values["hard_tp_usd"])
        if self._share is not None:
            return stated * float(self._share)
        return stated if self._declared_for is None else stated * float(self._qty) * close / float(self._declared_for)

    def target(self, bars: Bars) -> SessionTarget | None:
        """How far the target is from the last close of *bars*, and how often they went so far in time.

        None where it is no amount of money, but a distance in ATR or R.
        """
        if self._values.get("tp_atr") or self._values.get("tp_r"):
            return None
        close, bars_held = float(bars.close[-1]), int(self._values["timeout_bars"])
        amount = self.reward(close)
        distance = amount / (float(self._qty) * close)
        stated = float(self._values["hard_tp_usd"])
        return SessionTarget(stated, amount, distance, reached(bars, distance, bars_held), bars_held)

    def timed_out(self, bar_ms: int, closed_ms: int) -> bool:
        """Whether a trade whose first candle opened at *bar_ms* is to be left at *closed_ms* (UTC milliseconds)."""
        return closed_ms - bar_ms >= self.timeout_ms


def _price(level: float) -> Decimal:
    """A level on the finest grid there is; what is not positive stays so, and the desk lifts it to one tick."""
    return decimal(level)
