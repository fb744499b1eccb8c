"""A client and a venue with a bad line between them: nothing is lost, doubled or invented, restarts included."""

from __future__ import annotations

import json
from decimal import Decimal

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from maestro_engine.trading.account.margin import BTCUSDT_BRACKETS, MarginTable
from maestro_engine.trading.account.perpetual import PerpetualAccount
from maestro_engine.trading.venue.bar_matching import BarMatching
from maestro_engine.trading.venue.book_matching import BookMatching
from maestro_engine.trading.venue.effects.fees import NotionalFees
from maestro_engine.trading.venue.effects.latency import SampledLatency
from maestro_engine.trading.venue.effects.queue import PowerQueue
from maestro_engine.trading.venue.effects.slippage import BpsSlippage, DepthSlippage
from maestro_engine.trading.venue.events import CancelRequested, Fill, OrderEvent
from maestro_engine.trading.venue.exchange import Command, PaperExchange
from maestro_engine.trading.venue.lifecycle import LEGAL, Status
from maestro_engine.trading.venue.market import Bar, BookDelta, BookSnapshot, MarketUpdate, Quote, Trade
from maestro_engine.trading.venue.matching import Matching
from maestro_engine.trading.venue.orders import Instrument, Order, OrderType, Side, TimeInForce
from maestro_engine.trading.venue.tracker import OrderTracker

LOT = Decimal("0.001")
TABLES = {"BTCUSDT": MarginTable(BTCUSDT_BRACKETS)}
INSTRUMENT = Instrument("BTCUSDT", Decimal("0.1"), LOT, LOT, Decimal(1_000))
SLIPPAGE = BpsSlippage(Decimal("1.5"))
PRICES = st.integers(990, 1_010).map(lambda p: Decimal(p) / 10)
SIZES = st.integers(1, 30).map(lambda n: n * LOT)


