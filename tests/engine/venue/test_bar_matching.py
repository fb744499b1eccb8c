"""Execution inside a bar, rule by rule."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest

from maestro_engine.trading.venue.bar_matching import BarMatching
from maestro_engine.trading.venue.effects.fees import NotionalFees
from maestro_engine.trading.venue.effects.latency import ConstantLatency
from maestro_engine.trading.venue.effects.slippage import BpsSlippage
from maestro_engine.trading.venue.events import (
    Fill,
    Liquidity,
    OrderAccepted,
    OrderExpired,
    OrderRejected,
    OrderSubmitted,
)
from maestro_engine.trading.venue.exchange import PaperExchange
from maestro_engine.trading.venue.market import Bar, Trade
from maestro_engine.trading.venue.orders import Instrument, Order, OrderType, Side, TimeInForce

BUY, SELL = Side.BUY, Side.SELL
ONE = Decimal(1)


class Bars:
    """A venue of bars 100 ms long; ``fills`` are (id, price, maker)."""

    def __init__(self, bps: int = 0) -> None:
        tiny = Decimal("0.01")
        instrument = Instrument("X", tiny, tiny, tiny, Decimal(100))
        fees = NotionalFees(Decimal(0), Decimal(0))
        matching = BarMatching(BpsSlippage(Decimal(bps)))
        self.venue = PaperExchange(instrument, matching, fees, ConstantLatency(), np.random.default_rng(0))
        self.at = 0

    def send(
        self,
        name: str,
        side: Side,
        price: int | None = None,
        kind: OrderType = OrderType.LIMIT,
        tif: TimeInForce = TimeInForce.GTC,
        to: str | None = None,
    ) -> None:
        kind = OrderType.MARKET if price is None else kind
        at = None if price is None else Decimal(price)
        order = Order(name, "X", side, kind, ONE, at, tif, reduce_only=to is not None, attached_to=to)
        self.venue.send(OrderSubmitted(order, self.at))

    def bar(self, opened: int, high: int, low: int, close: int) -> list[tuple[str, Decimal, bool]]:
        start, self.at = self.at, self.at + 100
        self.venue.on_market(Bar(start, self.at, *map(Decimal, (opened, high, low, close))))
        self.heard = self.venue.poll(self.at)
        fills = [e for e in self.heard if isinstance(e, Fill)]
        return [(f.client_order_id, f.price, f.liquidity is Liquidity.MAKER) for f in fills]

    def enter(self, side: Side, stop: int, target: int) -> None:
        self.send("in", side)
        self.send("stop", side.opposite, stop, OrderType.STOP_MARKET, to="in")
        self.send("target", side.opposite, target, OrderType.TAKE_PROFIT, to="in")


@pytest.mark.parametrize(
    ("bar", "exit_"),
    [
        ((100, 104, 96, 100), []),
        ((100, 104, 95, 100), [("stop", 95, False)]),
        ((100, 105, 96, 100), [("target", 105, True)]),
        ((100, 105, 95, 100), [("stop", 95, False)]),
        ((94, 100, 93, 99), [("stop", 94, False)]),
        ((106, 107, 96, 100), [("target", 106, True)]),
    ],
)
@pytest.mark.parametrize("late", [False, True])
def test_stop_before_target_and_gaps_at_the_open(
    bar: tuple[int, int, int, int], exit_: list[tuple[str, int, bool]], late: bool
) -> None:
    """In the entry's own bar and in a later one; a long, and the same thing upside down as a short."""
    for side in Side:
        mirror = (lambda p: p) if side is BUY else (lambda p: 200 - p)
        bars = Bars()
        bars.enter(side, mirror(95), mirror(105))
        opened, high, low, close = map(mirror, bar)
        high, low = max(high, low), min(high, low)
        if late:
            assert bars.bar(100, 101, 99, 100) == [("in", 100, False)]
            got = bars.bar(opened, high, low, close)
        else:
            entry, *got = bars.bar(opened, high, low, close)
            assert entry == ("in", opened, False)
        assert got == [(name, mirror(price), maker) for name, price, maker in exit_]
        assert (bars.venue.net == 0) == bool(exit_)
        if exit_:
            assert any(isinstance(e, OrderExpired) for e in bars.heard), "its sister goes with it"


