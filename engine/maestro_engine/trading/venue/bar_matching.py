"""bar_matching owns execution against closed bars, by the exit rules of the backtest kernel.

Inside a bar only open, high, low and close are known, so the order of events is a rule:

1. market orders execute at the open plus slippage, clamped to the bar; so do limit orders that the market
   had passed when they came;
2. stops: a gap through the stop executes at the open, else at the stop; both plus slippage, clamped;
3. take-profits that the bar touches execute at their price, or at the open where it gapped past, as makers;
4. limit orders that the bar trades *through* execute at their price, as makers;
5. stops again: one attached to a limit order of step 4 may be hit in the same bar. Its take-profit may not:
   whether the price was there before or after the entry is unknown.

A bar shows no size: whatever quantity is ordered executes. Send orders with the time of the close that
they were decided on, and no latency: an order that comes after the open waits for the next bar. To close
without one (the last bar of all, a kill switch), give a bar of no length: it opens and closes at the last price.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from maestro_engine.exits.rules import stop_price, stop_reached, target_price, target_reached
from maestro_engine.trading.venue.effects.slippage import Slippage, Touch
from maestro_engine.trading.venue.events import Liquidity
from maestro_engine.trading.venue.market import Bar, MarketUpdate
from maestro_engine.trading.venue.matching import Executor, Resting
from maestro_engine.trading.venue.orders import Order, OrderType, Side, TimeInForce


@dataclass(frozen=True, slots=True)
class BarMatching:
    """Matches against :class:`Bar`; any other market data is ignored."""

    slippage: Slippage

    def refusal(self, order: Order, venue: Executor) -> str | None:
        if order.tif is TimeInForce.POST_ONLY and _passed(order, venue.last_price):
            return f"post_only: {order.price} would take at {venue.last_price}"
        return None

    def place(self, resting: Resting, venue: Executor, at: int) -> None:
        order = resting.order
        at_once = order.tif in (TimeInForce.IOC, TimeInForce.FOK)
        resting.taking = order.type is OrderType.MARKET or (
            order.type is OrderType.LIMIT and (at_once or _passed(order, venue.last_price))
        )

    def update(self, news: MarketUpdate, venue: Executor) -> None:
        if not isinstance(news, Bar):
            return
        self._opening(news, venue)
        self._stops(news, venue)
        for resting in _of(venue, OrderType.TAKE_PROFIT, news):
            price = _level(resting.order)
            if target_reached(_held(resting.order), price, news.low, news.high):
                _make(resting, target_price(_held(resting.order), price, news.open), news, venue)
        for resting in _of(venue, OrderType.LIMIT, news):
            if _traded_through(resting.order, news):
                _make(resting, _level(resting.order), news, venue)
        self._stops(news, venue)

    def _opening(self, bar: Bar, venue: Executor) -> None:
        for resting in _there(venue, bar):
            if resting.taking:
                self._take(resting, bar.open, bar, bar.open_at, venue)
            if resting.order.tif in (TimeInForce.IOC, TimeInForce.FOK) and venue.is_active(resting):
                venue.expire(resting, f"{resting.order.tif}: not marketable at the open", bar.open_at)

    def _stops(self, bar: Bar, venue: Executor) -> None:
        for resting in _of(venue, OrderType.STOP_MARKET, bar):
            side, stop = _held(resting.order), _level(resting.order)
            if stop_reached(side, stop, bar.low, bar.high):
                self._take(resting, stop_price(side, stop, bar.open), bar, bar.close_at, venue)

    def _take(self, resting: Resting, reference: Decimal, bar: Bar, at: int, venue: Executor) -> None:
        order = resting.order
        price = self.slippage.price(order.side, resting.leaves, Touch(reference))
        price = min(max(price, bar.low), bar.high)
        if order.type is OrderType.LIMIT and order.price is not None:
            if not _passed(order, reference):  # the open came back to our side: it rests now
                resting.taking = False
                return
            price = min(price, order.price) if order.side is Side.BUY else max(price, order.price)
        venue.execute(resting, resting.leaves, price, Liquidity.TAKER, at)


def _there(venue: Executor, bar: Bar) -> Iterator[Resting]:
    """Orders that were there at the open; those that an earlier execution ended are passed over."""
    return (r for r in venue.active() if r.arrived <= bar.open_at and venue.is_active(r))


def _of(venue: Executor, kind: OrderType, bar: Bar) -> Iterator[Resting]:
    return (r for r in _there(venue, bar) if r.order.type is kind)


def _held(order: Order) -> int:
    """+1 where *order* leaves a long, -1 where it leaves a short."""
    return -order.side.sign


def _level(order: Order) -> Decimal:
    assert order.price is not None
    return order.price


def _make(resting: Resting, price: Decimal, bar: Bar, venue: Executor) -> None:
    venue.execute(resting, resting.leaves, price, Liquidity.MAKER, bar.close_at)


def _passed(order: Order, price: Decimal | None) -> bool:
    """Whether a market at *price* would execute the limit order at once."""
    if price is None or order.price is None:
        return False
    return order.price >= price if order.side is Side.BUY else order.price <= price


def _traded_through(order: Order, bar: Bar) -> bool:
    return bar.low < _level(order) if order.side is Side.BUY else bar.high > _level(order)
