"""The real Binance client against the double on loopback, undisturbed: it hears what is said, REST included."""

from __future__ import annotations

import itertools
from decimal import Decimal

import msgspec
import pytest
from feeds_support import (
    assert_book_agrees_with_quotes,
    assert_candles_complete,
    closed,
    market,
    states,
    until,
)

from maestro_engine.feeds.binance.parser import BinanceParser
from maestro_engine.feeds.port import (
    BookTicker,
    Event,
    FeedStatus,
    Kline,
    MarkPrice,
    StreamRequest,
    TradeTick,
)
from maestro_engine.feeds.recording import Recorder, Recording
from maestro_engine.feeds.replay import ReplayFeed
from maestro_engine.feeds.sim import SimSettings, Simulation
from maestro_engine.testing.exchange_server.faults import Fault
from maestro_engine.testing.exchange_server.tape import RecordedTape, SimTape, invented_history
from maestro_protocol.errors import DataError


async def test_the_client_hears_what_the_simulation_says(double):
    async with double() as (exchange, feed):
        events = await until(exchange, feed, 130)
    truth = itertools.islice(Simulation(SimSettings(seed=7)).events(), 5_000)
    expected = market(list(truth), TradeTick)
    heard = market(events, TradeTick)
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
    async with double(tape=RecordedTape(recording)) as (exchange, feed):
        events = await until(exchange, feed, 80)
        parser = BinanceParser()
        recorded = [e for ns, raw in itertools.islice(recording.lines(), 40_000) for e in parser.take(raw, ns)]
        for kind in (TradeTick, BookTicker):
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


async def test_live_subscribing_and_mark_prices(double):
    subscriptions = (StreamRequest("BTCUSDT", "mark_price"), StreamRequest("BTCUSDT", "kline", "5m"))
    async with double(subscriptions=subscriptions) as (exchange, feed):
        events = await until(exchange, feed, 30)
    marks = [e for e in events if isinstance(e, MarkPrice)]
    assert len(marks) > 20
    assert marks[0].funding_rate == 0.0001
    assert marks[0].next_funding_ms == SimSettings(7).start_ms + 8 * 3_600_000
    assert {e.interval for e in events if isinstance(e, Kline)} == {"5m"}
    assert not market(events, TradeTick), "only what was asked for"


async def test_what_a_troubled_session_recorded_replays_to_the_same_events(double, tmp_path):
    faults = (
        Fault("gap", after_s=15, count=3, match="depth"),
        Fault("duplicate", after_s=18, count=20),
        Fault("corrupt", after_s=22, count=5),
        Fault("gap", after_s=50, count=60, match="kline"),
        Fault("drop", after_s=70, seconds=5),
    )
    recorder = Recorder(tmp_path, "sim", rotate_bytes=20_000)
    async with double(*faults, recorder=recorder) as (exchange, feed):
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
    async with double(recorder=recorder) as (exchange, feed):
        await until(exchange, feed, 90)
    recorder.close()
    tape = RecordedTape(Recording(tmp_path))
    assert tape.usdm
    async with double(tape=tape) as (exchange, feed):
        events = await until(exchange, feed, 60)
    assert assert_book_agrees_with_quotes(events) > 100
    assert feed.counters.rejected == {}


async def test_spot_double_speaks_the_spot_dialect(double):
    async with double(tape=SimTape(SimSettings(seed=2), usdm=False)) as (exchange, feed):
        events = await until(exchange, feed, 40)
    assert feed.name == "binance-spot"
    assert assert_book_agrees_with_quotes(events) > 50
    assert {e.time_ms for e in market(events, BookTicker)} == {None}, "spot stamps no quote"


async def test_a_tape_of_any_symbol_is_served_with_marks_where_it_has_none(double, tmp_path):
    """As a capture of another symbol without mark prices would be."""
    settings = SimSettings(seed=4, symbol="SOLUSDT", price=150.0, tick=Decimal("0.01"), lot=Decimal("0.1"))
    recorder = Recorder(tmp_path, "sol")
    for local_ns, raw in SimTape(settings).lines():
        if b"@markPrice" not in raw[:60]:
            recorder(local_ns, raw)
        if local_ns > settings.start_ms * 1_000_000 + 120_000_000_000:
            break
    recorder.close()
    recording = Recording(tmp_path)
    tape = RecordedTape(recording, invented_history(recording, 3))
    streams = ("trade", "book_ticker", "mark_price")
    wanted = (*(StreamRequest("SOLUSDT", name) for name in streams), StreamRequest("SOLUSDT", "kline", "1m"))
    async with double(tape=tape, subscriptions=wanted) as (exchange, feed):
        events = await until(exchange, feed, 70)
        history = await feed.history("SOLUSDT", "1m", 20)
        grid = await feed.filters("SOLUSDT")
    assert (grid.base, grid.tick_size, grid.lot_step) == ("SOL", Decimal("0.01"), Decimal("0.1"))
    assert len(history) == 20
    assert len(closed(events)) == 1
    marks = [event for event in events if isinstance(event, MarkPrice)]
    assert len(marks) > 30
    assert all(mark.funding_rate == 0 and 100 < mark.mark < 200 for mark in marks)
    assert not {"stale", "frozen", "gap"} & set(states(events)), "a stream of its own is no reason to connect again"
