"""matching owns the seam between the exchange, which keeps orders, and a model of what the market does to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from maestro_engine.trading.venue.events import Liquidity
from maestro_engine.trading.venue.market import MarketUpdate
from maestro_engine.trading.venue.orders import ZERO, Instrument, Order


@dataclass(slots=True)
class Resting:
    """An order at the venue. The exchange changes ``filled``; the rest is the matching model's."""

    order: Order
    arrived: int
    """When the venue accepted it, UTC milliseconds."""
    filled: Decimal = ZERO
    front: Decimal | None = None
    """Quantity ahead of us at our price; None while unknown."""
    seen: Decimal | None = None
    """What the level held when the book last spoke; None while unknown."""
    traded: Decimal = ZERO
    """What has traded at the level since then."""
    taking: bool = False
    """A market order, a triggered stop: takes whatever the next market shows."""

    @property
    def leaves(self) -> Decimal:
        return self.order.qty - self.filled


class Executor(Protocol):
    """What a matching model may ask of the exchange."""

    @property
    def instrument(self) -> Instrument: ...

    @property
    def last_price(self) -> Decimal | None:
        """The last price of a bar, trade or mid before the update being matched; None at first."""
        ...

    def active(self) -> Sequence[Resting]:
        """Orders that may execute now, in order of arrival."""
        ...

    def is_active(self, resting: Resting) -> bool:
        """Whether it still may, after the executions of others."""
        ...

    def execute(self, resting: Resting, qty: Decimal, price: Decimal, liquidity: Liquidity, at: int) -> Decimal:
        """Execute up to *qty*; gives what was executed (less where reduce-only allows less)."""
        ...

    def expire(self, resting: Resting, reason: str, at: int) -> None:
        """Take the rest of the order back."""
        ...


class Matching(Protocol):
    def refusal(self, order: Order, venue: Executor) -> str | None:
        """Why the market as it is forbids *order* (post-only that would take), or None."""
        ...

    def place(self, resting: Resting, venue: Executor, at: int) -> None:
        """The order has just become active."""
        ...

    def update(self, news: MarketUpdate, venue: Executor) -> None:
        """The market has moved."""
        ...
