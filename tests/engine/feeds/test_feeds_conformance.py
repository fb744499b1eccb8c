"""What every live client must do whatever the exchange: the real ones against the double, through each fault alike.

Whatever happens, candles come closed, once each, in order, with the values that REST has; quotes are sane; what the
feed says about itself tells what happened.
"""

from __future__ import annotations

from collections import Counter
from contextlib import asynccontextmanager
from decimal import Decimal
from itertools import pairwise

import numpy as np
import pytest
from feeds_support import assert_candles_complete, closed, states, until
from idle_loop import idle_clock

from maestro_engine.data.timeframes import TIMEFRAMES
from maestro_engine.feeds.binance.client import binance_feed, stream_name
from maestro_engine.feeds.binance.parser import BinanceParser
from maestro_engine.feeds.bitunix.client import bitunix_feed, channel
from maestro_engine.feeds.bitunix.parser import BitunixParser
from maestro_engine.feeds.live.watchdog import WatchLimits
from maestro_engine.feeds.port import (
    BookTicker,
    FeedStatus,
    FundingTerms,
    MarkPrice,
    Stream,
    StreamRequest,
    Ticker,
    TradeTick,
    Witnessed,
)
from maestro_engine.feeds.recording import Recorder, Recording
from maestro_engine.feeds.replay import ReplayFeed
from maestro_engine.feeds.sim import SimSettings
from maestro_engine.feeds.sources import SOURCES
from maestro_engine.session.places import carried
from maestro_engine.testing.exchange_server.faults import Fault
from maestro_engine.testing.exchange_server.server import serve
from maestro_engine.testing.exchange_server.tape import SimTape
from maestro_protocol.errors import ConfigError, DataError

LIMITS = WatchLimits(stale_s=8.0, ping_s=5.0, pong_s=20.0, grace_s=2.0)
KLINE, QUOTE = StreamRequest("BTCUSDT", "kline", "1m"), StreamRequest("BTCUSDT", "book_ticker")
PRICES = {"binance": StreamRequest("BTCUSDT", "trade"), "bitunix": StreamRequest("BTCUSDT", "ticker")}
EIGHT_HOURS = 8 * 3_600_000
ROUGH = ("frozen", "gap", "garbage", "disconnected", "unanswered", "stale")


