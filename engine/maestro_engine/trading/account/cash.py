"""cash owns a paper account of shares that are paid in full: outcome tokens, spot. No shorting, no leverage.

Always: ``equity == cash + market value`` and ``net_pnl == equity - starting_cash``, to the last digit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from maestro_engine.trading.account.position import Lot, Position
from maestro_engine.trading.venue.events import Fill
from maestro_engine.trading.venue.lifecycle import OrderState
from maestro_engine.trading.venue.money import ZERO, exact
from maestro_engine.trading.venue.orders import Order, Side
from maestro_engine.trading.venue.state import Plain, check_version, dump, load
from maestro_protocol.errors import ConfigError, DataError

VERSION = 1


@dataclass(frozen=True, slots=True)
class _Saved:
    version: int
    starting_cash: Decimal
    cash: Decimal
    realised: Decimal
    fees: Decimal
    lots: dict[str, list[Lot]]
    marks: dict[str, Decimal]


class CashAccount:
    """Money in quote currency, quantities in shares. A symbol is one outcome token."""

    def __init__(self, starting_cash: Decimal) -> None:
        if not starting_cash > 0:
            raise ConfigError(f"account: starting cash {starting_cash} must be positive")
        self.starting_cash = starting_cash
        self.cash = starting_cash
        self.realised = ZERO
        self.fees = ZERO
        self._positions: dict[str, Position] = {}
        self._marks: dict[str, Decimal] = {}

    @property
    def equity(self) -> Decimal:
        with exact():
            return self.cash + sum((p.qty * self._marks[s] for s, p in self._positions.items()), ZERO)

    @property
    def net_pnl(self) -> Decimal:
        with exact():
            return self.equity - self.starting_cash

    def position(self, symbol: str) -> Decimal:
        """Shares held; 0 when none."""
        held = self._positions.get(symbol)
        return held.qty if held else ZERO

    def lots(self, symbol: str) -> tuple[Lot, ...]:
        """Open lots, oldest first."""
        held = self._positions.get(symbol)
        return held.lots if held else ()

    def fill(self, fill: Fill) -> Decimal:
        """Book one execution; gives the profit realised before fees.

        A buy pays notional + fee, a sale receives notional - fee. Raises :class:`DataError` when it needs
        more cash or shares than there are: check before ordering.
        """
        with exact():
            cash = self.cash - fill.signed_qty * fill.price - fill.fee
        if fill.side is Side.SELL and fill.qty > self.position(fill.symbol):
            raise DataError(f"{fill.symbol}: {fill.qty} sold of {self.position(fill.symbol)} held")
        if fill.side is Side.BUY and cash < 0:
            raise DataError(f"{fill.symbol}: a buy leaves {cash} cash; check before ordering")
        return self._book(fill.symbol, fill.signed_qty, fill.price, fill.fee, fill.at)

    def affords(self, order: Order, price: Decimal, fee: Decimal, working: Iterable[OrderState]) -> bool:
        """Whether cash (for a buy, *fee* included) or shares (for a sale) suffice beside the *working* orders.

        *price* values orders without one of their own. Ask before sending the order.
        """
        beside = [(s.order, s.leaves) for s in working if s.order.side is order.side]
        if order.side is Side.SELL:
            promised = sum((qty for o, qty in beside if o.symbol == order.symbol), ZERO)
            return order.qty + promised <= self.position(order.symbol)
        promised = sum((qty * (o.price or price) for o, qty in beside), ZERO)
        return order.qty * (order.price or price) + fee + promised <= self.cash

    def settle(self, symbol: str, payout: Decimal, at: int) -> Decimal:
        """The market resolved: every share pays *payout* (0 .. 1, free of charge). Gives the profit realised."""
        qty = self.position(symbol)
        return self._book(symbol, -qty, payout, ZERO, at) if qty else ZERO

    def mark(self, symbol: str, price: Decimal) -> None:
        """Value the shares at *price* from now on. Raises :class:`DataError` where it is negative or no number."""
        if not (price.is_finite() and price >= 0):
            raise DataError(f"mark of {symbol}: {price} is no price")
        if symbol in self._positions:
            self._marks[symbol] = price

    def _book(self, symbol: str, qty: Decimal, price: Decimal, fee: Decimal, at: int) -> Decimal:
        held = self._positions.setdefault(symbol, Position())
        self._marks.setdefault(symbol, price)
        with exact():
            realised = held.trade(qty, price, at)
            self.cash -= qty * price + fee
            self.fees += fee
            self.realised += realised
        if not held.qty:
            del self._positions[symbol], self._marks[symbol]
        return realised

    def to_dict(self) -> Plain:
        """Everything, as a versioned plain dict."""
        lots = {symbol: list(p.lots) for symbol, p in self._positions.items()}
        return dump(_Saved(VERSION, self.starting_cash, self.cash, self.realised, self.fees, lots, self._marks))

    @classmethod
    def from_dict(cls, plain: Mapping[str, object]) -> CashAccount:
        """The account that :meth:`to_dict` wrote. Raises :class:`DataError`."""
        check_version(plain, VERSION, "cash account")
        saved = load(plain, _Saved, "cash account")
        account = cls(saved.starting_cash)
        account.cash, account.realised, account.fees = saved.cash, saved.realised, saved.fees
        account._positions = {symbol: Position(lots) for symbol, lots in saved.lots.items()}
        account._marks = dict(saved.marks)
        return account