def test_slippage_is_paid_by_takers_and_stays_inside_the_bar() -> None:
    bars = Bars(bps=100)
    bars.enter(BUY, 95, 105)
    assert bars.bar(100, 104, 99, 100) == [("in", 101, False)]
    assert bars.bar(100, 101, 95, 96) == [("stop", 95, False)]
    bars.send("again", BUY)
    assert bars.bar(100, 100, 99, 100) == [("again", 100, False)]


def test_a_limit_needs_a_trade_through_it() -> None:
    bars = Bars()
    bars.bar(100, 100, 100, 100)
    bars.send("bid", BUY, 95)
    assert bars.bar(100, 101, 95, 100) == []
    assert bars.bar(100, 101, 94, 100) == [("bid", 95, True)]


def test_a_limit_entry_can_be_stopped_in_its_bar_but_not_take_profit() -> None:
    for low, expected in ((94, [("in", 95, True)]), (90, [("in", 95, True), ("stop", 90, False)])):
        bars = Bars()
        bars.bar(100, 100, 100, 100)
        bars.send("in", BUY, 95)
        bars.send("stop", SELL, 90, OrderType.STOP_MARKET, to="in")
        bars.send("target", SELL, 99, OrderType.TAKE_PROFIT, to="in")
        assert bars.bar(100, 101, low, 100) == expected


def test_a_marketable_limit_takes_at_the_open_or_waits_when_it_came_back() -> None:
    bars = Bars()
    bars.bar(100, 100, 100, 100)
    bars.send("take", BUY, 102)
    assert bars.bar(101, 103, 100, 102) == [("take", 101, False)]
    bars.send("wait", BUY, 102)
    assert bars.bar(104, 105, 103, 104) == []
    assert bars.bar(104, 105, 101, 104) == [("wait", 102, True)]


@pytest.mark.parametrize("tif", [TimeInForce.IOC, TimeInForce.FOK])
def test_immediate_orders_live_for_one_open(tif: TimeInForce) -> None:
    bars = Bars()
    bars.bar(100, 100, 100, 100)
    bars.send("yes", BUY, 100, tif=tif)
    bars.send("no", BUY, 99, tif=tif)
    assert bars.bar(100, 100, 90, 95) == [("yes", 100, False)]
    assert [e.client_order_id for e in bars.heard if isinstance(e, OrderExpired)] == ["no"]


def test_post_only_is_rejected_where_it_would_take() -> None:
    bars = Bars()
    bars.bar(100, 100, 100, 100)
    bars.send("no", BUY, 100, tif=TimeInForce.POST_ONLY)
    bars.send("yes", BUY, 99, tif=TimeInForce.POST_ONLY)
    assert bars.bar(99, 99, 98, 99) == [("yes", 99, True)]
    assert [e.client_order_id for e in bars.heard if isinstance(e, OrderRejected)] == ["no"]


def test_an_order_that_comes_after_the_open_waits_for_the_next_bar() -> None:
    bars = Bars()
    bars.at = 50
    bars.send("late", BUY)
    bars.at = 0
    assert bars.bar(100, 101, 99, 100) == []
    assert bars.bar(102, 103, 101, 102) == [("late", 102, False)]


def test_polling_in_mid_bar_does_not_let_an_order_see_the_open_it_missed() -> None:
    bars = Bars()
    bars.at = 50
    bars.send("late", BUY)
    assert [type(e) for e in bars.venue.poll(60)] == [OrderAccepted]
    bars.at = 0
    assert bars.bar(100, 101, 99, 100) == []
    assert bars.bar(102, 103, 101, 102) == [("late", 102, False)]


def test_a_bar_of_no_length_closes_at_the_last_price() -> None:
    bars = Bars()
    bars.enter(BUY, 95, 105)
    bars.bar(100, 101, 99, 100)
    bars.send("out", SELL, to="in")
    now = Decimal(100)
    bars.venue.on_market(Bar(bars.at, bars.at, now, now, now, now))
    assert bars.venue.net == 0
    assert not bars.venue.active()


def test_a_timeout_leaves_at_the_open_before_the_stop_is_looked_at() -> None:
    bars = Bars()
    bars.enter(BUY, 95, 105)
    bars.bar(100, 101, 99, 100)
    bars.send("out", SELL, to="in")
    assert bars.bar(94, 95, 90, 92) == [("out", 94, False)]


def test_only_bars_move_it() -> None:
    bars = Bars()
    bars.send("in", BUY)
    bars.venue.on_market(Trade(0, ONE, ONE, BUY))
    assert bars.venue.net == 0
