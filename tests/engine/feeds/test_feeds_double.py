"""The real Binance client against the double on loopback: undisturbed, and under each fault."""

from __future__ import annotations

import itertools
from contextlib import aclosing
from decimal import Decimal

import msgspec
import pytest

from maestro_engine.feeds.binance.parser import BinanceParser
from maestro_engine.feeds.book import LocalBook
from maestro_engine.feeds.clock import VirtualClock
from maestro_engine.feeds.exchange.faults import Fault, read_plan
from maestro_engine.feeds.exchange.tape import RecordedTape, SimTape, invented_history
from maestro_engine.feeds.port import (
    BookTicker,
    DepthSnapshot,
    DepthUpdate,
    Event,
    FeedStatus,
    Kline,
    MarkPrice,
    Subscription,
    Trade,
)
from maestro_engine.feeds.recording import Recorder, Recording
from maestro_engine.feeds.replay import ReplayFeed
from maestro_engine.feeds.sim import SimFeed, SimSettings, Simulation
from maestro_protocol.errors import ConfigError, DataError


async def until(exchange, feed, seconds: float) -> list[Event]:
    """Everything the feed says during the first *seconds* of the tape."""
    events: list[Event] = []
    async with aclosing(feed.events()) as stream:
        async for event in stream:
            events.append(event)
            if exchange.elapsed_s() >= seconds:
                break
    return events


async def until_state(exchange, feed, seconds: float) -> list[Event]:
    """Until the feed speaks again after a quiet time, or *seconds* of the tape have passed."""
    events: list[Event] = []
    async with aclosing(feed.events()) as stream:
        async for event in stream:
            events.append(event)
            said = states(events)
            if exchange.elapsed_s() >= seconds or ("quiet" in said and said[-1] == "live"):
                break
    return events


def states(events: list[Event]) -> list[str]:
    return [event.state for event in events if isinstance(event, FeedStatus)]


def closed(events: list[Event]) -> list[Kline]:
    return [event for event in events if isinstance(event, Kline) and event.closed]


def market(events: list[Event], kind: type) -> list[Event]:
    """Events of one kind without their receive time, which no two runs share."""
    return [msgspec.structs.replace(event, local_ns=0) for event in events if isinstance(event, kind)]


def assert_book_agrees_with_quotes(events: list[Event]) -> int:
    book, anchored, checked = LocalBook(), False, 0
    quotes = {e.update_id: e for e in events if isinstance(e, BookTicker)}
    for event in events:
        if isinstance(event, DepthSnapshot | DepthUpdate):
            anchored = anchored or isinstance(event, DepthSnapshot)
            assert anchored, "no update comes before a book"
            book.apply(event)
            quote = quotes.get(event.last_id)
            if quote is not None:
                assert (*book.bid(), *book.ask()) == (quote.bid, quote.bid_qty, quote.ask, quote.ask_qty)
                checked += 1
    return checked


def assert_candles_complete(events: list[Event]) -> None:
    opens = [kline.open_ms for kline in closed(events)]
    assert opens == list(range(opens[0], opens[0] + 60_000 * len(opens), 60_000))


async def test_the_client_hears_what_the_simulation_says(double):
    async with double(speed=60.0) as (exchange, feed):
        events = await until(exchange, feed, 130)
    truth = itertools.islice(Simulation(SimSettings(seed=7)).events(), 5_000)
    expected = market(list(truth), Trade)
    heard = market(events, Trade)
    assert len(heard) > 400
    assert heard == expected[expected.index(heard[0]) :][: len(heard)]
    assert assert_book_agrees_with_quotes(events) > 400
    assert len(closed(events)) == 2
    assert_candles_complete(events)
    assert feed.counters.rejected == {}
    assert states(events)[:4] == ["connecting", "connecting", "connected", "connected"]
    assert not {"disconnected", "frozen", "gap", "garbage", "unanswered"} & set(states(events))
    assert abs(feed.server_now_ms() - exchange.server_ms()) < 2_000, "offset found although years apart"


