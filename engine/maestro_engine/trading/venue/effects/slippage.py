"""slippage owns the price at which a taker trades what the visible book does not show."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from maestro_engine.trading.venue.money import adverse
from maestro_engine.trading.venue.orders import Side


@dataclass(frozen=True, slots=True)
class Touch:
    """The last price known to be good. ``gap`` to the next level and ``depth`` per level, None where unknown."""

    price: Decimal
    gap: Decimal | None = None
    depth: Decimal | None = None


class Slippage(Protocol):
    def price(self, side: Side, qty: Decimal, touch: Touch) -> Decimal:
        """The average price of taking *qty* beyond *touch*; never better than it, rounded against the taker."""
        ...


@dataclass(frozen=True, slots=True)
class BpsSlippage:
    """A fixed share of the price, in basis points, whatever the size."""

    bps: Decimal

    def price(self, side: Side, qty: Decimal, touch: Touch) -> Decimal:
        move = touch.price * self.bps / 10_000
        return adverse(touch.price + side.sign * move, side is Side.BUY)


@dataclass(frozen=True, slots=True)
class DepthSlippage:
    """Walks an even book beyond the touch: a level of ``depth`` at every ``gap``, worse and worse.

    So it grows with the spread and with size over depth. Where the touch tells no gap or depth, *fallback*.
    """

    fallback: BpsSlippage

    def price(self, side: Side, qty: Decimal, touch: Touch) -> Decimal:
        if not touch.gap or not touch.depth:
            return self.fallback.price(side, qty, touch)
        full, rest = divmod(qty, touch.depth)
        steps = (touch.depth * full * (full + 1) / 2 + rest * (full + 1)) / qty
        return adverse(touch.price + side.sign * touch.gap * steps, side is Side.BUY)
