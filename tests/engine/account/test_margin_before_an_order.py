"""The margin check that stands before an order: what is closing needs none, what works already counts."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from maestro_engine.trading.account.margin import BTCUSDT_BRACKETS, MarginTable
from maestro_engine.trading.account.perpetual import PerpetualAccount
from maestro_engine.trading.venue.events import Fill, Liquidity, OrderSubmitted
from maestro_engine.trading.venue.lifecycle import OrderState, submitted
from maestro_engine.trading.venue.orders import Order, OrderType, Side

TABLES = {"BTCUSDT": MarginTable(BTCUSDT_BRACKETS)}
PRICE = Decimal(50_000)
NO_FEE = Decimal(0)


def order(side: Side, qty: str, *, name: str = "new", price: Decimal | None = None) -> Order:
    kind = OrderType.MARKET if price is None else OrderType.LIMIT
    return Order(name, "BTCUSDT", side, kind, Decimal(qty), price)


def working(*orders: Order) -> list[OrderState]:
    return [submitted(OrderSubmitted(o, 0)) for o in orders]


def holding(qty: str, cash: int = 1_000) -> PerpetualAccount:
    mine = PerpetualAccount(Decimal(cash), Decimal(10), TABLES)
    signed = Decimal(qty)
    if signed:
        side = Side.BUY if signed > 0 else Side.SELL
        mine.fill(Fill("o", "f", "BTCUSDT", side, abs(signed), PRICE, NO_FEE, Liquidity.TAKER, 0))
    return mine


def test_exactly_what_is_there_can_be_used_and_not_a_lot_more() -> None:
    mine = holding("0")
    assert mine.margin_short(order(Side.BUY, "0.2"), PRICE, [], NO_FEE) is None
    short = mine.margin_short(order(Side.BUY, "0.201"), PRICE, [], NO_FEE)
    assert short is not None
    assert (short.needed, short.available) == (Decimal("1005.00000000"), Decimal(1_000))


def test_the_fee_is_part_of_what_is_needed() -> None:
    assert holding("0").margin_short(order(Side.BUY, "0.2"), PRICE, [], Decimal("0.0005")) is not None


def test_working_orders_of_the_same_side_count() -> None:
    mine = holding("0")
    bids = working(order(Side.BUY, "0.15", name="a", price=PRICE))
    assert mine.margin_short(order(Side.BUY, "0.1"), PRICE, bids, NO_FEE) is not None
    assert mine.margin_short(order(Side.BUY, "0.05"), PRICE, bids, NO_FEE) is None


def test_closing_needs_no_margin_but_two_closings_open() -> None:
    mine = holding("0.2")
    assert mine.available == 0
    assert mine.margin_short(order(Side.SELL, "0.2"), PRICE, [], NO_FEE) is None
    first = working(order(Side.SELL, "0.2", name="a", price=PRICE))
    assert mine.margin_short(order(Side.SELL, "0.2"), PRICE, first, NO_FEE) is not None


@given(qty=st.decimals("-0.2", "0.2", places=3), asked=st.decimals("0.001", "1", places=3))
def test_an_approved_order_never_leaves_less_than_nothing(qty: Decimal, asked: Decimal) -> None:
    mine = holding(str(qty))
    for side in Side:
        if mine.margin_short(order(side, str(asked)), PRICE, [], NO_FEE) is None:
            after = PerpetualAccount.from_dict(mine.to_dict(), TABLES)
            after.fill(Fill("n", "n", "BTCUSDT", side, asked, PRICE, NO_FEE, Liquidity.TAKER, 0))
            assert after.available >= 0