@pytest.mark.parametrize("name", ["binance_usdm_btcusdt_2024-08-08", "binance_spot_btcusdt_2024-08-08"])
async def test_a_recorded_market_is_heard_as_it_was(double, market_data, name):
    recording = Recording(market_data / "ticks" / f"{name}.ws.gz")
    async with double(tape=RecordedTape(recording), speed=30.0) as (exchange, feed):
        events = await until(exchange, feed, 80)
        parser = BinanceParser()
        recorded = [e for ns, raw in itertools.islice(recording.lines(), 40_000) for e in parser.take(raw, ns)]
        for kind in (Trade, BookTicker):
            heard, said = market(events, kind), market(recorded, kind)
            assert len(heard) > 1_000
            assert heard == said[said.index(heard[0]) :][: len(heard)]
        assert assert_book_agrees_with_quotes(events) > 50
        assert feed.counters.rejected == {}
        last = closed(events)[-1]
        rest = {kline.open_ms: kline for kline in await feed.history("BTCUSDT", "1m", 3)}
        assert msgspec.structs.replace(rest[last.open_ms], time_ms=0, local_ns=0) == msgspec.structs.replace(
            last, time_ms=0, local_ns=0
        ), "REST and the stream tell the same candle"


async def test_rest_answers_filters_history_and_refusals(double, market_data):
    recording = Recording(market_data / "ticks" / "binance_usdm_btcusdt_2024-08-08.ws.gz")
    tape = RecordedTape(recording, invented_history(recording, seed=3, minutes=300))
    async with double(tape=tape) as (_, feed):
        filters = await feed.filters("BTCUSDT")
        assert (filters.tick_size, filters.lot_step) == (Decimal("0.1"), Decimal("0.001"))
        history = await feed.history("BTCUSDT", "5m", 20)
        assert [kline.closed for kline in history] == [True] * 20
        assert [b.open_ms - a.open_ms for a, b in itertools.pairwise(history)] == [300_000] * 19
        assert history[-1].close_ms < recording.head().first_ns // 1_000_000 + 2_000
        with pytest.raises(DataError, match="not listed"):
            await feed.filters("NOPEUSDT")
        with pytest.raises(DataError, match="HTTP 400"):
            await feed.history("NOPEUSDT", "1m", 5)


async def test_a_dropped_connection_comes_back_and_candles_are_made_whole(double):
    drop = Fault("drop", after_s=50, seconds=100)
    async with double(drop, speed=60.0) as (exchange, feed):
        events = await until(exchange, feed, 260)
    assert exchange.fired == {"drop": 1}
    said = states(events)
    assert said.count("disconnected") >= 4, "both sockets, and refused while the exchange was away"
    assert "gap" in said
    assert_candles_complete(events)
    assert len(closed(events)) >= 3
    assert feed.counters.backfilled >= 1
    ids = [trade.trade_id for trade in market(events, Trade)]
    assert len(ids) == len(set(ids))
    assert_book_agrees_with_quotes(events)


async def test_a_frozen_socket_that_answers_pings_is_found_out_and_replaced(double):
    async with double(Fault("freeze", after_s=30)) as (exchange, feed):
        events = await until(exchange, feed, 110)
    said = states(events)
    assert "stale" in said
    assert "frozen" in said
    frozen_at = said.index("frozen")
    assert said[frozen_at + 1 :].count("connected") >= 1
    after = [e for e in events if isinstance(e, Trade) and e.time_ms > exchange.server_ms() - 10_000]
    assert after, "trades flow again"
    assert_candles_complete(events)


async def test_lost_depth_frames_rebuild_the_book(double):
    fault = Fault("gap", after_s=20, count=5, match="depth")
    async with double(fault) as (exchange, feed):
        events = await until(exchange, feed, 60)
    assert exchange.fired == {"gap": 5}
    assert feed.counters.resyncs == 2
    gaps = [e for e in events if isinstance(e, FeedStatus) and e.state == "gap"]
    assert [gap.stream for gap in gaps] == ["depth"]
    assert (gaps[0].missing or 0) > 0
    assert assert_book_agrees_with_quotes(events) > 100


