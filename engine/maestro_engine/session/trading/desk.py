"""desk owns the orders and the money of one symbol: what is sent, what comes of it, and what may be sent at all.

It is told the market and the time and has neither clock nor network. Times are UTC milliseconds, money and prices in
quote currency, quantities in base currency.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal

import msgspec
import numpy as np

from maestro_engine.exits.rules import StopMoves
from maestro_engine.feeds.port import BookTicker, TradeTick
from maestro_engine.session.config import SessionConfig
from maestro_engine.session.trading.desk_state import DeskState
from maestro_engine.session.trading.trades import Counts, OpenTrade, order_id, purpose_of
from maestro_engine.session.trading.venue import NewestQuote, fee_rates, market_of, venue_of
from maestro_engine.session.trail import records
from maestro_engine.session.trail.records import Record
from maestro_engine.trading.account.perpetual import PerpetualAccount
from maestro_engine.trading.risk.checks import Exposure, Rejected, TradePlan, bracket_plan
from maestro_engine.trading.risk.guard import RiskGuard, Trip
from maestro_engine.trading.venue import events
from maestro_engine.trading.venue.events import Fill, Liquidity
from maestro_engine.trading.venue.lifecycle import OrderState
from maestro_engine.trading.venue.market import Bar
from maestro_engine.trading.venue.orders import ZERO, Instrument, Order, OrderType, Purpose, Side, TimeInForce
from maestro_engine.trading.venue.tracker import OrderTracker
from maestro_protocol.errors import DataError

Say = Callable[[Record, int], None]


class Desk:
    """Knows the venue, the account and the guard; nothing is sent but through it."""

    def __init__(
        self,
        run: str,
        config: SessionConfig,
        instrument: Instrument,
        account: PerpetualAccount,
        guard: RiskGuard,
        say: Say,
    ) -> None:
        self.account, self.guard, self.instrument = account, guard, instrument
        self.exchange = venue_of(config, instrument, np.random.default_rng([config.seed, 11]))
        self.tracker = OrderTracker()
        self.trade: OpenTrade | None = None
        self.counts = Counts()
        self.price: Decimal | None = None
        """The price that values what is held: the newest mark, or that of the fill which opened it since."""
        self.tripped: list[Trip] = []
        """Breakers that tripped and the supervisor has not looked at."""
        self.fill_ms: Callable[[int], None] = lambda _: None
        """Is told the milliseconds from sending a market order to hearing of its fill."""
        self._symbol, self._run, self._say = config.symbol, run, say
        self._rates = fee_rates(config)
        self._in_bars, self._own_time = config.fills == "bars", config.own_time
        self.quote = NewestQuote(config.adapter.bands)
        self._number = 0

    @property
    def position(self) -> Decimal:
        """Signed quantity held."""
        return self.account.position(self._symbol)

    @property
    def entry_price(self) -> Decimal | None:
        """Average price of what is held; None when nothing is."""
        return self.account.entry_price(self._symbol)

    @property
    def entry_id(self) -> str:
        """Id of the order that opened the trade under way."""
        assert self.trade is not None
        return order_id(self._run, self.trade.number, Purpose.ENTRY)

    @property
    def working(self) -> tuple[OrderState, ...]:
        return tuple(self.tracker.open())

    @property
    def busy(self) -> bool:
        """Whether any order is open or any message under way."""
        return next(self.tracker.open(), None) is not None or self.exchange.next_due() is not None

    def live(self, now: int) -> bool:
        """Whether there is a market to execute against at *now*."""
        return self.price is not None if self._in_bars else self.quote.live(now)

    @property
    def unprotected(self) -> bool:
        """Whether something is held and no stop works for it."""
        return bool(self.position) and not any(s.order.type is OrderType.STOP_MARKET for s in self.working)

    @property
    def flat(self) -> bool:
        """Whether nothing is held, working or under way."""
        return not self.position and not self.working

    # the market

    def bar(self, bar: Bar) -> None:
        """A closed candle, where fills are made against candles."""
        self.exchange.on_market(bar)
        self.poll(bar.close_at)

    def tick(self, event: BookTicker | TradeTick, now: int, made_ms: int | None = None) -> None:
        """A plausible quote or trade, where fills are made against those. *made_ms*: when, if it came late."""
        at = now if made_ms is None else made_ms
        fresh = self.quote.take(event, at, now) if isinstance(event, BookTicker) else True
        if fresh and self.busy:
            self.exchange.on_market(market_of(event, at))
            self.poll(now)

    def confirm(self, now: int) -> None:
        """Another witness says that the newest quote still stands: nothing has happened since."""
        if self.quote.ticker is not None:
            self.tick(self.quote.ticker, now)

    def poll(self, now: int) -> None:
        """Take in what the venue has answered by *now*."""
        for event in self.exchange.poll(now):
            self._heard(event, now)

    def mark(self, price: Decimal, now: int) -> None:
        """Value what is held at *price*; the exchange takes a position whose margin is gone."""
        self.price = price
        if self.position:
            self.account.mark(self._symbol, price)
            taken = self.account.liquidation(self._symbol, now)
            if taken is not None:
                self._adopt(taken, now)

    def _adopt(self, fill: Fill, now: int) -> None:
        """Book what no order here made, and have the venue know of it."""
        self._book(fill, now)
        self.exchange.adopt(fill)

    def value(self, now: int) -> None:
        """Let the guard look at the equity."""
        self._trip(self.guard.on_equity(self.account.equity, now), now)

    def fund(self, rate: Decimal, mark: Decimal, due_ms: int, now: int) -> None:
        """Settle funding at *mark*; nothing is told where nothing is held."""
        if self.position:
            received = self.account.pay_funding(self._symbol, rate, mark)
            self._say(records.FundingPaid(rate, mark, received, due_ms), now)
            self.value(now)

    def enter(
        self,
        side: Side,
        qty: Decimal,
        stop: Decimal,
        target: Decimal,
        now: int,
        bar_ms: int | None = None,
        moves: StopMoves = StopMoves(),  # noqa: B008 - frozen
    ) -> bool:
        """Send a market entry with its stop and target, if risk and margin allow; False when they do not.

        *bar_ms* is the open time of the candle it will fill in, *moves* how its stop will move.
        """
        assert self.price is not None, "an entry is decided on a price"
        qty = self.instrument.round_qty(qty)
        self._number += 1
        entry = self._order(Purpose.ENTRY, side, OrderType.MARKET, qty)
        stop, target = self.on_tick(stop), self.on_tick(target)
        plan = bracket_plan(entry, self.quote.mid or self.price, stop, target, self._rates.taker)
        if not self._allowed(entry, plan, now):
            return False
        self.trade = OpenTrade(self._number, side, plan.loss or ZERO, bar_ms, moves=moves)
        self._send(entry, now)
        bracket = (Purpose.STOP, OrderType.STOP_MARKET, stop), (Purpose.TARGET, OrderType.TAKE_PROFIT, target)
        for purpose, kind, price in bracket:
            order = self._order(purpose, side.opposite, kind, qty, price, attached_to=entry.client_order_id)
            self.guard.check(order, self.exposure, TradePlan(), now)
            self._send(order, now)
        return True

    def on_tick(self, price: Decimal) -> Decimal:
        """The nearest price that an order may have."""
        return max(self.instrument.round_price(price), self.instrument.tick_size)

    def replace(self, stop: OrderState, price: Decimal, purpose: Purpose, now: int) -> None:
        """Send a stop at *price* and then ask *stop* back: the position is never without one."""
        assert self.trade is not None, "a stop belongs to a trade"
        self.trade.stops += 1
        old, count = stop.order, self.trade.stops
        self._send(self._order(purpose, old.side, old.type, stop.leaves, price, count=count), now)
        self._ask_back(stop, now)

    def leave(self, reason: str, now: int) -> None:
        """Send a market order that closes what is held, unless one is working."""
        if not self.position or any(purpose_of(s.order) is Purpose.EXIT for s in self.working):
            return
        if self.trade is None:  # an adopted position without its story
            self._number += 1
            self.trade = OpenTrade(self._number, self._held_side(), ZERO)
        self.trade.leaving = reason
        self.trade.exits += 1
        side, count = self._held_side().opposite, self.trade.exits
        order = self._order(Purpose.EXIT, side, OrderType.MARKET, abs(self.position), count=count)
        self.guard.check(order, self.exposure, TradePlan(), now)
        self._send(order, now)

    def assume_closed(self, share: Decimal, now: int) -> Decimal | None:
        """Book the position as closed, worse than at the last price known by *share*; gives that price.

        No execution: the fill says ``assumed``.
        """
        price, side = self.quote.mid or self.price, self._held_side().opposite
        if not self.position or price is None:
            return None
        price = self.on_tick(price * (1 + side.sign * share))
        name = f"assumed-{self._symbol}-{now}"
        fee = self._rates.fee(abs(self.position), price, Liquidity.TAKER)
        fill = Fill(name, name, self._symbol, side, abs(self.position), price, fee, Liquidity.ASSUMED, now)
        self._adopt(fill, now)
        return price

    def cancel_all(self, now: int) -> None:
        """Ask for every working order back."""
        for state in self.working:
            self._ask_back(state, now)

    def _ask_back(self, state: OrderState, now: int) -> None:
        request = self.tracker.cancel(state.order.client_order_id, now)
        if request is not None:
            self.exchange.send(request)

    def error(self, what: str, now: int) -> None:
        """Count an error of the session."""
        trips = self.guard.on_error(what, now)
        self._say(records.ErrorCounted(what, self.guard.errors), now)
        self._trip(trips, now)

    def _order(
        self,
        purpose: Purpose,
        side: Side,
        kind: OrderType,
        qty: Decimal,
        price: Decimal | None = None,
        attached_to: str | None = None,
        count: int = 1,
    ) -> Order:
        opening = purpose is Purpose.ENTRY
        number = self._number if opening or self.trade is None else self.trade.number
        name = order_id(self._run, number, purpose, count)
        gtc = TimeInForce.GTC
        return Order(name, self._symbol, side, kind, qty, price, gtc, not opening, attached_to, purpose)

    def _held_side(self) -> Side:
        return Side.BUY if self.position > 0 else Side.SELL

    @property
    def exposure(self) -> Exposure:
        """The account as an order finds it now."""
        opening = [s for s in self.working if not s.order.reduce_only]
        buys, sells = (sum((s.leaves for s in opening if s.order.side is side), ZERO) for side in Side)
        risk = self.trade.loss if self.trade is not None else ZERO
        return Exposure(self.account.equity, self.position, buys, sells, self.price or ZERO, risk)

    def _allowed(self, order: Order, plan: TradePlan, now: int) -> bool:
        price = self.price or ZERO
        short = self.account.margin_short(order, price, self.working, self._rates.taker)
        if short is not None:
            detail = f"needs {short.needed} of {short.available} available"
            self._refused(order, "margin", detail, short.needed, now)
            return False
        verdict = self.guard.check(order, self.exposure, plan, now)
        self.value(now)  # what tripped inside the check is told
        if isinstance(verdict, Rejected):
            self._refused(order, verdict.limit, verdict.reason, verdict.value, now)
            return False
        return True

    def _refused(self, order: Order, reason: str, detail: str, value: Decimal | None, now: int) -> None:
        self.counts.rejects += 1
        key = order.client_order_id
        self._say(records.OrderRejected(reason, key, order.side.value, order.qty, detail, value), now)

    def _send(self, order: Order, now: int) -> None:
        sent = self.tracker.submit(order, now)
        if sent is None:
            return
        if self.quote.ticker is not None:  # while nothing worked, quotes were only remembered
            self.exchange.on_market(market_of(self.quote.ticker, self.quote.made_ms))
        self.counts.orders += 1
        said = (order.client_order_id, order.side.value, order.type.value, order.qty, order.price, order.reduce_only)
        self._say(records.OrderSubmitted(*said, purpose_of(order) or ""), now)
        self.exchange.send(sent)

    def _heard(self, event: events.OrderEvent, now: int) -> None:
        try:
            news = self.tracker.apply(event)
        except DataError as error:
            self.error(str(error), now)
            return
        if not news:
            return
        match event:
            case events.Fill():
                state = self.tracker[event.client_order_id]
                if state.order.type is OrderType.MARKET:
                    self.fill_ms(now - state.submitted_at)
                self._book(event, now)
            case events.OrderRejected():
                order = self.tracker[event.client_order_id].order
                self._refused(order, "venue", event.reason, None, now)
                self._protect(order, now)
            case events.OrderCancelled() | events.OrderExpired():
                state = self.tracker[event.client_order_id]
                detail = event.reason if isinstance(event, events.OrderExpired) else "on request"
                key = event.client_order_id
                self._say(records.OrderClosed(key, state.status.value, event.filled, detail), now)
            case _:
                pass
        self._over()

    def _book(self, fill: events.Fill, now: int) -> None:
        booked = self.account.fill(fill)
        if booked.opened:  # valued at what was paid until the next mark: no older price knows of it
            self.price = fill.price
        self.counts.fills += 1
        key = fill.client_order_id
        said = (fill.side.value, fill.price, fill.qty, fill.fee, fill.at, key, fill.fill_id, fill.liquidity.value)
        self._say(records.ExecutionFill(*said), now)
        if booked.round_trip is not None:
            self._ended(key, fill.price, booked.round_trip, now)
        self.value(now)

    def _ended(self, key: str, price: Decimal, pnl: Decimal, now: int) -> None:
        self.counts.wins += pnl > 0
        self.counts.losses += pnl < 0
        self._say(records.ExecutionExit(self._why(key), price, pnl), now)
        self._trip(self.guard.on_trade(pnl, now), now)

    def _why(self, key: str) -> str:
        if key.startswith(("liquidation-", "assumed-")):
            return key.partition("-")[0]
        purpose = purpose_of(self.tracker[key].order)
        if purpose is not None and purpose not in (Purpose.ENTRY, Purpose.EXIT):
            return purpose.value
        return (self.trade.leaving if self.trade is not None else None) or "closed"

    def _protect(self, order: Order, now: int) -> None:
        """A position whose stop the venue refused is left at once."""
        if order.type is OrderType.STOP_MARKET and self.position:
            self.leave("unprotected", now)

    def _over(self) -> None:
        if self.trade is not None and not self.position:
            entry = self.tracker.get(self.entry_id)
            if entry is None or entry.status.terminal:
                self.trade = None

    def _trip(self, trips: Iterable[Trip], now: int) -> None:
        for trip in trips:
            self.tripped.append(trip)
            self._say(records.CircuitBreakerTripped(trip.breaker, trip.detail), now)

    # state

    def to_dict(self) -> dict[str, object]:
        """Orders, venue, account, guard, what is under way, and the market as it was seen last."""
        own = DeskState(self.trade, self.counts, self._number, self.price)
        return {
            "account": self.account.to_dict(),
            "tracker": self.tracker.to_dict(),
            "exchange": self.exchange.to_dict(),
            "guard": self.guard.to_dict(),
            "desk": msgspec.to_builtins(own.with_market(self.quote, self.exchange.matching)),
        }

    def restore(self, plain: Mapping[str, object]) -> None:
        """Take over what :meth:`to_dict` wrote; account and guard are restored by who made them.

        Raises :class:`DataError` where the parts do not agree.
        """
        tracker, exchange = (msgspec.convert(plain[name], dict[str, object]) for name in ("tracker", "exchange"))
        self.tracker = OrderTracker.from_dict(tracker)
        self.exchange.restore(exchange)
        own = msgspec.convert(plain["desk"], DeskState)
        self.trade, self.counts, self._number = own.trade, own.counts, own.last_number
        self.price = self.exchange.last_price
        if self._own_time:  # else the market has gone on without us
            self.price = own.price or self.price
            own.put_back(self.quote, self.exchange.matching)
        if self.exchange.next_due() is None and self.exchange.net != self.position:
            raise DataError(
                f"saved state: the venue holds {self.exchange.net} {self._symbol}, the account {self.position}"
            )
