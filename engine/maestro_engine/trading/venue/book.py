"""book owns a local order book built from snapshots, deltas or quotes of one symbol."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from decimal import Decimal

from maestro_engine.trading.venue.market import BookDelta, BookSnapshot, Levels, Quote
from maestro_engine.trading.venue.orders import ZERO, Side


class _Half:
    """One side: prices ascending, the quantity of each."""

    __slots__ = ("best_last", "prices", "qty")

    def __init__(self, best_last: bool) -> None:
        self.best_last = best_last
        self.prices: list[Decimal] = []
        self.qty: dict[Decimal, Decimal] = {}

    def set(self, price: Decimal, qty: Decimal) -> None:
        known = price in self.qty
        if qty > 0:
            if not known:
                self.prices.insert(bisect_left(self.prices, price), price)
            self.qty[price] = qty
        elif known:
            del self.qty[price]
            del self.prices[bisect_left(self.prices, price)]

    def replace(self, levels: Levels) -> None:
        self.qty = {price: qty for price, qty in dict(levels).items() if qty > 0}
        self.prices = sorted(self.qty)

    def best_first(self) -> Iterator[Decimal]:
        return reversed(self.prices) if self.best_last else iter(self.prices)

    def best(self) -> Decimal | None:
        return (self.prices[-1] if self.best_last else self.prices[0]) if self.prices else None

    def size(self, price: Decimal) -> Decimal | None:
        if not self.prices:
            return None
        worst = self.prices[0] if self.best_last else self.prices[-1]
        if (price < worst) if self.best_last else (price > worst):
            return None
        return self.qty.get(price, ZERO)


class LocalBook:
    """Bids (``Side.BUY``) and asks (``Side.SELL``). Empty until the first snapshot or quote."""

    def __init__(self) -> None:
        self._halves = {Side.BUY: _Half(best_last=True), Side.SELL: _Half(best_last=False)}
        self.at: int | None = None
        """When it was last told what it shows (UTC milliseconds, at the venue); None while empty."""

    def update(self, news: BookSnapshot | BookDelta | Quote) -> None:
        """Take in *news*. A delta on an empty book is taken as it is: snapshots first is the feed's duty."""
        self.at = news.at
        if isinstance(news, BookDelta):
            for side, levels in ((Side.BUY, news.bids), (Side.SELL, news.asks)):
                for price, qty in levels:
                    self._halves[side].set(price, qty)
            return
        bids, asks = (news.bids, news.asks) if isinstance(news, BookSnapshot) else _one_level(news)
        self._halves[Side.BUY].replace(bids)
        self._halves[Side.SELL].replace(asks)

    def best(self, side: Side) -> Decimal | None:
        """The best price resting on *side*; None when nobody does."""
        return self._halves[side].best()

    def size(self, side: Side, price: Decimal) -> Decimal | None:
        """Quantity resting on *side* at *price*; None where the book does not reach that far."""
        return self._halves[side].size(price)

    def walk(self, side: Side, limit: Decimal | None = None) -> list[tuple[Decimal, Decimal]]:
        """Levels resting on *side*, best first, no worse for their taker than *limit*."""
        half, found = self._halves[side], list[tuple[Decimal, Decimal]]()
        for price in half.best_first():
            if limit is not None and (price > limit if side is Side.SELL else price < limit):
                break
            found.append((price, half.qty[price]))
        return found

    def consume(self, side: Side, price: Decimal, qty: Decimal) -> None:
        """Take *qty* off the level: what one simulated order took, the next does not find there again."""
        half = self._halves[side]
        half.set(price, half.qty[price] - qty)

    @property
    def spread(self) -> Decimal | None:
        """Best ask minus best bid; None while a side is empty."""
        bid, ask = self.best(Side.BUY), self.best(Side.SELL)
        return None if bid is None or ask is None else ask - bid

    @property
    def mid(self) -> Decimal | None:
        """Middle of best bid and ask; None while a side is empty."""
        bid, ask = self.best(Side.BUY), self.best(Side.SELL)
        return None if bid is None or ask is None else (bid + ask) / 2


def _one_level(quote: Quote) -> tuple[Levels, Levels]:
    return [(quote.bid, quote.bid_qty)], [(quote.ask, quote.ask_qty)]
