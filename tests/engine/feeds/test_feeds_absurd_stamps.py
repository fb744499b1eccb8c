"""A stamp of 2099 moves nothing, in whatever frame of whatever source it comes, and whenever."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from feeds_support import until
from idle_loop import idle_clock

from maestro_engine.feeds.binance.client import binance_feed
from maestro_engine.feeds.binance.parser import BinanceParser
from maestro_engine.feeds.bitunix.client import bitunix_feed
from maestro_engine.feeds.bitunix.parser import BitunixParser
from maestro_engine.feeds.live.timesync import TimeSample, best_offset_ms
from maestro_engine.feeds.port import Event, FeedStatus, Kline, StreamRequest
from maestro_engine.feeds.sim import SimSettings
from maestro_engine.testing.exchange_server.server import serve
from maestro_engine.testing.exchange_server.tape import SimTape

THEN = 4_070_908_800_000
"""2099-01-01, UTC milliseconds, at the beginning of a candle of any length."""
STREAMS = {
    "binance": ("trade", "book_ticker", "depth", "mark_price"),
    "bitunix": ("ticker", "book_ticker", "mark_price"),
}
KINDS = {
    "binance": {"trade", "bookTicker", "depth", "depth#snapshot", "kline_1m", "markPrice"},
    "bitunix": {"ticker", "depth_book1", "market_kline_1min", "market_kline_1min#backfill", "funding_rate"},
}
PARSERS = {"binance": BinanceParser, "bitunix": BitunixParser}
Line = tuple[int, bytes]


@pytest.fixture(scope="module")
def recorded() -> dict[str, list[Line]]:
    return {}


@pytest.fixture
async def lines(venue, recorded) -> list[Line]:
    """Every line that the real client of *venue* took in over a minute's end: pushes, and answers of REST."""
    if venue not in recorded:
        clock, rng, heard = idle_clock(), np.random.default_rng(5), list[Line]()
        tape = SimTape(SimSettings(seed=7, start_ms=clock.now_ms() // 60_000 * 60_000, trades_per_s=1.0))
        wanted = [StreamRequest("BTCUSDT", stream) for stream in STREAMS[venue]]
        wanted.append(StreamRequest("BTCUSDT", "kline", "1m"))
        async with serve(tape, clock, rng) as exchange:
            more: dict[str, Any] = {"recorder": lambda local_ns, raw: heard.append((local_ns, raw))}
            if venue == "binance":
                feed = binance_feed("usdm", wanted, clock, rng, endpoints=exchange.endpoints, **more)
            else:
                websocket, rest = exchange.bitunix
                feed = bitunix_feed(wanted, clock, rng, websocket=websocket, rest=rest, **more)
            await until(exchange, feed, 75)
            await feed.aclose()
        recorded[venue] = heard
    return recorded[venue]


def kind_of(raw: bytes) -> str:
    told = json.loads(raw)
    stream = told.get("stream", "").partition("@")[2]
    return stream.partition("@")[0] or told.get("ch", "")


def absurd(raw: bytes) -> Iterator[bytes]:
    """*raw* with each of its moments, alone, in 2099; and with all of them."""
    moments = list(re.finditer(rb"(?<![\d.])1[5-9]\d{11}(?![\d.])", raw))
    for moment in moments:
        yield raw[: moment.start()] + b"%d" % THEN + raw[moment.end() :]
    yield re.sub(rb"(?<![\d.])1[5-9]\d{11}(?![\d.])", b"%d" % THEN, raw)


def events_of(venue: str, lines: list[Line]) -> list[Event]:
    parser = PARSERS[venue]({"BTCUSDT"})
    return [e for local_ns, raw in lines for e in parser.take(raw, local_ns) if not isinstance(e, FeedStatus)]


def replaced(lines: list[Line], place: int, raw: bytes) -> list[Line]:
    return [*lines[:place], (lines[place][0], raw), *lines[place + 1 :]]


@pytest.mark.parametrize("venue", ["binance", "bitunix"])
async def test_a_stamp_of_2099_moves_nothing(venue, lines):
    """It comes before everything else, or in the middle; what is told of the true frames is the same."""
    kinds: dict[str, list[int]] = {}
    for place, (_, raw) in enumerate(lines):
        kinds.setdefault(kind_of(raw), []).append(place)
    assert set(kinds) - {"", "#time"} == KINDS[venue]
    truth = events_of(venue, lines)
    assert sum(isinstance(event, Kline) and event.closed for event in truth) >= 1
    tried = 0
    for kind, places in kinds.items():
        for place in {places[0], places[len(places) // 2]}:
            _, raw = lines[place]
            for spoiled in absurd(raw):
                if spoiled == raw or "#" in kind or events_of(venue, replaced(lines, place, spoiled)) == truth:
                    continue  # an answer of REST, or nothing that is read
                tried += 1
                for at in (0, place):
                    line = (lines[at][0], spoiled)
                    told = events_of(venue, [*lines[:at], line, *lines[at:]])
                    assert told == truth, f"{kind}: {spoiled[:300]!r} before line {at}"
    assert tried >= 8


@pytest.mark.parametrize("venue", ["binance", "bitunix"])
async def test_no_answer_of_rest_brings_2099_in(venue, lines):
    for place, (_, raw) in enumerate(lines):
        if "#" not in kind_of(raw):
            continue
        for spoiled in absurd(raw):
            told = events_of(venue, replaced(lines, place, spoiled))
            assert all((event.time_ms or 0) < THEN for event in told), kind_of(raw)
            assert all(event.open_ms < THEN for event in told if isinstance(event, Kline))


def test_one_absurd_answer_about_the_time_is_left_out():
    """Though it came fastest."""
    now_ms = 1_700_000_000_000
    true = [TimeSample(n * 10**9, n * 10**9 + 40_000_000, now_ms + n * 1_000) for n in (1, 3)]
    wrong = TimeSample(2 * 10**9, 2 * 10**9 + 1_000_000, THEN)
    assert abs(best_offset_ms([true[0], wrong, true[1]]) - now_ms) < 100
    assert best_offset_ms([wrong]) == wrong.offset_ms, "alone it cannot be told from the truth"
