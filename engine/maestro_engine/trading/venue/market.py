"""market owns the market data that orders are matched against. Times UTC milliseconds, at the venue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from maestro_engine.trading.venue.orders import Side

Levels = Sequence[tuple[Decimal, Decimal]]
"""(price, quantity) pairs in any order; quantity 0 deletes the level."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A closed bar: it covers ``open_at`` to ``close_at``."""

    open_at: int
    close_at: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal

    @property
    def at(self) -> int:
        return self.close_at


@dataclass(frozen=True, slots=True)
class Trade:
    """A trade of others; ``taker`` is the side of the order that came in."""

    at: int
    price: Decimal
    qty: Decimal
    taker: Side


@dataclass(frozen=True, slots=True)
class Quote:
    """Best bid and offer. A side without orders has quantity 0."""

    at: int
    bid: Decimal
    bid_qty: Decimal
    ask: Decimal
    ask_qty: Decimal


@dataclass(frozen=True, slots=True)
class BookSnapshot:
    """The whole visible book; replaces what was known."""

    at: int
    bids: Levels
    asks: Levels


@dataclass(frozen=True, slots=True)
class BookDelta:
    """Levels that changed, with their new absolute quantities. The feed checks the chain of update ids."""

    at: int
    bids: Levels
    asks: Levels


MarketUpdate = Bar | Trade | Quote | BookSnapshot | BookDelta
