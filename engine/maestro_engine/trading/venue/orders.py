"""orders owns what an order is: its side, type, time in force, and the filters of the instrument it is for."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, Decimal
from enum import StrEnum

ZERO = Decimal(0)


class Side(StrEnum):
    BUY = "buy"
    SELL = "sell"

    @property
    def sign(self) -> int:
        """+1 for a buy, -1 for a sell: the direction in which the position moves."""
        return 1 if self is Side.BUY else -1

    @property
    def opposite(self) -> Side:
        return Side.SELL if self is Side.BUY else Side.BUY


class OrderType(StrEnum):
    MARKET = "market"
    LIMIT = "limit"
    STOP_MARKET = "stop_market"
    """Rests at the venue; becomes a market order when the price reaches ``price`` from the good side."""
    TAKE_PROFIT = "take_profit"
    """Rests at the venue as a reduce-only maker at ``price``."""


class Purpose(StrEnum):
    """What an order is for, in the trade that it belongs to. Its client's own note: no venue looks at it."""

    ENTRY = "entry"
    STOP = "stop"
    TRAILING_STOP = "trailing_stop"
    BREAK_EVEN = "break_even"
    TARGET = "target"
    EXIT = "exit"
    """A market order that leaves the trade: its time is up, the session ends, a person wants it."""

    @classmethod
    def read(cls, written: str | None, client_order_id: str) -> Purpose | None:
        """The purpose as it is *written*; where none is, that of an order of 0.1.0: its id ends with a letter for it.

        None for an order that nobody sent, like a liquidation.
        """
        return cls(written) if written else _LETTERS.get(client_order_id[-1:])


_LETTERS = {"e": Purpose.ENTRY, "s": Purpose.STOP, "t": Purpose.TARGET, "x": Purpose.EXIT}


class TimeInForce(StrEnum):
    GTC = "gtc"
    IOC = "ioc"
    FOK = "fok"
    POST_ONLY = "post_only"
    """Good till cancelled, and rejected rather than ever taking (Binance calls it GTX)."""


@dataclass(frozen=True, slots=True)
class Order:
    """What is sent to the venue. ``client_order_id`` is its identity: sent twice, it is still one order.

    ``qty`` is in base currency (or shares), ``price`` in quote currency: the limit of a limit or
    take-profit order, the trigger of a stop; None for a market order. With ``attached_to`` the venue
    holds the order back until the order of that id has its first fill, and expires it when that one
    ends without any: a bracket, sent together with its entry.
    """

    client_order_id: str
    symbol: str
    side: Side
    type: OrderType
    qty: Decimal
    price: Decimal | None = None
    tif: TimeInForce = TimeInForce.GTC
    reduce_only: bool = False
    attached_to: str | None = None
    purpose: Purpose | None = None


@dataclass(frozen=True, slots=True)
class Instrument:
    """The venue's own filters for one symbol. Prices in quote currency, quantities in base currency (or shares).

    Names follow Binance's ``exchangeInfo`` filters: PRICE_FILTER, LOT_SIZE, MIN_NOTIONAL.
    """

    symbol: str
    tick_size: Decimal
    lot_size: Decimal
    min_qty: Decimal
    max_qty: Decimal
    min_notional: Decimal = ZERO
    """In quote currency; reduce-only orders are exempt, as on Binance."""
    min_price: Decimal = ZERO
    max_price: Decimal | None = None

    def round_price(self, price: Decimal) -> Decimal:
        """The nearest price on the grid of ticks."""
        return (price / self.tick_size).quantize(Decimal(1), ROUND_HALF_EVEN) * self.tick_size

    def round_qty(self, qty: Decimal) -> Decimal:
        """The largest whole number of lots not above *qty*: never more than was asked for."""
        return (qty / self.lot_size).quantize(Decimal(1), ROUND_DOWN) * self.lot_size

    def refusal(self, order: Order, reference: Decimal | None) -> str | None:
        """Why the venue would reject *order*, or None. *reference* prices a market order's notional."""
        return _shape(order) or self._filters(order, reference)

    def _filters(self, order: Order, reference: Decimal | None) -> str | None:
        if order.symbol != self.symbol:
            return f"symbol: {order.symbol} is not traded here"
        if not self.min_qty <= order.qty <= self.max_qty:
            return f"lot_size: quantity {order.qty} is outside {self.min_qty} .. {self.max_qty}"
        if order.qty % self.lot_size:
            return f"lot_size: quantity {order.qty} is not a multiple of {self.lot_size}"
        if order.price is not None and order.price % self.tick_size:
            return f"price_filter: price {order.price} is not a multiple of {self.tick_size}"
        if order.price is not None and not self._in_range(order.price):
            return f"price_filter: price {order.price} is outside {self.min_price} .. {self.max_price}"
        price = order.price if order.price is not None else reference
        if price is not None and not order.reduce_only and order.qty * price < self.min_notional:
            return f"min_notional: {order.qty * price} is below {self.min_notional}"
        return None

    def _in_range(self, price: Decimal) -> bool:
        return price >= self.min_price and (self.max_price is None or price <= self.max_price)


def _shape(order: Order) -> str | None:
    """Why no venue could understand *order*, or None."""
    if not order.qty.is_finite() or order.qty <= 0:
        return f"quantity: {order.qty} is not positive"
    if order.type is OrderType.MARKET:
        return "price: a market order has none" if order.price is not None else None
    if order.price is None or not order.price.is_finite() or order.price <= 0:
        return f"price: a {order.type} order needs a positive one"
    if order.type is OrderType.TAKE_PROFIT and not order.reduce_only:
        return "reduce_only: a take-profit order must be"
    if order.type is not OrderType.LIMIT and order.tif is not TimeInForce.GTC:
        return f"time_in_force: {order.tif} is for limit orders"
    return None