async def test_lost_candles_are_fetched_over_rest(double):
    fault = Fault("gap", after_s=50, count=60, match="kline")
    async with double(fault, speed=60.0) as (exchange, feed):
        events = await until(exchange, feed, 200)
    gap = next(e for e in events if isinstance(e, FeedStatus) and e.state == "gap")
    assert gap.stream == "kline_1m"
    assert gap.missing == (gap.after - gap.before) // 60_000 - 1 >= 1
    assert feed.counters.backfilled == gap.missing
    assert_candles_complete(events)


async def test_lost_trades_are_told_with_their_number(double):
    async with double(Fault("gap", after_s=20, count=7, match="trade")) as (exchange, feed):
        events = await until(exchange, feed, 50)
    gap = next(e for e in events if isinstance(e, FeedStatus) and e.state == "gap")
    assert (gap.stream, gap.missing, gap.after - gap.before - 1) == ("trade", 7, 7)


async def test_doubled_frames_count_once(double):
    async with double(Fault("duplicate", after_s=10, count=200)) as (exchange, feed):
        events = await until(exchange, feed, 60)
    assert exchange.fired == {"duplicate": 200}
    ids = [e.trade_id for e in market(events, Trade)]
    assert ids == list(range(ids[0], ids[0] + len(ids)))
    quotes = [e.update_id for e in market(events, BookTicker)]
    assert len(quotes) == len(set(quotes))
    assert feed.counters.duplicates >= 150
    assert feed.counters.gaps == 0
    assert_book_agrees_with_quotes(events)


async def test_reordered_frames_lose_nothing(double):
    async with double(Fault("reorder", after_s=10, count=60)) as (exchange, feed):
        events = await until(exchange, feed, 60)
    assert exchange.fired == {"reorder": 60}
    ids = sorted(e.trade_id for e in market(events, Trade))
    assert ids == list(range(ids[0], ids[0] + len(ids))), "each trade once, none missing"
    assert_book_agrees_with_quotes(events)


async def test_depth_frames_that_overtake_each_other_cost_a_snapshot_and_nothing_else(double):
    async with double(Fault("reorder", after_s=10, count=2, match="depth")) as (exchange, feed):
        events = await until(exchange, feed, 60)
    assert exchange.fired == {"reorder": 2}
    assert feed.counters.resyncs >= 2
    assert assert_book_agrees_with_quotes(events) > 100


async def test_one_silent_stream_on_a_talking_socket_is_found_out(double):
    """A socket that sends trades and pongs and no book, for ever."""
    mute = Fault("gap", after_s=20, count=100, match="depth")
    async with double(mute) as (exchange, feed):
        events = await until(exchange, feed, 60)
    frozen = [e.stream for e in events if isinstance(e, FeedStatus) and e.state == "frozen"]
    assert frozen[0] == "btcusdt@depth@100ms"
    assert set(frozen) == {"btcusdt@depth@100ms"}
    assert assert_book_agrees_with_quotes(events) > 50


async def test_a_quiet_market_is_told_from_a_frozen_one(double):
    quiet = SimTape(SimSettings(seed=8, trades_per_s=0.03))
    subscriptions = (
        Subscription("BTCUSDT", "trade"),
        Subscription("BTCUSDT", "book_ticker"),
        Subscription("BTCUSDT", "depth"),
    )
    async with double(tape=quiet, subscriptions=subscriptions) as (exchange, feed):
        events = await until_state(exchange, feed, 400)
    said = states(events)
    assert "quiet" in said
    assert "live" in said, "and it is told when it speaks again"
    assert "frozen" not in said
    assert feed.counters.connects == 1, "nothing was reconnected"


