"""book owns the local order book: levels by price, built from one snapshot and the updates chained to it."""

from __future__ import annotations

from collections.abc import Iterable
from heapq import nlargest, nsmallest

from maestro_engine.feeds.port import DepthSnapshot, DepthUpdate, Level


class _Side:
    """Quantities by price; the best price is remembered and searched for only after it was removed."""

    __slots__ = ("_best", "_sign", "levels")

    def __init__(self, sign: int) -> None:
        self.levels: dict[float, float] = {}
        self._sign = sign  # +1: the highest price is best (bids); -1: the lowest (asks)
        self._best: float | None = None

    def set(self, changes: Iterable[Level]) -> None:
        levels, sign = self.levels, self._sign
        for price, qty in changes:
            if qty:
                levels[price] = qty
                if self._best is not None and (price - self._best) * sign > 0:
                    self._best = price
            elif levels.pop(price, None) is not None and price == self._best:
                self._best = None

    def best(self) -> Level | None:
        if not self.levels:
            return None
        if self._best is None:
            self._best = max(self.levels) if self._sign > 0 else min(self.levels)
        return self._best, self.levels[self._best]

    def top(self, count: int) -> list[Level]:
        pick = nlargest if self._sign > 0 else nsmallest
        return [(price, self.levels[price]) for price in pick(count, self.levels)]


class DepthBook:
    """Order book of one symbol. Chaining is the feed's business: apply what it gives, in order."""

    __slots__ = ("_asks", "_bids", "last_id")

    def __init__(self) -> None:
        self._bids, self._asks = _Side(1), _Side(-1)
        self.last_id: int | None = None
        """Id of the last change applied; None before the first."""

    def apply(self, event: DepthSnapshot | DepthUpdate) -> None:
        if isinstance(event, DepthSnapshot):
            self._bids, self._asks = _Side(1), _Side(-1)
        self._bids.set(event.bids)
        self._asks.set(event.asks)
        self.last_id = event.last_id

    def bid(self) -> Level | None:
        """Best bid as (price, quantity); None when that side is empty."""
        return self._bids.best()

    def ask(self) -> Level | None:
        return self._asks.best()

    def bids(self, count: int) -> list[Level]:
        """The best *count* bids, best first."""
        return self._bids.top(count)

    def asks(self, count: int) -> list[Level]:
        return self._asks.top(count)

    def __len__(self) -> int:
        return len(self._bids.levels) + len(self._asks.levels)
