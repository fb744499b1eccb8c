"""tracker owns the client's view of its own orders: submitted once, every event counted once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from maestro_engine.trading.venue.events import CancelRequested, OrderEvent, OrderSubmitted
from maestro_engine.trading.venue.lifecycle import OrderState, advance, submitted
from maestro_engine.trading.venue.orders import Order
from maestro_engine.trading.venue.state import Plain, check_version, dump, load
from maestro_protocol.errors import DataError

VERSION = 1
KEEP_CLOSED = 1_000
"""Closed orders that are remembered. A message or a resubmission older than that is of an unknown order."""


@dataclass(frozen=True, slots=True)
class _Saved:
    version: int
    states: list[OrderState]


class OrderTracker:
    """Orders by client id, open ones and the last :data:`KEEP_CLOSED` closed ones.

    ``apply`` says whether an event was news. Book a fill to the account exactly when it was.
    """

    def __init__(self) -> None:
        self._open: dict[str, OrderState] = {}
        self._closed: dict[str, OrderState] = {}

    def __getitem__(self, client_order_id: str) -> OrderState:
        state = self.get(client_order_id)
        if state is None:
            raise DataError(f"order {client_order_id}: unknown here")
        return state

    def get(self, client_order_id: str) -> OrderState | None:
        return self._open.get(client_order_id) or self._closed.get(client_order_id)

    def open(self) -> Iterator[OrderState]:
        """Orders that may still fill, oldest submission first."""
        return iter(tuple(self._open.values()))

    def submit(self, order: Order, at: int) -> OrderSubmitted | None:
        """Record *order* as on its way; None when this very order was submitted before: do not send it again.

        Raises :class:`DataError` when the id is taken by a different order.
        """
        known = self.get(order.client_order_id)
        if known is not None:
            if known.order != order:
                raise DataError(f"order {order.client_order_id}: the id is taken by a different order")
            return None
        event = OrderSubmitted(order, at)
        self._open[order.client_order_id] = submitted(event)
        return event

    def cancel(self, client_order_id: str, at: int) -> CancelRequested | None:
        """Record that a cancel is on its way; None when the order is over or a cancel was sent before."""
        event = CancelRequested(client_order_id, at)
        return event if self.apply(event) else None

    def apply(self, event: OrderEvent) -> bool:
        """Take in what the venue said; False when it brings nothing new. Raises :class:`DataError`."""
        if isinstance(event, OrderSubmitted):
            return self.submit(event.order, event.at) is not None
        before = self[event.client_order_id]
        after = advance(before, event)
        if after is before:
            return False
        if after.status.terminal:
            self._close(after)
        else:
            self._open[event.client_order_id] = after
        return True

    def _close(self, state: OrderState) -> None:
        key = state.order.client_order_id
        del self._open[key]
        self._closed[key] = state
        if len(self._closed) > KEEP_CLOSED:
            del self._closed[next(iter(self._closed))]

    def to_dict(self) -> Plain:
        """Everything, as a versioned plain dict."""
        return dump(_Saved(VERSION, [*self._closed.values(), *self._open.values()]))

    @classmethod
    def from_dict(cls, plain: Mapping[str, object]) -> OrderTracker:
        """The tracker that :meth:`to_dict` wrote. Raises :class:`DataError`."""
        check_version(plain, VERSION, "order tracker")
        tracker = cls()
        for state in load(plain, _Saved, "order tracker").states:
            place = tracker._closed if state.status.terminal else tracker._open
            place[state.order.client_order_id] = state
        return tracker