@asynccontextmanager
async def live(venue: str, *faults: Fault, recorder: Recorder | None = None, more: tuple[StreamRequest, ...] = ()):
    """The real client of *venue* on the double, which plays the same market to each."""
    clock, rng = idle_clock(), np.random.default_rng(5)
    tape = SimTape(SimSettings(seed=7, start_ms=clock.now_ms() // 60_000 * 60_000))
    async with serve(tape, clock, rng, faults=faults) as exchange:
        wanted = (KLINE, QUOTE, PRICES[venue], *more)
        if venue == "binance":
            feed = binance_feed(
                "usdm", wanted, clock, rng, endpoints=exchange.endpoints, limits=LIMITS, recorder=recorder
            )
        else:
            websocket, rest = exchange.bitunix
            feed = bitunix_feed(wanted, clock, rng, websocket=websocket, rest=rest, limits=LIMITS, recorder=recorder)
        try:
            yield exchange, feed
        finally:
            await feed.aclose()


async def assert_as_rest_has_them(feed, events) -> None:
    """Every closed candle heard is the one that REST gives afterwards."""
    heard = closed(events)
    assert_candles_complete(events)
    rest = {kline.open_ms: kline for kline in await feed.history("BTCUSDT", "1m", len(heard) + 5)}
    for kline in heard:
        truth = rest[kline.open_ms]
        assert (kline.open, kline.high, kline.low, kline.close) == (truth.open, truth.high, truth.low, truth.close)
        assert kline.volume == pytest.approx(truth.volume)


pytestmark = pytest.mark.parametrize("venue", ["binance", "bitunix"])


async def test_undisturbed_everything_comes_and_nothing_is_complained_about(venue):
    async with live(venue) as (exchange, feed):
        events = await until(exchange, feed, 190)
        assert len(closed(events)) >= 2
        await assert_as_rest_has_them(feed, events)
        prices = [event for event in events if isinstance(event, TradeTick | Ticker)]
        quotes = [event for event in events if isinstance(event, BookTicker)]
        assert min(len(prices), len(quotes)) > 100
        assert all(0 < quote.bid < quote.ask for quote in quotes)
        assert feed.counters.rejected == {}
        assert not set(ROUGH) & set(states(events))
        assert isinstance(feed, Witnessed)


async def test_witnesses_are_of_every_stream(venue):
    async with live(venue) as (exchange, feed):
        seen = []
        async for _ in feed.events():
            seen = feed.witnesses()
            if exchange.elapsed_s() > 30:
                break
        assert len(seen) == 3
        assert {witness.verdict for witness in seen} == {"live"}
        assert all(witness.frame_age_s < 8 for witness in seen)
        assert all(witness.pong_ms is not None for witness in seen)


async def test_history_is_of_the_exchanges_time_whatever_this_machine_shows(venue):
    """A recorded tape of another year can be seeded from: nothing is asked by a clock that nobody compared."""
    clock, rng = idle_clock(), np.random.default_rng(5)
    start_ms = clock.now_ms() // 60_000 * 60_000 - 400 * 86_400_000
    async with serve(SimTape(SimSettings(seed=7, start_ms=start_ms)), clock, rng) as exchange:
        if venue == "binance":
            feed = binance_feed("usdm", (KLINE,), clock, rng, endpoints=exchange.endpoints)
        else:
            feed = bitunix_feed((KLINE,), clock, rng, websocket=exchange.bitunix[0], rest=exchange.bitunix[1])
        try:
            history = await feed.history("BTCUSDT", "1m", 300)
        finally:
            await feed.aclose()
    assert len(history) == 300
    assert history[-1].open_ms + 60_000 <= start_ms + 120_000
    assert history[-1].open_ms + 60_000 >= start_ms - 60_000, "the newest may still form, and then it is left out"


async def test_what_the_source_says_it_can_do_is_what_its_client_does(venue):
    facts = SOURCES.get(venue)

    def taken(stream: Stream, interval: str = "") -> bool:
        wanted = StreamRequest("BTCUSDT", stream, interval)
        try:
            stream_name("usdm", wanted) if venue == "binance" else channel(wanted)
        except ConfigError:
            return False
        return True

    assert taken("mark_price") == facts.mark_price == facts.funding, "marks come with rates and times of funding"
    assert {name for name in TIMEFRAMES if taken("kline", name)} == set(facts.intervals) & set(TIMEFRAMES)
    async with live(venue) as (exchange, feed):
        await until(exchange, feed, 5)
        history = await feed.history("BTCUSDT", "1m", 20)
    assert all((kline.taker_buy_volume is not None) is facts.taker_volume for kline in history)
    assert carried(venue) is facts.persistent


async def test_funding_and_its_bounds_are_told(venue):
    async with live(venue, more=(StreamRequest("BTCUSDT", "mark_price"),)) as (exchange, feed):
        events = await until(exchange, feed, 30)
        terms = await feed.funding_terms("BTCUSDT")
    marks = [event for event in events if isinstance(event, MarkPrice)]
    quotes = [event for event in events if isinstance(event, BookTicker)]
    assert len(marks) >= 5
    assert marks[-1].mark == pytest.approx((quotes[-1].bid + quotes[-1].ask) / 2, rel=1e-3)
    assert {mark.funding_rate for mark in marks} == {SimSettings(seed=7).funding_rate}
    assert all(mark.next_funding_ms % EIGHT_HOURS == 0 for mark in marks)
    assert all(0 < mark.next_funding_ms - mark.time_ms <= EIGHT_HOURS for mark in marks)
    assert terms == FundingTerms(EIGHT_HOURS, 0.003, -0.003)
    assert feed.counters.rejected == {}


async def test_who_does_not_answer_about_funding_is_asked_again_and_all_else_goes_on(venue):
    fault = Fault("http_5xx", after_s=8, count=6)
    async with live(venue, fault, more=(StreamRequest("BTCUSDT", "mark_price"),)) as (exchange, feed):
        events = await until(exchange, feed, 60)
    marks = [event for event in events if isinstance(event, MarkPrice)]
    assert marks[-1].time_ms - marks[0].time_ms > 40_000
    assert ("unanswered" in states(events)) == (venue == "bitunix")
    assert not {"frozen", "lost", "disconnected"} & set(states(events))


async def test_history_and_filters(venue):
    async with live(venue) as (exchange, feed):
        await until(exchange, feed, 5)
        history = await feed.history("BTCUSDT", "1m", 450)
        assert len(history) == 450, "more than a page"
        assert all(kline.closed for kline in history)
        assert {b.open_ms - a.open_ms for a, b in pairwise(history)} == {60_000}
        grid = await feed.filters("BTCUSDT")
        assert (grid.base, grid.quote) == ("BTC", "USDT")
        assert (grid.tick_size, grid.lot_step, grid.min_qty) == (Decimal("0.1"), Decimal("0.001"), Decimal("0.001"))
        with pytest.raises(DataError):
            await feed.filters("NOPEUSDT")


DISTURBED = [
    pytest.param(Fault("drop", after_s=50, seconds=60), "disconnected", id="drop"),
    pytest.param(Fault("freeze", after_s=40, seconds=1), "frozen", id="freeze"),
    pytest.param(Fault("gap", after_s=50, count=40, match="kline"), None, id="gap"),
    pytest.param(Fault("duplicate", after_s=20, count=400), None, id="duplicate"),
    pytest.param(Fault("reorder", after_s=20, count=200), None, id="reorder"),
    pytest.param(Fault("corrupt", after_s=20, count=20), "garbage", id="corrupt"),
    pytest.param(Fault("slow_consumer", after_s=30, seconds=20, count=100_000), None, id="stall"),
    pytest.param(Fault("slow_consumer", after_s=30, seconds=30, count=20), "disconnected", id="too-slow"),
    pytest.param(Fault("clock_skew", after_s=30, ms=1_500, seconds=60), None, id="skew"),
]


@pytest.mark.parametrize(("fault", "told"), DISTURBED)
async def test_candles_are_whole_after_each_fault_and_it_was_told(venue, fault, told):
    async with live(venue, fault) as (exchange, feed):
        events = await until(exchange, feed, 250)
        assert exchange.fired.get(fault.kind), "the fault has struck"
        assert len(closed(events)) >= 2
        if told is not None:
            assert told in states(events)
        if fault.kind == "corrupt":
            assert sum(feed.counters.rejected.values()) == fault.count
        quotes = [event for event in events if isinstance(event, BookTicker)]
        assert all(0 < quote.bid < quote.ask for quote in quotes)
        trades = Counter(event.trade_id for event in events if isinstance(event, TradeTick))
        assert max(trades.values(), default=1) == 1, "nothing counts twice"
        await assert_as_rest_has_them(feed, events)


@pytest.mark.parametrize(
    "fault", [Fault("http_429", count=2, seconds=1), Fault("http_5xx", count=2)], ids=lambda fault: fault.kind
)
async def test_rest_that_is_busy_or_broken_is_asked_again(venue, fault):
    async with live(venue, fault) as (exchange, feed):
        assert len(await feed.history("BTCUSDT", "1m", 10)) >= 9, "this clock may be a minute ahead"
        assert exchange.fired == {fault.kind: 2}


async def test_rest_that_stays_broken_is_one_clear_error(venue):
    async with live(venue, Fault("http_5xx", count=1_000)) as (_, feed):
        with pytest.raises(DataError, match="502"):
            await feed.history("BTCUSDT", "1m", 10)


async def test_what_was_recorded_replays_to_the_same_events(venue, tmp_path):
    faults = (Fault("corrupt", after_s=10, count=5), Fault("duplicate", after_s=20, count=20))
    recorder = Recorder(tmp_path, venue)
    async with live(venue, *faults, recorder=recorder) as (exchange, feed):
        events = await until(exchange, feed, 130)
    recorder.close()
    parser = BinanceParser({"BTCUSDT"}) if venue == "binance" else BitunixParser({"BTCUSDT"})
    again = [event async for event in ReplayFeed(Recording(tmp_path), parser).events()]
    heard, told = ([e for e in each if not isinstance(e, FeedStatus)] for each in (events, again))
    assert len(closed(events)) >= 1
    assert heard == told[: len(heard)]
