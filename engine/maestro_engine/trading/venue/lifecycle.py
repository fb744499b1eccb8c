"""lifecycle owns the state machine of one order: which status may follow which, and what each event does.

A venue's messages may come twice, late or out of order. Three rules make that harmless:

* a fill is known by its id, so the second copy changes nothing;
* a fill says that the order was accepted, so an acknowledgement that comes after it is late, not wrong;
* the message that ends an order says how much was filled in all: until those fills are here, the order
  stays open, so no fill ever arrives at a closed order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum

from maestro_engine.trading.venue.events import (
    CancelRequested,
    Fill,
    OrderAccepted,
    OrderCancelled,
    OrderEvent,
    OrderExpired,
    OrderRejected,
    OrderSubmitted,
)
from maestro_engine.trading.venue.orders import ZERO, Order
from maestro_protocol.errors import DataError


class Status(StrEnum):
    SUBMITTED = "submitted"
    ACCEPTED = "accepted"
    PARTIALLY_FILLED = "partially_filled"
    CANCEL_PENDING = "cancel_pending"
    FILLED = "filled"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    EXPIRED = "expired"

    @property
    def terminal(self) -> bool:
        return not LEGAL[self]


S = Status
LEGAL: Mapping[Status, frozenset[Status]] = {
    S.SUBMITTED: frozenset(S) - {S.SUBMITTED},
    S.ACCEPTED: frozenset({S.PARTIALLY_FILLED, S.FILLED, S.CANCEL_PENDING, S.CANCELLED, S.EXPIRED}),
    S.PARTIALLY_FILLED: frozenset({S.FILLED, S.CANCEL_PENDING, S.CANCELLED, S.EXPIRED}),
    S.CANCEL_PENDING: frozenset({S.FILLED, S.CANCELLED, S.REJECTED, S.EXPIRED}),
    S.FILLED: frozenset(),
    S.CANCELLED: frozenset(),
    S.REJECTED: frozenset(),
    S.EXPIRED: frozenset(),
}
"""Every change of status there is. A status without successors is terminal."""


@dataclass(frozen=True, slots=True)
class OrderState:
    """An order and what is known of it. Quantities in base currency (or shares), times UTC milliseconds."""

    order: Order
    status: Status
    filled: Decimal = ZERO
    fill_ids: frozenset[str] = frozenset()
    submitted_at: int = 0
    updated_at: int = 0
    reason: str | None = None
    ending: Status | None = None
    """The terminal status that waits for fills the venue has made and we have not seen."""
    ending_filled: Decimal | None = None

    @property
    def leaves(self) -> Decimal:
        """The quantity that may still fill; 0 once the order is over."""
        return ZERO if self.status.terminal else self.order.qty - self.filled


def submitted(event: OrderSubmitted) -> OrderState:
    return OrderState(event.order, Status.SUBMITTED, submitted_at=event.at, updated_at=event.at)


def advance(state: OrderState, event: OrderEvent) -> OrderState:
    """*state* after *event*; the very same object when the event brings nothing new.

    Raises :class:`DataError` when the event contradicts what is known (more filled than ordered, a fill
    of a rejected order): the caller's books and the venue's differ, and only a person or a reconciliation
    may decide which is right.
    """
    if isinstance(event, Fill):
        return _fill(state, event)
    if state.status.terminal:
        return state
    if isinstance(event, OrderCancelled):
        return _end(state, Status.CANCELLED, event.filled, "cancelled", event.at)
    if isinstance(event, OrderExpired):
        return _end(state, Status.EXPIRED, event.filled, event.reason, event.at)
    if isinstance(event, OrderRejected):
        if state.filled:
            raise DataError(f"order {event.client_order_id}: rejected after {state.filled} was filled")
        return _move(replace(state, reason=event.reason, updated_at=event.at), Status.REJECTED)
    if isinstance(event, CancelRequested) and state.status is not Status.CANCEL_PENDING:
        return _move(replace(state, updated_at=event.at), Status.CANCEL_PENDING)
    if isinstance(event, OrderAccepted) and state.status is Status.SUBMITTED:
        return _move(replace(state, updated_at=event.at), Status.ACCEPTED)
    return state


def _move(state: OrderState, to: Status) -> OrderState:
    if to not in LEGAL[state.status]:
        raise DataError(f"order {state.order.client_order_id}: {state.status} cannot become {to}")
    return replace(state, status=to)


def _fill(state: OrderState, fill: Fill) -> OrderState:
    if fill.fill_id in state.fill_ids:
        return state
    who = f"order {fill.client_order_id}: fill {fill.fill_id}"
    if state.status.terminal:
        raise DataError(f"{who} came after the order was {state.status}; reconcile with the venue")
    if (fill.symbol, fill.side) != (state.order.symbol, state.order.side):
        raise DataError(f"{who} is a {fill.side} of {fill.symbol}, not what was ordered")
    filled = state.filled + fill.qty
    most = state.order.qty if state.ending_filled is None else state.ending_filled
    if fill.qty <= 0 or filled > most:
        raise DataError(f"{who} of {fill.qty} makes {filled} filled where {most} is the most there can be")
    known = replace(state, filled=filled, fill_ids=state.fill_ids | {fill.fill_id}, updated_at=fill.at)
    if filled == state.order.qty:
        return _move(known, Status.FILLED)
    if known.ending is not None:
        return _settle(known)
    if known.status in (Status.SUBMITTED, Status.ACCEPTED):
        return _move(known, Status.PARTIALLY_FILLED)
    return known


def _end(state: OrderState, status: Status, filled: Decimal, reason: str, at: int) -> OrderState:
    if state.ending is not None:
        return state
    if not state.filled <= filled <= state.order.qty:
        raise DataError(
            f"order {state.order.client_order_id}: {status} with {filled} filled, but {state.filled} of"
            f" {state.order.qty} is known to be; reconcile with the venue"
        )
    return _settle(replace(state, ending=status, ending_filled=filled, reason=reason, updated_at=at))


def _settle(state: OrderState) -> OrderState:
    if state.ending is None or state.filled != state.ending_filled:
        return state
    return _move(state, state.ending)