class BadLine(RuleBasedStateMachine):
    """Orders go to the venue over a latency; answers come back late, doubled and in any order."""

    def matching(self) -> Matching:
        return BookMatching(PowerQueue(2.0), DepthSlippage(SLIPPAGE))

    def exchange_(self) -> PaperExchange:
        fees = NotionalFees(Decimal("0.0002"), Decimal("0.0005"))
        latency = SampledLatency((0,), (0, 3, 40), (0, 5, 25))
        return PaperExchange(INSTRUMENT, self.matching(), fees, latency, np.random.default_rng(5))

    def __init__(self) -> None:
        super().__init__()
        self.now = 1_000
        self.venue = self.exchange_()
        self.tracker = OrderTracker()
        self.account = PerpetualAccount(Decimal(1_000_000), Decimal(10), TABLES)
        self.line: list[OrderEvent] = []
        self.orders: list[Order] = []
        self.truth: dict[str, Fill] = {}
        self.endings: dict[str, Status] = {}
        self.booked: set[str] = set()
        self.flow = Decimal(1_000_000)

    # the client

    def send(self, command: Command | None, again: bool = False) -> None:
        if command is not None:
            self.venue.send(command)
            if again:
                self.venue.send(command)

    def order(self, order: Order, again: bool = False) -> None:
        self.orders.append(order)
        self.send(self.tracker.submit(order, self.now), again)

    @rule(side=st.sampled_from(Side), qty=SIZES, reduce_only=st.booleans(), again=st.booleans())
    def market_order(self, side: Side, qty: Decimal, reduce_only: bool, again: bool) -> None:
        name = f"m{len(self.orders)}"
        kind = OrderType.MARKET
        self.order(Order(name, "BTCUSDT", side, kind, qty, reduce_only=reduce_only), again)

    @rule(
        side=st.sampled_from(Side),
        qty=SIZES,
        price=PRICES,
        tif=st.sampled_from(TimeInForce),
        reduce_only=st.booleans(),
    )
    def limit_order(self, side: Side, qty: Decimal, price: Decimal, tif: TimeInForce, reduce_only: bool) -> None:
        name = f"l{len(self.orders)}"
        self.order(Order(name, "BTCUSDT", side, OrderType.LIMIT, qty, price, tif, reduce_only))

    @rule(side=st.sampled_from(Side), qty=SIZES, price=PRICES, width=st.integers(1, 8), limit=st.booleans())
    def bracket(self, side: Side, qty: Decimal, price: Decimal, width: int, limit: bool) -> None:
        name, out, gap = f"b{len(self.orders)}", side.opposite, side.sign * Decimal(width) / 10
        kind = OrderType.LIMIT if limit else OrderType.MARKET
        self.order(Order(name, "BTCUSDT", side, kind, qty, price if limit else None))
        for tail, exit_kind, at in (
            ("s", OrderType.STOP_MARKET, price - gap),
            ("t", OrderType.TAKE_PROFIT, price + gap),
        ):
            exit_ = Order(name + tail, "BTCUSDT", out, exit_kind, qty, at, reduce_only=True, attached_to=name)
            self.order(exit_)

    @rule(which=st.integers(0, 10_000))
    def resubmit(self, which: int) -> None:
        if self.orders:
            assert self.tracker.submit(self.orders[which % len(self.orders)], self.now) is None

    @rule(which=st.integers(0, 10_000))
    def cancel(self, which: int) -> None:
        if self.orders:
            self.send(self.tracker.cancel(self.orders[-1 - which % len(self.orders)].client_order_id, self.now))

    # the market

    def market(self, news: MarketUpdate) -> None:
        self.venue.on_market(news)

    @rule(price=PRICES, qty=SIZES, taker=st.sampled_from(Side))
    def trade(self, price: Decimal, qty: Decimal, taker: Side) -> None:
        self.market(Trade(self.now, price, qty, taker))

    @rule(price=PRICES, bid_qty=SIZES, ask_qty=SIZES, spread=st.integers(1, 3))
    def quote(self, price: Decimal, bid_qty: Decimal, ask_qty: Decimal, spread: int) -> None:
        self.market(Quote(self.now, price, bid_qty, price + Decimal(spread) / 10, ask_qty))

    @rule(price=PRICES, sizes=st.lists(SIZES, min_size=6, max_size=6))
    def snapshot(self, price: Decimal, sizes: list[Decimal]) -> None:
        bids = [(price - Decimal(i) / 10, sizes[i]) for i in range(3)]
        asks = [(price + Decimal(i + 1) / 10, sizes[i + 3]) for i in range(3)]
        self.market(BookSnapshot(self.now, bids, asks))

    @rule(price=PRICES, qty=st.just(Decimal(0)) | SIZES, bid=st.booleans())
    def delta(self, price: Decimal, qty: Decimal, bid: bool) -> None:
        level = [(price, qty)]
        self.market(BookDelta(self.now, level if bid else [], [] if bid else level))

    # the line

    @rule(ms=st.integers(0, 60))
    def time_passes(self, ms: int) -> None:
        self.now += ms
        self.collect()

    def collect(self) -> None:
        news = self.venue.poll(self.now)
        self.line += news
        for fill in (event for event in news if isinstance(event, Fill)):
            assert fill.fill_id not in self.truth
            self.truth[fill.fill_id] = fill

    @rule(ms=st.integers(1, 500))
    def clock_is_set_back(self, ms: int) -> None:
        self.now = max(0, self.now - ms)
        self.collect()

    @rule(which=st.integers(0, 10_000), twice=st.booleans())
    def hear(self, which: int, twice: bool) -> None:
        if self.line:
            index = which % len(self.line)
            event = self.line[index]
            if not twice:
                del self.line[index]
            self.apply(event)

    def apply(self, event: OrderEvent) -> None:
        news = self.tracker.apply(event)
        if isinstance(event, Fill):
            assert news == (event.fill_id not in self.booked)
            if news:
                self.booked.add(event.fill_id)
                self.account.fill(event)
                self.flow -= event.signed_qty * event.price + event.fee

    @rule()
    def restart(self) -> None:
        plain = [part.to_dict() for part in (self.tracker, self.account, self.venue)]
        tracker, account, venue = json.loads(json.dumps(plain))
        self.tracker = OrderTracker.from_dict(tracker)
        self.account = PerpetualAccount.from_dict(account, TABLES)
        self.venue = self.exchange_()
        self.venue.restore(venue)
        assert [part.to_dict() for part in (self.tracker, self.account, self.venue)] == plain

    # what is always so

    @invariant()
    def quantities_are_conserved(self) -> None:
        for order in self.orders:
            state = self.tracker[order.client_order_id]
            heard = [self.truth[i] for i in self.booked if self.truth[i].client_order_id == order.client_order_id]
            assert state.filled == sum((f.qty for f in heard), Decimal(0)) <= order.qty
            assert state.fill_ids == {f.fill_id for f in heard}
            assert (state.filled == order.qty) == (state.status is Status.FILLED)
        told = sum((f.signed_qty for f in self.truth.values()), Decimal(0))
        if not any(isinstance(e, Fill) for _, e in self.venue._outbox):  # pyright: ignore[reportPrivateUsage]
            assert self.venue.net == told

    @invariant()
    def money_is_conserved(self) -> None:
        position = self.account.position("BTCUSDT")
        assert position == sum((self.truth[i].signed_qty for i in self.booked), Decimal(0))
        mark = self.account.entry_price("BTCUSDT") or Decimal(0)
        if position:
            mark = Decimal("100.5")
            self.account.mark("BTCUSDT", mark)
        assert self.account.equity == self.flow + position * mark

    @invariant()
    def the_end_is_the_end(self) -> None:
        for order in self.orders:
            key, status = order.client_order_id, self.tracker[order.client_order_id].status
            before = self.endings.get(key, status)
            assert status is before or reachable(before, status)
            self.endings[key] = status

    @invariant()
    def reduce_only_never_opened_anything(self) -> None:
        position = Decimal(0)
        kinds = {o.client_order_id: o.reduce_only for o in self.orders}
        for fill in self.truth.values():
            after = position + fill.signed_qty
            if kinds[fill.client_order_id]:
                assert abs(after) < abs(position)
                assert after * position >= 0
            position = after

    def teardown(self) -> None:
        """The line clears: both sides must agree about everything."""
        self.now += 1_000
        self.collect()
        for event in reversed(self.line):
            self.apply(event)
        assert self.account.position("BTCUSDT") == self.venue.net
        assert self.booked == self.truth.keys()
        open_here = {s.order.client_order_id for s in self.tracker.open()}
        for key in open_here:
            self.send(CancelRequested(key, self.now))
        self.now += 1_000
        for event in self.venue.poll(self.now):
            assert self.tracker.apply(event)
        assert not list(self.tracker.open())
        assert not self.venue.active()


def reachable(before: Status, after: Status) -> bool:
    """Between two looks there may be two steps; none leads out of a terminal status."""
    return after in LEGAL[before] or any(after in LEGAL[step] for step in LEGAL[before])


class BadLineWithBars(BadLine):
    """The same over closed bars."""

    def matching(self) -> Matching:
        return BarMatching(SLIPPAGE)

    def market(self, news: MarketUpdate) -> None:
        """Every kind of news becomes a bar from now on: wide or narrow, up or down."""
        prices = [price for price, _ in getattr(news, "bids", ())] + [price for price, _ in getattr(news, "asks", ())]
        prices += [getattr(news, name) for name in ("price", "bid", "ask") if hasattr(news, name)]
        prices = prices or [Decimal(100)]
        start, self.now = self.now, self.now + 50
        super().market(Bar(start, self.now, prices[0], max(prices), min(prices), prices[-1]))


BadLine.TestCase.settings = settings(max_examples=60, stateful_step_count=40)
BadLineWithBars.TestCase.settings = settings(max_examples=40, stateful_step_count=40)
TestBadLine = BadLine.TestCase
TestBadLineWithBars = BadLineWithBars.TestCase
