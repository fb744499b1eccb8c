"""Execution against quotes, trades and levels: takers walk, makers wait, nobody gets what was not there."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maestro_engine.trading.venue.book_matching import BookMatching
from maestro_engine.trading.venue.effects.fees import NotionalFees
from maestro_engine.trading.venue.effects.latency import ConstantLatency
from maestro_engine.trading.venue.effects.queue import LogQueue, PowerQueue, QueueModel, RiskAverseQueue
from maestro_engine.trading.venue.effects.slippage import BpsSlippage, DepthSlippage
from maestro_engine.trading.venue.events import (
    CancelRequested,
    Fill,
    Liquidity,
    OrderAccepted,
    OrderCancelled,
    OrderExpired,
    OrderRejected,
    OrderSubmitted,
)
from maestro_engine.trading.venue.exchange import PaperExchange
from maestro_engine.trading.venue.market import BookDelta, BookSnapshot, Quote, Trade
from maestro_engine.trading.venue.orders import Instrument, Order, OrderType, Side, TimeInForce

LOT, TICK = Decimal("0.001"), Decimal("0.1")
BUY, SELL = Side.BUY, Side.SELL


def d(number: str | float) -> Decimal:
    return Decimal(str(number))


class Slowing(ConstantLatency):
    """Entries take what is listed, one after the other; the rest is at once."""

    __slots__ = ("left",)

    def __init__(self, entries: tuple[int, ...]) -> None:
        super().__init__()
        object.__setattr__(self, "left", list(entries))

    def entry_ms(self, rng: np.random.Generator) -> int:
        return self.left.pop(0)


class Desk:
    """A venue without latency, and short words for what happens at it."""

    def __init__(self, queue: QueueModel | None = None, latency: ConstantLatency | None = None) -> None:
        matching = BookMatching(queue or RiskAverseQueue(), DepthSlippage(BpsSlippage(Decimal(5))))
        instrument = Instrument("X", TICK, LOT, LOT, Decimal(100), min_notional=Decimal(5))
        self.venue = PaperExchange(
            instrument,
            matching,
            NotionalFees(d("0.0002"), d("0.0005")),
            latency or ConstantLatency(),
            np.random.default_rng(0),
        )
        self.at = 0
        self.count = 0

    def book(self, bids: dict[float, float], asks: dict[float, float]) -> None:
        levels = [[(d(p), d(q)) for p, q in side.items()] for side in (bids, asks)]
        self.venue.on_market(BookSnapshot(self.at, *levels))

    def delta(self, side: Side, price: float, qty: float) -> None:
        level = [(d(price), d(qty))]
        self.venue.on_market(BookDelta(self.at, level if side is BUY else [], [] if side is BUY else level))

    def trade(self, price: float, qty: float, taker: Side) -> list[tuple[Decimal, Decimal]]:
        self.venue.on_market(Trade(self.at, d(price), d(qty), taker))
        return self.fills()

    def send(self, order: Order) -> list[object]:
        self.venue.send(OrderSubmitted(order, self.at))
        return list(self.venue.poll(self.at))

    def order(
        self,
        side: Side,
        qty: float,
        price: float | None = None,
        kind: OrderType = OrderType.LIMIT,
        tif: TimeInForce = TimeInForce.GTC,
        reduce_only: bool = False,
    ) -> list[object]:
        self.count += 1
        kind = OrderType.MARKET if price is None else kind
        at = None if price is None else d(price)
        return self.send(Order(f"o{self.count}", "X", side, kind, d(qty), at, tif, reduce_only))

    def fills(self) -> list[tuple[Decimal, Decimal]]:
        return executed(self.venue.poll(self.at))


def executed(events: object) -> list[tuple[Decimal, Decimal]]:
    assert isinstance(events, list)
    return [(e.price, e.qty) for e in events if isinstance(e, Fill)]


@pytest.fixture
def desk() -> Desk:
    made = Desk()
    made.book({100.0: 1, 99.9: 2, 99.8: 3}, {100.1: 1, 100.2: 2, 100.3: 3})
    return made


def test_a_market_order_walks_the_levels_and_slips_beyond_them(desk: Desk) -> None:
    assert executed(desk.order(BUY, 2)) == [(d(100.1), d(1)), (d(100.2), d(1))]
    # What was taken is gone. Beyond 100.3: gap 0.2, 3 a level, so 3 at 100.5 and 3 at 100.7.
    assert executed(desk.order(BUY, 10)) == [(d(100.2), d(1)), (d(100.3), d(3)), (d(100.6), d(6))]


def test_a_market_order_waits_where_nobody_quotes() -> None:
    desk = Desk()
    assert [type(e) for e in desk.order(SELL, 1)] == [OrderAccepted]
    desk.venue.on_market(Quote(0, d(99), d(4), d(101), d(4)))
    assert desk.fills() == [(d(99), d(1))]


def test_immediate_or_cancel_takes_what_is_there(desk: Desk) -> None:
    events = desk.order(BUY, 2.5, 100.2, tif=TimeInForce.IOC)
    assert executed(events) == [(d(100.1), d(1)), (d(100.2), d(1.5))]
    rest = desk.order(BUY, 2.5, 100.2, tif=TimeInForce.IOC)
    assert executed(rest) == [(d(100.2), d(0.5))]
    assert isinstance(rest[-1], OrderExpired)
    assert rest[-1].filled == d(0.5)


def test_fill_or_kill_is_all_or_nothing(desk: Desk) -> None:
    killed = desk.order(BUY, 3.001, 100.2, tif=TimeInForce.FOK)
    assert executed(killed) == []
    assert isinstance(killed[-1], OrderExpired)
    assert sum(q for _, q in executed(desk.order(BUY, 3, 100.2, tif=TimeInForce.FOK))) == 3


def test_post_only_never_takes(desk: Desk) -> None:
    (rejected,) = desk.order(BUY, 1, 100.1, tif=TimeInForce.POST_ONLY)
    assert isinstance(rejected, OrderRejected)
    assert "post_only" in rejected.reason
    assert [type(e) for e in desk.order(BUY, 1, 100.0, tif=TimeInForce.POST_ONLY)] == [OrderAccepted]


def test_a_maker_waits_until_the_queue_before_it_has_traded(desk: Desk) -> None:
    desk.order(BUY, 2, 100.0)  # one stands before us
    assert desk.trade(100.0, 0.4, SELL) == []
    assert desk.trade(100.0, 0.7, SELL) == [(d(100.0), d(0.1))]
    assert desk.trade(100.0, 0.5, BUY) == []
    assert desk.trade(100.0, 9, SELL) == [(d(100.0), d(1.9))]


def test_what_traded_is_not_counted_again_when_the_level_shows_it() -> None:
    desk = Desk(PowerQueue(1.0))
    desk.book({100.0: 10}, {100.1: 10})
    desk.order(BUY, 1, 100.0)
    desk.delta(BUY, 100.0, 20)  # ten more, behind us
    assert desk.trade(100.0, 6, SELL) == []  # 4 before us
    desk.delta(BUY, 100.0, 14)  # just those 6
    assert desk.trade(100.0, 4, SELL) == []
    assert desk.trade(100.0, 1, SELL) == [(d(100.0), d(1))]


def test_cancels_in_the_level_move_a_hopeful_queue_and_not_a_careful_one() -> None:
    for queue, ahead in ((RiskAverseQueue(), 10), (PowerQueue(1.0), 5)):
        desk = Desk(queue)
        desk.book({100.0: 10}, {100.1: 10})
        desk.order(BUY, 1, 100.0)
        desk.delta(BUY, 100.0, 20)
        desk.delta(BUY, 100.0, 10)  # ten left: half of them ours to pass, says the probability
        assert desk.trade(100.0, ahead, SELL) == []
        assert desk.trade(100.0, 1, SELL) == [(d(100.0), d(1))]


def test_a_queue_that_is_guessed_past_us_still_needs_a_trade_to_fill() -> None:
    desk = Desk(LogQueue())
    desk.book({100.0: 1}, {100.1: 10})
    desk.order(BUY, 20, 100.0)
    desk.delta(BUY, 100.0, 101)
    desk.delta(BUY, 100.0, 11)  # by the formula 12 of the 90 that left stood before us, where only 1 did
    assert desk.fills() == []
    assert desk.trade(100.0, 0.5, SELL) == [(d(100.0), d(0.5))]


def test_a_trade_through_the_price_fills_no_more_than_it_brought(desk: Desk) -> None:
    desk.order(BUY, 5, 99.9)
    assert desk.trade(99.8, 2, SELL) == [(d(99.9), d(2))]


def test_one_trade_is_shared_among_our_own_orders_best_price_first(desk: Desk) -> None:
    desk.order(BUY, 1, 99.8)
    desk.order(BUY, 1, 99.9)
    assert desk.trade(99.7, 1.5, SELL) == [(d(99.9), d(1)), (d(99.8), d(0.5))]


def test_an_order_deeper_than_the_quotes_waits_behind_what_shows_up_there() -> None:
    desk = Desk()
    desk.venue.on_market(Quote(0, d(100), d(1), d(100.1), d(1)))
    desk.order(BUY, 1, 99.9)
    assert desk.trade(99.9, 50, SELL) == [], "how many stand there is unknown"
    desk.venue.on_market(Quote(0, d(99.9), d(7), d(100.1), d(1)))
    assert desk.trade(99.9, 7, SELL) == []
    assert desk.trade(99.9, 1, SELL) == [(d(99.9), d(1))]


def test_one_ask_meets_only_one_of_our_bids(desk: Desk) -> None:
    desk.order(BUY, 2, 99.9)
    desk.order(BUY, 2, 99.9)
    desk.book({99.8: 1}, {99.9: 3, 100.0: 4})
    assert desk.fills() == [(d(99.9), d(2)), (d(99.9), d(1))]


def test_an_ask_at_our_bid_would_have_met_us(desk: Desk) -> None:
    desk.order(BUY, 2, 99.9)
    desk.book({99.8: 1}, {99.9: 0.5, 100.0: 4})
    assert desk.fills() == [(d(99.9), d(0.5))]


@pytest.mark.parametrize("by_trade", [True, False])
def test_a_stop_takes_the_market_once_it_is_reached(desk: Desk, by_trade: bool) -> None:
    desk.order(BUY, 1)
    assert desk.order(SELL, 1, 99.8, OrderType.STOP_MARKET, reduce_only=True)
    assert desk.trade(99.9, 1, SELL) == []
    if by_trade:
        assert desk.trade(99.8, 0.1, SELL) == [(d(100.0), d(1))]
    else:
        desk.book({99.7: 5}, {99.8: 5})
        assert desk.fills() == [(d(99.7), d(1))]


def test_reduce_only_is_clipped_and_ends_with_the_position(desk: Desk) -> None:
    desk.order(BUY, 1)
    desk.order(SELL, 3, 100.1, OrderType.TAKE_PROFIT, reduce_only=True)
    desk.order(SELL, 3, 99.0, OrderType.STOP_MARKET, reduce_only=True)
    desk.venue.on_market(Trade(0, d(100.2), d(50), BUY))
    events = desk.venue.poll(0)
    assert executed(events) == [(d(100.1), d(1))]
    assert [e.client_order_id for e in events if isinstance(e, OrderExpired)] == ["o2", "o3"]
    assert desk.venue.net == 0
    (rejected,) = desk.order(SELL, 1, reduce_only=True)
    assert isinstance(rejected, OrderRejected)
    assert "nothing to reduce" in rejected.reason


def test_an_attached_order_dies_with_an_entry_that_never_filled(desk: Desk) -> None:
    desk.send(Order("in", "X", BUY, OrderType.LIMIT, d(1), d(99.8)))
    stop = Order("stop", "X", SELL, OrderType.STOP_MARKET, d(1), d(99.0), reduce_only=True, attached_to="in")
    assert [type(e) for e in desk.send(stop)] == [OrderAccepted]
    assert desk.trade(98.0, 0.001, BUY) == [], "it sleeps: nothing to protect yet"
    desk.venue.send(CancelRequested("in", 0))
    assert [(type(e), e.client_order_id) for e in desk.venue.poll(0)] == [
        (OrderCancelled, "in"),
        (OrderExpired, "stop"),
    ]
    late = Order("late", "X", SELL, OrderType.STOP_MARKET, d(1), d(99.0), reduce_only=True, attached_to="in")
    (rejected,) = desk.send(late)
    assert isinstance(rejected, OrderRejected)


def test_an_attached_order_wakes_with_the_first_fill(desk: Desk) -> None:
    desk.send(Order("in", "X", BUY, OrderType.LIMIT, d(2), d(100.0)))
    exit_ = Order("out", "X", SELL, OrderType.TAKE_PROFIT, d(2), d(100.2), reduce_only=True, attached_to="in")
    desk.send(exit_)
    assert desk.trade(100.0, 1.5, SELL) == [(d(100.0), d(0.5))]
    assert desk.trade(100.3, 9, BUY) == [(d(100.2), d(0.5))]


def test_messages_take_their_time_and_keep_their_order(desk: Desk) -> None:
    slow = Desk(latency=ConstantLatency(entry=10, response=5))
    slow.book({100.0: 1}, {100.1: 1})
    slow.venue.send(OrderSubmitted(Order("a", "X", BUY, OrderType.MARKET, d(1)), 0))
    assert slow.venue.next_due() == 10
    assert slow.venue.poll(14) == []
    slow.book({200.0: 1}, {200.1: 1})  # too late to matter: the order was there at 10
    events = slow.venue.poll(15)
    assert [(type(e), e.at) for e in events] == [(OrderAccepted, 10), (Fill, 10)]
    assert slow.venue.next_due() is None


def test_a_cancel_never_overtakes_its_order() -> None:
    desk = Desk(latency=Slowing((40, 0)))
    desk.book({100.0: 1}, {100.1: 1})
    desk.venue.send(OrderSubmitted(Order("a", "X", BUY, OrderType.LIMIT, d(1), d(99.0)), 0))
    desk.venue.send(CancelRequested("a", 1))
    assert [(type(e), e.at) for e in desk.venue.poll(40)] == [(OrderAccepted, 40), (OrderCancelled, 40)]


def test_a_clock_set_back_does_not_hold_messages_up() -> None:
    hour = 3_600_000
    desk = Desk(latency=ConstantLatency(entry=10, response=5))
    desk.book({100.0: 9}, {100.1: 9})
    desk.venue.send(OrderSubmitted(Order("a", "X", BUY, OrderType.MARKET, d(1)), hour))
    assert desk.venue.poll(hour + 12) == []
    assert len(desk.venue.poll(15)) == 0
    assert [type(e) for e in desk.venue.poll(18)] == [OrderAccepted, Fill]
    desk.venue.send(OrderSubmitted(Order("b", "X", SELL, OrderType.MARKET, d(1)), 20))
    assert [type(e) for e in desk.venue.poll(35)] == [OrderAccepted, Fill]


def test_a_taken_or_cancelled_order_takes_no_more_cancels(desk: Desk) -> None:
    desk.order(BUY, 1)
    desk.venue.send(CancelRequested("o1", 0))
    desk.venue.send(CancelRequested("never", 0))
    assert desk.venue.poll(0) == []


def test_liquidity_decides_the_fee(desk: Desk) -> None:
    taken = [e for e in desk.order(BUY, 1) if isinstance(e, Fill)]
    assert (taken[0].liquidity, taken[0].fee) == (Liquidity.TAKER, d("0.05005"))
    desk.order(SELL, 1, 100.2)
    desk.venue.on_market(Trade(0, d(100.4), d(1), BUY))
    (made,) = [e for e in desk.venue.poll(0) if isinstance(e, Fill)]
    assert (made.liquidity, made.fee) == (Liquidity.MAKER, d("0.02004"))


def test_a_liquidation_is_taken_over_and_frees_its_orders(desk: Desk) -> None:
    desk.order(BUY, 1)
    desk.order(SELL, 1, 90.0, OrderType.STOP_MARKET, reduce_only=True)
    desk.venue.adopt(Fill("liquidation", "l1", "X", SELL, d(1), d(91), d(0), Liquidity.TAKER, 0))
    assert desk.venue.net == 0
    assert [type(e) for e in desk.venue.poll(0)] == [OrderExpired]


@pytest.mark.parametrize(
    ("order", "reason"),
    [
        (Order("x", "Y", BUY, OrderType.MARKET, d(1)), "symbol"),
        (Order("x", "X", BUY, OrderType.MARKET, d(0)), "quantity"),
        (Order("x", "X", BUY, OrderType.MARKET, d("0.0015")), "lot_size"),
        (Order("x", "X", BUY, OrderType.MARKET, d(1000)), "lot_size"),
        (Order("x", "X", BUY, OrderType.MARKET, d(1), d(100)), "price"),
        (Order("x", "X", BUY, OrderType.LIMIT, d(1)), "price"),
        (Order("x", "X", BUY, OrderType.LIMIT, d(1), d(100.05)), "price_filter"),
        (Order("x", "X", BUY, OrderType.LIMIT, d("0.01"), d(100)), "min_notional"),
        (Order("x", "X", BUY, OrderType.TAKE_PROFIT, d(1), d(100)), "reduce_only"),
        (Order("x", "X", BUY, OrderType.STOP_MARKET, d(1), d(100), TimeInForce.IOC), "time_in_force"),
        (Order("x", "X", BUY, OrderType.LIMIT, d("NaN"), d(100)), "quantity"),
    ],
)
def test_the_venue_rejects_by_its_filters(desk: Desk, order: Order, reason: str) -> None:
    (rejected,) = desk.send(order)
    assert isinstance(rejected, OrderRejected)
    assert rejected.reason.startswith(reason)


@given(price=st.decimals("0.01", "99999", places=6), qty=st.decimals("0.001", "9999", places=6))
def test_rounding_is_on_the_grid_and_never_asks_for_more(price: Decimal, qty: Decimal) -> None:
    instrument = Instrument("X", TICK, LOT, LOT, Decimal(10_000))
    assert abs(instrument.round_price(price) - price) <= TICK / 2
    assert not instrument.round_price(price) % TICK
    assert 0 <= qty - instrument.round_qty(qty) < LOT
    assert not instrument.round_qty(qty) % LOT


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["trade", "order", "market"]),
        st.sampled_from(Side),
        st.integers(996, 1004),
        st.integers(1, 9),
    ),
    max_size=60,
)


@given(steps=STEPS)
def test_makers_never_get_more_than_was_traded_and_takers_no_more_than_was_shown(
    steps: list[tuple[str, Side, int, int]],
) -> None:
    desk = Desk()
    desk.book({100.0: 5, 99.9: 5}, {100.1: 5, 100.2: 5})
    traded = made = Decimal(0)
    shown = dict.fromkeys((99.9, 100.0, 100.1, 100.2), Decimal(5))
    for what, side, price, qty in steps:
        if what == "trade":
            desk.venue.on_market(Trade(0, d(price) / 10, d(qty), side))
            traded += qty
        elif what == "order":
            desk.order(side, qty, price / 10)
        for fill in (e for e in desk.venue.poll(0) if isinstance(e, Fill)):
            made += fill.qty if fill.liquidity is Liquidity.MAKER else 0
            if fill.liquidity is Liquidity.TAKER:
                shown[float(fill.price)] -= fill.qty
    assert made <= traded
    assert all(left >= 0 for left in shown.values())
