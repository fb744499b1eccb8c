"""events owns what a venue tells about an order: frozen facts, each about one client order id.

``at`` is the venue's time in UTC milliseconds. Every event may arrive late, twice or out of order;
:mod:`maestro_engine.trading.venue.lifecycle` makes sense of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from maestro_engine.trading.venue.orders import Order, Side


class Liquidity(StrEnum):
    MAKER = "maker"
    TAKER = "taker"
    ASSUMED = "assumed"
    """No execution: closed in the books alone, at a price that nobody made."""


@dataclass(frozen=True, slots=True)
class OrderSubmitted:
    """The order left for the venue."""

    order: Order
    at: int

    @property
    def client_order_id(self) -> str:
        return self.order.client_order_id


@dataclass(frozen=True, slots=True)
class CancelRequested:
    """A cancel left for the venue."""

    client_order_id: str
    at: int


@dataclass(frozen=True, slots=True)
class OrderAccepted:
    client_order_id: str
    at: int


@dataclass(frozen=True, slots=True)
class Fill:
    """One execution. ``fill_id`` is the venue's and unique; ``price`` and ``fee`` in quote currency.

    A negative fee is a rebate. ``qty`` is always positive.
    """

    client_order_id: str
    fill_id: str
    symbol: str
    side: Side
    qty: Decimal
    price: Decimal
    fee: Decimal
    liquidity: Liquidity
    at: int

    @property
    def signed_qty(self) -> Decimal:
        return self.qty if self.side is Side.BUY else -self.qty


@dataclass(frozen=True, slots=True)
class OrderRejected:
    """The venue never took the order."""

    client_order_id: str
    reason: str
    at: int


@dataclass(frozen=True, slots=True)
class OrderCancelled:
    """The rest was taken back on request; ``filled`` is all that was ever executed, told before or not."""

    client_order_id: str
    filled: Decimal
    at: int


@dataclass(frozen=True, slots=True)
class OrderExpired:
    """The venue itself took the rest back; ``filled`` is all that was ever executed, told before or not."""

    client_order_id: str
    filled: Decimal
    reason: str
    at: int


OrderEvent = OrderSubmitted | CancelRequested | OrderAccepted | Fill | OrderRejected | OrderCancelled | OrderExpired
