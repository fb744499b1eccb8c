"""The table of statuses, and the client's book of orders."""

from __future__ import annotations

import json
from decimal import Decimal
from functools import reduce
from itertools import permutations

import pytest

from maestro_engine.trading.venue.events import (
    CancelRequested,
    Fill,
    Liquidity,
    OrderAccepted,
    OrderCancelled,
    OrderEvent,
    OrderExpired,
    OrderRejected,
    OrderSubmitted,
)
from maestro_engine.trading.venue.lifecycle import LEGAL, Status, advance, submitted
from maestro_engine.trading.venue.orders import Order, OrderType, Side
from maestro_engine.trading.venue.tracker import KEEP_CLOSED, OrderTracker
from maestro_protocol.errors import DataError

ORDER = Order("a", "X", Side.BUY, OrderType.LIMIT, Decimal(3), Decimal(10))


def fill(name: str, qty: int = 1, side: Side = Side.BUY) -> Fill:
    return Fill("a", name, "X", side, Decimal(qty), Decimal(10), Decimal(0), Liquidity.MAKER, 5)


def test_the_table_has_every_status_and_four_ends() -> None:
    assert set(LEGAL) == set(Status)
    assert {s for s in Status if s.terminal} == {
        Status.FILLED,
        Status.CANCELLED,
        Status.REJECTED,
        Status.EXPIRED,
    }
    assert all(Status.SUBMITTED not in after for after in LEGAL.values()), "nothing is unsent"


STORIES: list[tuple[list[OrderEvent], Status, int]] = [
    ([OrderAccepted("a", 1), fill("1"), fill("2"), fill("3")], Status.FILLED, 3),
    ([CancelRequested("a", 2), fill("1"), OrderCancelled("a", Decimal(1), 3)], Status.CANCELLED, 1),
    ([OrderAccepted("a", 1), fill("1"), fill("2"), OrderExpired("a", Decimal(2), "ioc", 3)], Status.EXPIRED, 2),
    ([CancelRequested("a", 2), fill("1", 3)], Status.FILLED, 3),
    ([CancelRequested("a", 2), OrderRejected("a", "no", 3)], Status.REJECTED, 0),
    ([OrderAccepted("a", 1), OrderCancelled("a", Decimal(0), 3)], Status.CANCELLED, 0),
]  # fmt: skip


@pytest.mark.parametrize(("events", "end", "filled"), STORIES)
def test_in_whatever_order_it_is_told_a_story_ends_the_same(
    events: list[OrderEvent], end: Status, filled: int
) -> None:
    for told in permutations(events):
        state = submitted(OrderSubmitted(ORDER, 0))
        for event in told:
            state = advance(advance(state, event), event)
        assert (state.status, state.filled, state.leaves) == (end, filled, 0)
        assert all(advance(state, event) is state for event in told)


@pytest.mark.parametrize(
    ("events", "complaint"),
    [
        ([fill("1", 4)], "most there can be"),
        ([fill("1", 0)], "most there can be"),
        ([fill("1", side=Side.SELL)], "not what was ordered"),
        ([OrderRejected("a", "no", 1), fill("1")], "after the order was rejected"),
        ([fill("1"), OrderRejected("a", "no", 1)], "rejected after"),
        ([fill("1", 2), OrderCancelled("a", Decimal(1), 1)], "reconcile"),
        ([OrderCancelled("a", Decimal(1), 1), fill("1", 2)], "most there can be"),
    ],
)
def test_a_contradiction_is_an_error_and_not_a_guess(events: list[OrderEvent], complaint: str) -> None:
    state = submitted(OrderSubmitted(ORDER, 0))
    with pytest.raises(DataError, match=complaint):
        reduce(advance, events, state)


def test_an_id_belongs_to_one_order() -> None:
    tracker = OrderTracker()
    assert tracker.submit(ORDER, 1) is not None
    assert tracker.submit(ORDER, 2) is None
    other = Order("a", "X", Side.SELL, OrderType.LIMIT, Decimal(3), Decimal(10))
    with pytest.raises(DataError, match="taken by a different order"):
        tracker.submit(other, 3)
    with pytest.raises(DataError, match="order b: unknown"):
        tracker.apply(OrderAccepted("b", 1))


def test_a_cancel_is_sent_once_and_not_for_what_is_over() -> None:
    tracker = OrderTracker()
    tracker.submit(ORDER, 1)
    assert tracker.cancel("a", 2) is not None
    assert tracker.cancel("a", 3) is None
    tracker.apply(OrderCancelled("a", Decimal(0), 4))
    assert tracker.cancel("a", 5) is None
    assert not list(tracker.open())


def test_memory_of_closed_orders_is_bounded_and_survives_a_restart() -> None:
    tracker = OrderTracker()
    for n in range(KEEP_CLOSED + 5):
        tracker.submit(Order(f"o{n}", "X", Side.BUY, OrderType.MARKET, Decimal(1)), n)
        tracker.apply(OrderRejected(f"o{n}", "no", n))
    tracker = OrderTracker.from_dict(json.loads(json.dumps(tracker.to_dict())))
    assert tracker.get("o4") is None
    assert tracker["o5"].status is Status.REJECTED
    tracker.submit(Order("new", "X", Side.BUY, OrderType.MARKET, Decimal(1)), 9)
    tracker.apply(OrderRejected("new", "no", 9))
    assert tracker.get("o5") is None


@pytest.mark.parametrize("damage", [{"version": 0}, {"states": [{"order": {}}]}, {"states": None}])
def test_a_damaged_state_is_refused(damage: dict[str, object]) -> None:
    with pytest.raises(DataError, match="order tracker"):
        OrderTracker.from_dict({**OrderTracker().to_dict(), **damage})
