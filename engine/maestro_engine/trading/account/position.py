"""position owns FIFO lots: what is held of one symbol, what it cost, and what closing it earned."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import Decimal

from maestro_engine.trading.venue.money import ZERO, exact


@dataclass(frozen=True, slots=True)
class Lot:
    """One opening execution, or what is left of it: ``qty`` > 0 long, < 0 short; ``price`` in quote currency."""

    qty: Decimal
    price: Decimal
    at: int


class Position:
    """Lots of one symbol, oldest first, all on one side. Closing takes the oldest first.

    ``qty`` is the signed sum of the lots and ``cost`` the signed sum of quantity times price, so that
    the unrealised profit at a mark is ``qty * mark - cost``; both are kept, not summed anew.
    """

    __slots__ = ("_lots", "cost", "qty")

    def __init__(self, lots: Iterable[Lot] = ()) -> None:
        self._lots = deque(lots)
        with exact():
            self.qty = sum((lot.qty for lot in self._lots), ZERO)
            self.cost = sum((lot.qty * lot.price for lot in self._lots), ZERO)

    @property
    def lots(self) -> tuple[Lot, ...]:
        return tuple(self._lots)

    def entry_price(self) -> Decimal | None:
        """Average price of the open lots (28 digits, for display and margin); None when flat."""
        return self.cost / self.qty if self.qty else None

    def unrealised(self, mark: Decimal) -> Decimal:
        """Profit if all were closed at *mark* free of charge, in quote currency."""
        with exact():
            return self.qty * mark - self.cost

    def trade(self, qty: Decimal, price: Decimal, at: int) -> Decimal:
        """Add *qty* (signed) at *price*; give the profit realised on what it closed.

        A quantity larger than the position closes it and opens the rest on the other side.
        """
        with exact():
            realised = ZERO
            while qty and self._lots and (self._lots[0].qty > 0) != (qty > 0):
                closed = self._take(-qty)
                realised += closed.qty * (price - closed.price)
                qty += closed.qty
            if qty:
                self._lots.append(Lot(qty, price, at))
                self.qty += qty
                self.cost += qty * price
            return realised

    def _take(self, want: Decimal) -> Lot:
        """Remove up to *want* (signed like the lots) of the oldest lot."""
        oldest = self._lots[0]
        if abs(oldest.qty) <= abs(want):
            taken = self._lots.popleft()
        else:
            taken = replace(oldest, qty=want)
            self._lots[0] = replace(oldest, qty=oldest.qty - want)
        self.qty -= taken.qty
        self.cost -= taken.qty * taken.price
        return taken
