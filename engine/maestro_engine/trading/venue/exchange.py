"""exchange owns a simulated venue for one symbol: its orders, its clock of messages, and what it tells back.

Pure: time comes in with every call, market data through :meth:`PaperExchange.on_market`, and the answers are
collected with :meth:`PaperExchange.poll`. One connection carries messages in order, whatever their latency.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from maestro_engine.trading.venue.effects.fees import Fees
from maestro_engine.trading.venue.effects.latency import Latency
from maestro_engine.trading.venue.events import (
    CancelRequested,
    Fill,
    Liquidity,
    OrderAccepted,
    OrderCancelled,
    OrderEvent,
    OrderExpired,
    OrderRejected,
    OrderSubmitted,
)
from maestro_engine.trading.venue.market import Bar, MarketUpdate, Quote, Trade
from maestro_engine.trading.venue.matching import Matching, Resting
from maestro_engine.trading.venue.money import ZERO, adverse
from maestro_engine.trading.venue.orders import Instrument, Order, Side
from maestro_engine.trading.venue.state import Plain, check_version, dump, dump_event, load, load_event

VERSION = 1
KEEP_ENDED = 1_000
"""Ended orders whose id is remembered, so that a resubmission is not a new order."""

Command = OrderSubmitted | CancelRequested


@dataclass(frozen=True, slots=True)
class _Saved:
    version: int
    net: Decimal
    last_price: Decimal | None
    fills: int
    last_in: int
    clock: int
    orders: list[Resting]
    held: list[str]
    ended: list[tuple[str, Decimal]]
    inbox: list[tuple[int, dict[str, object]]]
    outbox: list[tuple[int, dict[str, object]]]
    rng: str


class PaperExchange:
    """Quantities in base currency (or shares), prices in quote currency, times UTC milliseconds."""

    def __init__(
        self,
        instrument: Instrument,
        matching: Matching,
        fees: Fees,
        latency: Latency,
        rng: np.random.Generator,
    ) -> None:
        self.instrument = instrument
        self.matching = matching
        self.net = ZERO
        """Signed position as the venue sees it; what reduce-only orders may reduce."""
        self.last_price: Decimal | None = None
        self._fees = fees
        self._latency = latency
        self._rng = rng
        self._fills = 0
        self._orders: dict[str, Resting] = {}
        self._held: dict[str, Resting] = {}
        """Accepted orders that wait for the first fill of the one they are attached to."""
        self._ended: dict[str, Decimal] = {}
        """Filled quantity of the orders that are over."""
        self._inbox: deque[tuple[int, Command]] = deque()
        self._outbox: deque[tuple[int, OrderEvent]] = deque()
        self._last_in = 0
        self._clock = 0

    # the client's side

    def send(self, command: Command) -> None:
        """Put an order or a cancel on the wire at ``command.at``. Sent twice, an order is still one order."""
        self._look_at_clock(command.at)
        due = max(self._last_in, command.at + self._latency.entry_ms(self._rng))
        self._last_in = due
        self._inbox.append((due, command))

    def on_market(self, news: MarketUpdate) -> None:
        """Match against *news*, after every message that reached the venue before it."""
        self._receive(news.open_at if isinstance(news, Bar) else news.at)
        self.matching.update(news, self)
        self.last_price = _last_price(news, self.last_price)
        self._receive(news.at)

    def poll(self, now: int) -> list[OrderEvent]:
        """What the client has heard by *now* and not collected yet, in order."""
        self._look_at_clock(now)
        self._receive(now)
        heard: list[OrderEvent] = []
        while self._outbox and self._outbox[0][0] <= now:
            heard.append(self._outbox.popleft()[1])
        return heard

    def next_due(self) -> int | None:
        """When the next message arrives on either side; None when nothing is under way."""
        heads = [box[0][0] for box in (self._inbox, self._outbox) if box]
        return min(heads) if heads else None

    def adopt(self, fill: Fill) -> None:
        """Take a position change that no order here made (a liquidation) into account."""
        self.net += fill.signed_qty
        self._drop_useless(fill.at)

    # the venue's side: what a matching model may use

    def active(self) -> Sequence[Resting]:
        return tuple(self._orders.values())

    def is_active(self, resting: Resting) -> bool:
        return resting.order.client_order_id in self._orders

    def execute(self, resting: Resting, qty: Decimal, price: Decimal, liquidity: Liquidity, at: int) -> Decimal:
        order = resting.order
        done = min(qty, resting.leaves, self._allowed(order))
        if done <= 0 or not self.is_active(resting):
            return ZERO
        price = adverse(price, order.side is Side.BUY)
        self._fills += 1
        resting.filled += done
        self.net += done * order.side.sign
        fee = self._fees.fee(done, price, liquidity)
        key = order.client_order_id
        self._tell(Fill(key, f"{key}/{self._fills}", order.symbol, order.side, done, price, fee, liquidity, at))
        if not resting.leaves:
            self._end(resting)
        self._activate(key, at)
        self._drop_useless(at)
        return done

    def expire(self, resting: Resting, reason: str, at: int) -> None:
        self._tell(OrderExpired(resting.order.client_order_id, resting.filled, reason, at))
        self._end(resting, at)

    # inside

    def _look_at_clock(self, now: int) -> None:
        """Where the client's clock was set back, what is under way still arrives after its latency, not later."""
        back = self._clock - now
        if back > 0:
            self._inbox = deque((due - back, command) for due, command in self._inbox)
            self._outbox = deque((due - back, event) for due, event in self._outbox)
            self._last_in -= back
        self._clock = now

    def _receive(self, now: int) -> None:
        while self._inbox and self._inbox[0][0] <= now:
            due, command = self._inbox.popleft()
            if isinstance(command, OrderSubmitted):
                self._accept(command.order, due)
            else:
                self._cancel(command.client_order_id, due)

    def _accept(self, order: Order, at: int) -> None:
        key = order.client_order_id
        if key in self._orders or key in self._held or key in self._ended:
            return
        refusal = self._refusal(order)
        if refusal is not None:
            self._remember(key, ZERO)
            self._tell(OrderRejected(key, refusal, at))
            return
        self._tell(OrderAccepted(key, at))
        if order.attached_to is not None and not self._filled(order.attached_to):
            self._held[key] = Resting(order, at)
        else:
            self._rest(Resting(order, at), at)

    def _refusal(self, order: Order) -> str | None:
        filters = self.instrument.refusal(order, self.last_price)
        if filters is not None:
            return filters
        parent = order.attached_to
        if parent is not None and not self._filled(parent):
            alive = parent in self._orders or parent in self._held
            return None if alive else f"attached_to: {parent} is not open and has no fill"
        if self._allowed(order) <= 0:
            return f"reduce_only: a position of {self.net} leaves nothing to reduce"
        return self.matching.refusal(order, self)

    def _filled(self, key: str) -> Decimal:
        known = self._orders.get(key) or self._held.get(key)
        return known.filled if known else self._ended.get(key, ZERO)

    def _allowed(self, order: Order) -> Decimal:
        """The most that *order* may execute without opening what it must only reduce."""
        return max(ZERO, -self.net * order.side.sign) if order.reduce_only else order.qty

    def _rest(self, resting: Resting, at: int) -> None:
        self._orders[resting.order.client_order_id] = resting
        self.matching.place(resting, self, at)

    def _cancel(self, key: str, at: int) -> None:
        resting = self._orders.get(key) or self._held.get(key)
        if resting is None:  # it was faster: its last message is under way or known
            return
        self._tell(OrderCancelled(key, resting.filled, at))
        self._end(resting, at)

    def _end(self, resting: Resting, at: int | None = None) -> None:
        """Forget the order; with *at*, expire what was attached to it and never came to life."""
        key = resting.order.client_order_id
        self._orders.pop(key, None)
        self._held.pop(key, None)
        self._remember(key, resting.filled)
        if at is not None:
            for child in [r for r in self._held.values() if r.order.attached_to == key]:
                self.expire(child, f"attached_to: {key} ended without a fill", at)

    def _remember(self, key: str, filled: Decimal) -> None:
        self._ended[key] = filled
        if len(self._ended) > KEEP_ENDED:
            del self._ended[next(iter(self._ended))]

    def _activate(self, key: str, at: int) -> None:
        for child in [r for r in self._held.values() if r.order.attached_to == key]:
            del self._held[child.order.client_order_id]
            self._rest(child, at)

    def _drop_useless(self, at: int) -> None:
        """Expire active reduce-only orders once there is nothing on their side left to reduce."""
        for resting in self.active():
            if self.is_active(resting) and self._allowed(resting.order) <= 0:
                self.expire(resting, "reduce_only: the position is closed", at)

    def _tell(self, event: OrderEvent) -> None:
        self._outbox.append((event.at + self._latency.response_ms(self._rng), event))

    # state

    def to_dict(self) -> Plain:
        """Orders, messages under way, position and the state of the randomness; not the market."""
        return dump(
            _Saved(
                VERSION,
                self.net,
                self.last_price,
                self._fills,
                self._last_in,
                self._clock,
                [*self._orders.values(), *self._held.values()],
                list(self._held),
                list(self._ended.items()),
                [(due, dump_event(command)) for due, command in self._inbox],
                [(due, dump_event(event)) for due, event in self._outbox],
                json.dumps(self._rng.bit_generator.state),  # as text: its integers have 128 bits
            )
        )

    def restore(self, plain: Mapping[str, object]) -> None:
        """Become the exchange that :meth:`to_dict` wrote; call on a new one. Raises :class:`DataError`."""
        check_version(plain, VERSION, "paper exchange")
        saved = load(plain, _Saved, "paper exchange")
        self.net, self.last_price, self._fills = saved.net, saved.last_price, saved.fills
        self._last_in, self._clock = saved.last_in, saved.clock
        for resting in saved.orders:
            key = resting.order.client_order_id
            (self._held if key in saved.held else self._orders)[key] = resting
        self._ended = dict(saved.ended)
        self._inbox = deque((due, _command(load_event(event))) for due, event in saved.inbox)
        self._outbox = deque((due, load_event(event)) for due, event in saved.outbox)
        self._rng.bit_generator.state = json.loads(saved.rng)


def _command(event: OrderEvent) -> Command:
    assert isinstance(event, Command)
    return event


def _last_price(news: MarketUpdate, before: Decimal | None) -> Decimal | None:
    if isinstance(news, Bar):
        return news.close
    if isinstance(news, Trade):
        return news.price
    if isinstance(news, Quote) and news.bid_qty and news.ask_qty:
        return (news.bid + news.ask) / 2
    return before
