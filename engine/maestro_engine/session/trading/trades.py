"""trades owns what is known of the trade under way, how its orders are called, and what a session has counted."""

from __future__ import annotations

from decimal import Decimal

from msgspec import Struct

from maestro_engine.exits.rules import StopMoves
from maestro_engine.trading.venue.orders import Order, Purpose, Side


def order_id(run: str, trade: int, purpose: Purpose, count: int = 1) -> str:
    """Id of the *count*-th order (from 1) for *purpose* of trade number *trade* of *run*; no two have the same.

    All stops of a trade are counted as one, whatever put them where they are.
    """
    return f"{run}-{trade}{_LETTERS.get(purpose, 's')}{count if count > 1 else ''}"


_LETTERS = {Purpose.ENTRY: "e", Purpose.TARGET: "t", Purpose.EXIT: "x"}


def purpose_of(order: Order) -> Purpose | None:
    """What *order* is for, in states of every release."""
    return Purpose.read(order.purpose, order.client_order_id)


class OpenTrade(Struct):
    """The trade that is under way: from sending its entry until it is flat again."""

    number: int
    side: Side
    loss: Decimal
    """What its plan says it may lose."""
    bar_ms: int | None = None
    """Open time of the candle its entry fills in, the exchange's: the one after the candle it was decided on."""
    leaving: str | None = None
    """Why it is being left, once that was decided."""
    exits: int = 0
    """Market orders sent to leave it."""
    moves: StopMoves = StopMoves()
    stops: int = 1
    """Stop orders sent for it."""
    best: float | None = None
    """Best price of the candles since its entry, quote currency; None before the first has closed."""


class Counts(Struct):
    """What happened so far."""

    orders: int = 0
    fills: int = 0
    rejects: int = 0
    wins: int = 0
    losses: int = 0
