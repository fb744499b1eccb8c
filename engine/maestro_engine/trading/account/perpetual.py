"""perpetual owns a paper account of linear perpetuals: cash, positions, fees, funding, isolated margin.

Always: ``equity == cash + unrealised`` and ``net_pnl == equity - starting_cash``, to the last digit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from maestro_engine.trading.account.margin import MarginTable, bankruptcy_price
from maestro_engine.trading.account.position import Lot, Position
from maestro_engine.trading.venue.events import Fill, Liquidity
from maestro_engine.trading.venue.lifecycle import OrderState
from maestro_engine.trading.venue.money import CENT, ZERO, charged, exact, rounded
from maestro_engine.trading.venue.orders import Order, Side
from maestro_engine.trading.venue.state import Plain, check_version, dump, load
from maestro_protocol.errors import ConfigError, DataError

VERSION = 1


@dataclass(frozen=True, slots=True)
class Booked:
    """What a fill did: ``realised`` profit before fees, and the trade it ended, if it did."""

    realised: Decimal
    round_trip: Decimal | None
    """Net profit of the trade from flat to flat, fees and funding included; None while it is open.

    A fill that turns the position over ends a trade; its whole fee is charged to that one.
    """
    opened: bool = False
    """Whether it began a position, from flat or by turning one over; that is valued at the fill's price."""


@dataclass(frozen=True, slots=True)
class MarginShort:
    """An order that the account cannot carry: *needed* initial margin and fee against what is *available*."""

    needed: Decimal
    available: Decimal


@dataclass(slots=True)
class _Holding:
    position: Position
    mark: Decimal
    trade_pnl: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class _SavedHolding:
    lots: list[Lot]
    mark: Decimal
    trade_pnl: Decimal


@dataclass(frozen=True, slots=True)
class _Saved:
    version: int
    starting_cash: Decimal
    leverage: Decimal
    realised: Decimal
    fees: Decimal
    funding: Decimal
    trades: int
    holdings: dict[str, _SavedHolding]


