"""book_matching owns execution against trades and a local book: best bid and offer, or many levels.

Takers take what the book shows, level by level, and slip beyond it. Makers wait their turn: they execute when
trades at their price have used up the queue before them, when a trade goes through their price, or when the
other side of the book comes to their price; never for more than what came. What one simulated order takes off
the book, the next does not find there.
"""

from __future__ import annotations

from decimal import Decimal

from maestro_engine.trading.venue.book import LocalBook
from maestro_engine.trading.venue.effects.queue import QueueModel
from maestro_engine.trading.venue.effects.slippage import Slippage, Touch
from maestro_engine.trading.venue.events import Liquidity
from maestro_engine.trading.venue.market import Bar, MarketUpdate, Trade
from maestro_engine.trading.venue.matching import Executor, Resting
from maestro_engine.trading.venue.orders import ZERO, Order, OrderType, Side, TimeInForce

_MAKERS = (OrderType.LIMIT, OrderType.TAKE_PROFIT)


class BookMatching:
    """Matches against trades, quotes, snapshots and deltas of one symbol; bars are ignored."""

    def __init__(self, queue: QueueModel, slippage: Slippage, *, quote_age_ms: int | None = None) -> None:
        """*quote_age_ms*: a book that was told longer ago shows nothing to an order that arrives; None: it does.

        What closes a position then waits for the next market, what would open one expires.
        """
        self.book = LocalBook()
        self._quote_age_ms = quote_age_ms
        self._queue = queue
        self._slippage = slippage

    def refusal(self, order: Order, venue: Executor) -> str | None:
        if order.tif is TimeInForce.POST_ONLY and self._showing(order):
            return f"post_only: {order.price} would take at {self.book.best(order.side.opposite)}"
        return None

    def place(self, resting: Resting, venue: Executor, at: int) -> None:
        order = resting.order
        if order.type is OrderType.MARKET:
            resting.taking = True
            if self._dead(at) and not order.reduce_only:
                venue.expire(resting, "no live market: the newest quote is too old", at)
            else:
                self._take(resting, venue, at)
        elif order.type is OrderType.STOP_MARKET:
            self._trigger(resting, self.book.best(order.side.opposite), venue, at)
        elif order.tif is TimeInForce.FOK and self._showing(order) < resting.leaves:
            venue.expire(resting, f"fok: {self._showing(order)} of {resting.leaves} there", at)
        else:
            self._take(resting, venue, at)
            if venue.is_active(resting) and order.tif in (TimeInForce.IOC, TimeInForce.FOK):
                venue.expire(resting, f"{order.tif}: no more at {order.price} or better", at)
            self._look(resting)

    def update(self, news: MarketUpdate, venue: Executor) -> None:
        if isinstance(news, Bar):
            return
        if isinstance(news, Trade):
            self._trade(news, venue)
            return
        self.book.update(news)
        for resting in venue.active():
            if not venue.is_active(resting):
                continue
            if resting.order.type in _MAKERS:
                self._look(resting)
                self._crossed(resting, venue, news.at)
            elif resting.taking:
                self._take(resting, venue, news.at)
            else:
                self._trigger(resting, self.book.best(resting.order.side.opposite), venue, news.at)

    # no market

    def _dead(self, at: int) -> bool:
        """Whether what the book shows is too old to be executed against at *at*."""
        told = self.book.at
        return self._quote_age_ms is not None and told is not None and at - told > self._quote_age_ms

    # takers

    def _take(self, resting: Resting, venue: Executor, at: int) -> None:
        """Take what is shown, up to the limit; a taker without one slips beyond. Nothing shown: it waits."""
        if self._dead(at):
            return
        order = resting.order
        limit = None if resting.taking else order.price
        gap, last = self.book.spread, None
        for price, size in self.book.walk(order.side.opposite, limit):
            done = venue.execute(resting, min(size, resting.leaves), price, Liquidity.TAKER, at)
            self.book.consume(order.side.opposite, price, done)
            if not venue.is_active(resting):
                return
            last = Touch(price, max(gap or ZERO, venue.instrument.tick_size), size)
        if resting.taking and last is not None:
            price = self._slippage.price(order.side, resting.leaves, last)
            venue.execute(resting, resting.leaves, price, Liquidity.TAKER, at)

    def _trigger(self, resting: Resting, price: Decimal | None, venue: Executor, at: int) -> None:
        """Turn a stop into a market order when *price* has reached it."""
        stop = resting.order.price
        if price is None or stop is None:
            return
        if price >= stop if resting.order.side is Side.BUY else price <= stop:
            resting.taking = True
            self._take(resting, venue, at)

    def _showing(self, order: Order) -> Decimal:
        """Quantity that *order* could take within its limit."""
        return sum((size for _, size in self.book.walk(order.side.opposite, order.price)), ZERO)

    # makers

    def _look(self, resting: Resting) -> None:
        """Bring the queue position up to date with what the book now shows at our price."""
        order = resting.order
        assert order.price is not None
        now = self.book.size(order.side, order.price)
        if now is not None:
            if resting.front is None:
                resting.front = now
            elif resting.seen is None:
                resting.front = min(resting.front, now)
            else:
                resting.front = self._queue.front(resting.front, resting.seen, now, resting.traded)
        resting.seen, resting.traded = now, ZERO

    def _crossed(self, resting: Resting, venue: Executor, at: int) -> None:
        """The other side has come to our price: it would have met us."""
        order = resting.order
        assert order.price is not None
        for price, size in self.book.walk(order.side.opposite, order.price):
            done = venue.execute(resting, min(size, resting.leaves), order.price, Liquidity.MAKER, at)
            self.book.consume(order.side.opposite, price, done)
            if not venue.is_active(resting):
                return

    def _trade(self, trade: Trade, venue: Executor) -> None:
        hit = [r for r in venue.active() if self._meets(r.order, trade)]
        hit.sort(key=lambda r: r.order.price or ZERO, reverse=trade.taker is Side.SELL)
        left = trade.qty
        for resting in hit:
            if left > 0 and venue.is_active(resting):
                left -= self._share(resting, trade, left, venue)
        for resting in venue.active():
            if resting.order.type is OrderType.STOP_MARKET and venue.is_active(resting):
                self._trigger(resting, trade.price, venue, trade.at)

    @staticmethod
    def _meets(order: Order, trade: Trade) -> bool:
        if order.type not in _MAKERS or order.side is trade.taker or order.price is None:
            return False
        return order.price >= trade.price if order.side is Side.BUY else order.price <= trade.price

    @staticmethod
    def _share(resting: Resting, trade: Trade, left: Decimal, venue: Executor) -> Decimal:
        """What of *left* reaches *resting*; the queue before it goes first where the trade is at its price."""
        price = resting.order.price
        assert price is not None
        if price == trade.price:
            resting.traded += trade.qty
            if resting.front is None:
                return ZERO
            ahead = min(max(resting.front, ZERO), left)
            resting.front -= ahead
            left -= ahead
        else:
            resting.front = ZERO
        reached = venue.instrument.round_qty(min(left, resting.leaves))
        return venue.execute(resting, reached, price, Liquidity.MAKER, trade.at)
