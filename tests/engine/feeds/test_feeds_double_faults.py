"""The real Binance client against the double under each fault: nothing is lost that can be had, and all is told."""

from __future__ import annotations

import pytest
from feeds_support import (
    assert_book_agrees_with_quotes,
    assert_candles_complete,
    closed,
    market,
    states,
    until,
    until_state,
)

from maestro_engine.feeds.port import (
    BookTicker,
    DepthSnapshot,
    FeedStatus,
    StreamRequest,
    TradeTick,
)
from maestro_engine.feeds.sim import SimSettings
from maestro_engine.testing.exchange_server.faults import Fault
from maestro_engine.testing.exchange_server.tape import SimTape
from maestro_protocol.errors import DataError


async def test_a_dropped_connection_comes_back_and_candles_are_made_whole(double):
    drop = Fault("drop", after_s=50, seconds=100)
    async with double(drop) as (exchange, feed):
        events = await until(exchange, feed, 260)
    assert exchange.fired == {"drop": 1}
    said = states(events)
    assert said.count("disconnected") >= 4, "both sockets, and refused while the exchange was away"
    assert "gap" in said
    assert_candles_complete(events)
    assert len(closed(events)) >= 3
    assert feed.counters.backfilled >= 1
    ids = [trade.trade_id for trade in market(events, TradeTick)]
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
    after = [e for e in events if isinstance(e, TradeTick) and e.time_ms > exchange.server_ms() - 10_000]
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
    async with double(fault) as (exchange, feed):
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
    ids = [e.trade_id for e in market(events, TradeTick)]
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
    ids = sorted(e.trade_id for e in market(events, TradeTick))
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
        StreamRequest("BTCUSDT", "trade"),
        StreamRequest("BTCUSDT", "book_ticker"),
        StreamRequest("BTCUSDT", "depth"),
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
    told = [state for state in states(events) if state == "garbage"]
    assert 1 <= len(told) < 40, "told, and not once per frame"
    assert feed.counters.connects == 2, "garbage does not cost the connection"
    assert_book_agrees_with_quotes(events)


async def test_a_burst_after_a_stall_is_taken_whole(double):
    stall = Fault("slow_consumer", after_s=20, seconds=6, count=10_000)
    async with double(stall) as (exchange, feed):
        events = await until(exchange, feed, 60)
    ids = [e.trade_id for e in market(events, TradeTick)]
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
    async with double(Fault("http_5xx", count=1_000)) as (_, feed):
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
    assert len(market(events, TradeTick)) > 100