async def test_corrupt_frames_are_counted_told_and_survived(double):
    async with double(Fault("corrupt", after_s=10, count=40)) as (exchange, feed):
        events = await until(exchange, feed, 60)
    assert exchange.fired == {"corrupt": 40}
    assert sum(feed.counters.rejected.values()) == 40
    # What sockets and REST calls say about themselves is no part of a recording.
    told = (
        "connecting",
        "connected",
        "disconnected",
        "reconnecting",
        "stale",
        "frozen",
        "live",
        "unanswered",
        "ended",
    )
    assert 1 <= len(told) < 40, "told, and not once per frame"
    assert feed.counters.connects == 2, "garbage does not cost the connection"
    assert_book_agrees_with_quotes(events)


async def test_a_burst_after_a_stall_is_taken_whole(double):
    stall = Fault("slow_consumer", after_s=20, seconds=6, count=10_000)
    async with double(stall) as (exchange, feed):
        events = await until(exchange, feed, 60)
    ids = [e.trade_id for e in market(events, Trade)]
    assert ids == list(range(ids[0], ids[0] + len(ids)))
    assert feed.counters.connects == 2


async def test_a_client_too_slow_is_cut_off_and_returns(double):
    stall = Fault("slow_consumer", after_s=20, seconds=6, count=3)
    async with double(stall) as (exchange, feed):
        events = await until(exchange, feed, 80)
    why = [e.detail for e in events if isinstance(e, FeedStatus) and e.state == "disconnected"]
    assert any("1008" in detail for detail in why)
    assert feed.counters.connects >= 3
    assert assert_book_agrees_with_quotes(events) > 100


async def test_busy_and_broken_rest_is_asked_again(double):
    faults = (
        Fault("http_429", count=2, seconds=3, match="time"),
        Fault("http_5xx", count=2, match="klines"),
        Fault("http_5xx", count=2, match="depth"),
    )
    async with double(*faults) as (exchange, feed):
        events = await until(exchange, feed, 30)
        assert feed.offset_ms is not None
        history = await feed.history("BTCUSDT", "1m", 10)
    assert len(history) == 10
    assert exchange.fired == {"http_429": 2, "http_5xx": 4}
    assert any(isinstance(e, DepthSnapshot) for e in events)


async def test_rest_that_stays_broken_is_one_clear_error(double):
    async with double(Fault("http_5xx", count=1_000), speed=100.0) as (_, feed):
        with pytest.raises(DataError, match=r"/fapi/v1/exchangeInfo: HTTP 502"):
            await feed.filters("BTCUSDT")


async def test_a_wrong_exchange_clock_costs_frames_only_until_it_is_right_again(double):
    # The time answer is an hour off when the client asks first; its frames then look insane until it asks again.
    skew = Fault("clock_skew", after_s=0, ms=3_600_000, seconds=15)
    async with double(skew) as (exchange, feed):
        events = await until(exchange, feed, 60)
    assert feed.counters.rejected.get("insane time", 0) >= 20
    assert "garbage" in states(events)
    assert abs(feed.server_now_ms() - exchange.server_ms()) < 2_000
    assert len(market(events, Trade)) > 100


async def test_live_subscribing_and_mark_prices(double):
    subscriptions = (Subscription("BTCUSDT", "mark_price"), Subscription("BTCUSDT", "kline", "5m"))
    async with double(subscriptions=subscriptions) as (exchange, feed):
        events = await until(exchange, feed, 30)
    marks = [e for e in events if isinstance(e, MarkPrice)]
    assert len(marks) > 20
    assert marks[0].funding_rate == 0.0001
    assert marks[0].next_funding_ms == SimSettings(7).start_ms + 8 * 3_600_000
    assert {e.interval for e in events if isinstance(e, Kline)} == {"5m"}
    assert not market(events, Trade), "only what was asked for"