class PerpetualAccount:
    """Money in quote currency, quantities in base currency, times UTC milliseconds.

    ``leverage`` is the same for all symbols. ``tables`` give each symbol's maintenance brackets; they are
    configuration, not state: give them again on restore.
    """

    def __init__(self, starting_cash: Decimal, leverage: Decimal, tables: Mapping[str, MarginTable]) -> None:
        if not starting_cash > 0 or not leverage >= 1:
            raise ConfigError(f"account: starting cash {starting_cash} must be positive, leverage {leverage} >= 1")
        self.starting_cash = starting_cash
        self.leverage = leverage
        self.realised = ZERO
        self.fees = ZERO
        """Sum of all fees paid; rebates lower it."""
        self.funding = ZERO
        """Sum of all funding received; negative when paid."""
        self.trades = 0
        self._tables = dict(tables)
        self._held: dict[str, _Holding] = {}

    @property
    def cash(self) -> Decimal:
        with exact():
            return self.starting_cash + self.realised - self.fees + self.funding

    @property
    def unrealised(self) -> Decimal:
        with exact():
            return sum((h.position.unrealised(h.mark) for h in self._held.values()), ZERO)

    @property
    def equity(self) -> Decimal:
        with exact():
            return self.cash + self.unrealised

    @property
    def net_pnl(self) -> Decimal:
        with exact():
            return self.equity - self.starting_cash

    def symbols(self) -> tuple[str, ...]:
        """Symbols with an open position, sorted."""
        return tuple(sorted(s for s, h in self._held.items() if h.position.qty))

    def position(self, symbol: str) -> Decimal:
        """Signed quantity held; 0 when flat."""
        held = self._held.get(symbol)
        return held.position.qty if held else ZERO

    def lots(self, symbol: str) -> tuple[Lot, ...]:
        """Open lots, oldest first."""
        held = self._held.get(symbol)
        return held.position.lots if held else ()

    def entry_price(self, symbol: str) -> Decimal | None:
        """Average price of the open lots; None when flat."""
        held = self._held.get(symbol)
        return held.position.entry_price() if held else None

    def fill(self, fill: Fill) -> Booked:
        """Book one execution. The caller passes each only once (:class:`OrderTracker` says which is news)."""
        self._table(fill.symbol)
        held = self._held.setdefault(fill.symbol, _Holding(Position(), fill.price))
        before = held.position.qty
        with exact():
            realised = held.position.trade(fill.signed_qty, fill.price, fill.at)
            self.realised += realised
            self.fees += fill.fee
            held.trade_pnl += realised - fill.fee
        after = held.position.qty
        opened = bool(after) and (not before or (after > 0) != (before > 0))
        if opened:
            held.mark = fill.price
        booked = Booked(realised, self._ended_trade(held, before), opened)
        if not after:
            del self._held[fill.symbol]  # so that no mark of it is there for the next one
        return booked

    def _ended_trade(self, held: _Holding, before: Decimal) -> Decimal | None:
        after = held.position.qty
        if not before or (after and (after > 0) == (before > 0)):
            return None
        ended, held.trade_pnl = held.trade_pnl, ZERO
        self.trades += 1
        return ended

    def mark(self, symbol: str, price: Decimal) -> None:
        """Value the open position at *price*. Raises :class:`DataError` unless it is positive."""
        if not (price.is_finite() and price > 0):
            raise DataError(f"mark of {symbol}: {price} is no price")
        held = self._held.get(symbol)
        if held is not None:
            held.mark = price

    def pay_funding(self, symbol: str, rate: Decimal, mark: Decimal) -> Decimal:
        """Settle funding: longs pay ``qty * mark * rate``, shorts receive it. Gives the amount received (< 0 paid).

        Rounded against the account to 1e-8. Source: Binance, "Introduction to Funding Rates":
        funding amount = nominal value of positions x funding rate.
        """
        held = self._held.get(symbol)
        if held is None or not held.position.qty:
            return ZERO
        received = -charged(held.position.qty * mark * rate)
        with exact():
            self.funding += received
            held.trade_pnl += received
        return received

    # margin

    def initial_margin(self, symbol: str) -> Decimal:
        """Isolated wallet of the position: what its open lots cost over leverage, rounded up to 1e-8."""
        held = self._held.get(symbol)
        return charged(abs(held.position.cost) / self.leverage) if held else ZERO

    def maintenance_margin(self, symbol: str) -> Decimal:
        """What the exchange demands to keep the position open at the current mark."""
        held = self._held.get(symbol)
        return self._table(symbol).maintenance(abs(held.position.qty * held.mark)) if held else ZERO

    @property
    def available(self) -> Decimal:
        """Cash that is not the margin of a position. May be negative after fees and funding."""
        with exact():
            return self.cash - sum((self.initial_margin(symbol) for symbol in self._held), ZERO)

    def effective_leverage(self) -> Decimal | None:
        """Notional of all positions over equity; None when equity is not positive."""
        notional = sum((abs(h.position.qty * h.mark) for h in self._held.values()), ZERO)
        return notional / self.equity if self.equity > 0 else None

    def liquidation_price(self, symbol: str) -> Decimal | None:
        """Mark at which the exchange takes the position; None when flat or when no positive price does that."""
        held = self._held.get(symbol)
        entry = held.position.entry_price() if held else None
        if held is None or entry is None:
            return None
        return self._table(symbol).liquidation_price(held.position.qty, entry, self.initial_margin(symbol))

    def liquidation(self, symbol: str, at: int) -> Fill | None:
        """The execution that takes the position when its margin is gone at the current mark; else None.

        At the bankruptcy price, so that the whole isolated wallet is lost and nothing more, as Bybit settles.
        Book it like any other fill.
        """
        held = self._held.get(symbol)
        entry = held.position.entry_price() if held else None
        if held is None or entry is None:
            return None
        qty, wallet = held.position.qty, self.initial_margin(symbol)
        if wallet + held.position.unrealised(held.mark) > self.maintenance_margin(symbol):
            return None
        price = max(rounded(bankruptcy_price(qty, entry, wallet)), CENT)
        side = Side.SELL if qty > 0 else Side.BUY
        name = f"liquidation-{symbol}-{at}"
        return Fill(name, name, symbol, side, abs(qty), price, ZERO, Liquidity.TAKER, at)

    def margin_short(
        self, order: Order, price: Decimal, working: Iterable[OrderState], fee_rate: Decimal
    ) -> MarginShort | None:
        """Whether *order* needs more than is available; None when it can be carried. Ask before sending it.

        *price* values a market order; *working* are the open orders, which need margin too. Per side the
        quantity beyond what closes the position is counted at the highest price asked, with a taker's fee
        on everything: more than the exchange may ask, never less. Reduce-only orders need none.
        """
        if order.reduce_only:
            return None
        opening = [(order, order.qty, price if order.price is None else order.price)]
        opening += [(s.order, s.leaves, s.order.price or price) for s in working if not s.order.reduce_only]
        needed = ZERO
        for symbol in {o.symbol for o, _, _ in opening}:
            for side in Side:
                mine = [(q, p) for o, q, p in opening if o.symbol == symbol and o.side is side]
                needed += self._side_margin(symbol, side, mine, fee_rate)
        return MarginShort(needed, self.available) if needed > self.available else None

    def _side_margin(
        self, symbol: str, side: Side, orders: list[tuple[Decimal, Decimal]], fee_rate: Decimal
    ) -> Decimal:
        total = sum((qty for qty, _ in orders), ZERO)
        highest = max((price for _, price in orders), default=ZERO)
        closing = max(ZERO, -self.position(symbol) * side.sign)
        opening = max(ZERO, total - closing)
        return charged(opening * highest / self.leverage + total * highest * fee_rate)

    def _table(self, symbol: str) -> MarginTable:
        table = self._tables.get(symbol)
        if table is None:
            known = ", ".join(sorted(self._tables)) or "none"
            raise ConfigError(f"account: no margin brackets for {symbol}; there are some for: {known}")
        return table

    # state

    def to_dict(self) -> Plain:
        """Everything but the margin tables, as a versioned plain dict."""
        holdings = {
            symbol: _SavedHolding(list(h.position.lots), h.mark, h.trade_pnl) for symbol, h in self._held.items()
        }
        return dump(
            _Saved(
                VERSION,
                self.starting_cash,
                self.leverage,
                self.realised,
                self.fees,
                self.funding,
                self.trades,
                holdings,
            )
        )

    @classmethod
    def from_dict(cls, plain: Mapping[str, object], tables: Mapping[str, MarginTable]) -> PerpetualAccount:
        """The account that :meth:`to_dict` wrote. Raises :class:`DataError`."""
        check_version(plain, VERSION, "account")
        saved = load(plain, _Saved, "account")
        account = cls(saved.starting_cash, saved.leverage, tables)
        account.realised, account.fees, account.funding = saved.realised, saved.fees, saved.funding
        account.trades = saved.trades
        account._held = {
            symbol: _Holding(Position(held.lots), held.mark, held.trade_pnl)
            for symbol, held in saved.holdings.items()
        }
        return account
