"""trades owns what is known of the trade under way, how its orders are called, and what a session has counted."""

from __future__ import annotations

from decimal import Decimal

from msgspec import Struct

from maestro_engine.trading.venue.orders import Purpose, Side


def order_id(run: str, trade: int, purpose: Purpose, count: int = 1) -> str:
    """Id of the *count*-th order (from 1) for *purpose* of trade number *trade* of *run*; no two have the same."""
    letter = "x" if purpose is Purpose.EXIT else purpose.value[0]
    return f"{run}-{trade}{letter}{count if count > 1 else ''}"


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


class Counts(Struct):
    """What happened so far."""

    orders: int = 0
    fills: int = 0
    rejects: int = 0
    wins: int = 0
    losses: int = 0