async def test_what_a_troubled_session_recorded_replays_to_the_same_events(double, tmp_path):
    faults = (
        Fault("gap", after_s=15, count=3, match="depth"),
        Fault("duplicate", after_s=18, count=20),
        Fault("corrupt", after_s=22, count=5),
        Fault("gap", after_s=50, count=60, match="kline"),
        Fault("drop", after_s=70, seconds=5),
    )
    recorder = Recorder(tmp_path, "sim", rotate_bytes=20_000)
    async with double(*faults, recorder=recorder, speed=60.0) as (exchange, feed):
        live = await until(exchange, feed, 200)
    recorder.close()
    assert len(recorder.paths) > 1, "rotated"
    again = [e async for e in ReplayFeed(Recording(tmp_path), BinanceParser({"BTCUSDT"})).events()]

    # What sockets and REST calls say about themselves is no part of a recording.
    told = (
        "connecting",
        "connected",
        "disconnected",
        "reconnecting",
        "stale",
        "frozen",
        "live",
        "unanswered",
        "ended",
    )

    def lasting(events: list[Event]) -> list[Event]:
        return [e for e in events if not (isinstance(e, FeedStatus) and e.state in told)]

    heard = lasting(live)
    assert heard == lasting(again)[: len(heard)]
    assert len(heard) > 1_000


async def test_the_recorded_session_can_itself_be_served(double, tmp_path):
    recorder = Recorder(tmp_path, "sim")
    async with double(recorder=recorder, speed=60.0) as (exchange, feed):
        await until(exchange, feed, 90)
    recorder.close()
    tape = RecordedTape(Recording(tmp_path))
    assert tape.usdm
    async with double(tape=tape, speed=60.0) as (exchange, feed):
        events = await until(exchange, feed, 60)
    assert assert_book_agrees_with_quotes(events) > 100
    assert feed.counters.rejected == {}


async def test_spot_double_speaks_the_spot_dialect(double):
    async with double(tape=SimTape(SimSettings(seed=2), usdm=False)) as (exchange, feed):
        events = await until(exchange, feed, 40)
    assert feed.name == "binance-spot"
    assert assert_book_agrees_with_quotes(events) > 50
    assert {e.time_ms for e in market(events, BookTicker)} == {None}, "spot stamps no quote"


async def test_simulated_feed_is_the_same_every_time_and_at_every_pace():
    settings = SimSettings(seed=11)
    wanted = (Subscription("BTCUSDT", "trade"), Subscription("BTCUSDT", "kline", "1m"))
    end = settings.start_ms + 180_000
    at_once = [e async for e in SimFeed(settings, wanted, until_ms=end).events()]
    clock = VirtualClock(settings.start_ms)
    paced = [e async for e in SimFeed(settings, wanted, clock, until_ms=end).events()]
    assert at_once == paced
    assert clock.monotonic_ns() == pytest.approx(180e9, rel=0.02)
    assert [e async for e in SimFeed(SimSettings(seed=12), wanted, until_ms=end).events()] != at_once
    history = await SimFeed(settings, wanted).history("BTCUSDT", "1m", 50)
    bars = history + closed(at_once)
    assert [b.open_ms - a.open_ms for a, b in itertools.pairwise(bars)] == [60_000] * (len(bars) - 1)


def test_simulated_trades_and_quotes_do_not_depend_on_who_wants_the_book():
    sim = Simulation(SimSettings(seed=4))
    full = list(itertools.islice(sim.events(), 4_000))
    plain = list(itertools.islice(sim.events(depth=False), 2_000))
    assert [e for e in full if not isinstance(e, DepthSnapshot | DepthUpdate)][:2_000] == plain
    assert assert_book_agrees_with_quotes(full) > 1_000


def test_fault_plans_are_data_and_refuse_what_they_do_not_know():
    assert read_plan('[{"kind":"drop","after_s":3,"seconds":2}]') == (Fault("drop", 3.0, seconds=2.0),)
    for wrong in ('[{"kind":"explode"}]', '[{"kind":"drop","when":3}]', '[{"kind":"drop","after_s":-1}]', "{"):
        with pytest.raises(ConfigError, match="fault plan"):
            read_plan(wrong)
