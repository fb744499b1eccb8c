"""Bitunix's frames as captured and as noted: candles without an end, told by time; what cannot be is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from maestro_engine.feeds.bitunix.client import bitunix_feed
from maestro_engine.feeds.bitunix.parser import BitunixParser
from maestro_engine.feeds.clock import VirtualClock
from maestro_engine.feeds.port import FeedStatus, StreamRequest
from maestro_protocol.errors import ConfigError

MINUTE = 60_000
NAMES = {"o": "open", "h": "high", "l": "low", "c": "close", "b": "baseVol", "q": "quoteVol"}
START = 1_786_650_720_000


def push(ts: int, o: float, h: float, low: float, c: float, b: float) -> bytes:
    data = {"o": str(o), "c": str(c), "h": str(h), "l": str(low), "b": str(b), "q": str(b * c)}
    return json.dumps({"ch": "market_kline_1min", "symbol": "BTCUSDT", "ts": ts, "data": data}).encode()


def backfill(*rows: tuple[int, float, float, float, float, float]) -> bytes:
    keys = ("time", "open", "high", "low", "close", "baseVol")
    data = [{**dict(zip(keys, row, strict=True)), "quoteVol": row[5] * row[4]} for row in rows]
    return json.dumps({"ch": "market_kline_1min#backfill", "symbol": "BTCUSDT", "data": data}).encode()


def take(parser: BitunixParser, raw: bytes, ts: int) -> list[object]:
    return parser.take(raw, (ts - 40) * 1_000_000)


def test_the_captured_frames_are_understood(market_data: Path):
    lines = (market_data / "samples" / "bitunix_ws" / "kline_1min_2026-08-13.jsonl").read_bytes().splitlines()
    parser = BitunixParser({"BTCUSDT"})
    events = [event for raw in lines for event in parser.take(raw, 1_786_650_732_300 * 1_000_000)]
    assert parser.counters.rejected == {}
    [kline] = events
    assert (kline.open_ms, kline.close_ms) == (1_786_650_720_000, 1_786_650_779_999), "derived from the push's time"
    assert (kline.open, kline.high, kline.low, kline.close) == (63404.6, 63404.8, 63404.5, 63404.7)
    assert (kline.volume, kline.quote_volume, kline.closed) == (0.2413, 15299.54977, False)
    assert (kline.trades, kline.taker_buy_volume) == (None, None), "unknown, not 0"


def test_a_candle_is_closed_by_time_with_the_values_rest_gives():
    parser = BitunixParser({"BTCUSDT"})
    take(parser, push(START + 59_800, 10, 12, 9, 11, 5.0), START + 59_800)
    held = take(parser, push(START + MINUTE + 100, 11.5, 11.5, 11.5, 11.5, 0.1), START + MINUTE + 100)
    assert held == [], "the new candle waits for the old one's end"
    [want] = parser.wants()
    assert (want.kind, want.interval, want.to_ms + 1) == ("klines", "1m", START + MINUTE)
    assert want.from_ms <= START
    assert not [e for e in held if isinstance(e, FeedStatus)], "an ordinary close is no gap"
    closed, forming = take(parser, backfill((START, 10, 13, 9, 12.5, 6.0)), START + MINUTE + 300)
    assert (closed.open_ms, closed.high, closed.close, closed.volume, closed.closed) == (START, 13, 12.5, 6.0, True)
    assert (forming.open_ms, forming.open, forming.closed) == (START + MINUTE, 11.5, False)


def test_without_rest_the_last_push_is_the_close():
    parser = BitunixParser({"BTCUSDT"})
    take(parser, push(START + 59_800, 10, 12, 9, 11, 5.0), START + 59_800)
    take(parser, push(START + MINUTE + 100, 11.5, 11.5, 11.5, 11.5, 0.1), START + MINUTE + 100)
    closed, _ = take(parser, backfill(), START + MINUTE + 300)
    assert (closed.close, closed.volume, closed.closed) == (11, 5.0, True)


def test_a_push_of_the_old_candle_just_after_its_end_is_not_the_new_one():
    parser = BitunixParser({"BTCUSDT"})
    take(parser, push(START + 59_800, 10, 12, 9, 11, 5.0), START + 59_800)
    assert take(parser, push(START + MINUTE + 20, 10, 12, 9, 11.2, 5.3), START + MINUTE + 20) == []
    assert parser.wants() == [], "nothing is closed yet"
    take(parser, push(START + MINUTE + 330, 11.2, 11.2, 11.2, 11.2, 0.1), START + MINUTE + 330)
    closed, forming = take(parser, backfill(), START + MINUTE + 500)
    assert (closed.open_ms, closed.close, closed.volume) == (START, 11.2, 5.3)
    assert forming.open_ms == START + MINUTE


def test_missed_minutes_are_a_gap_and_come_from_rest():
    parser = BitunixParser({"BTCUSDT"})
    take(parser, push(START + 30_000, 10, 12, 9, 11, 5.0), START + 30_000)
    [gap] = take(parser, push(START + 4 * MINUTE + 5_000, 20, 20, 20, 20, 1.0), START + 4 * MINUTE + 5_000)
    assert (gap.state, gap.missing) == ("gap", 3), "the forming one was heard, three were not"
    rows = [(START + i * MINUTE, 10, 10, 10, 10, 1.0) for i in range(4)]
    events = take(parser, backfill(*rows), START + 4 * MINUTE + 6_000)
    assert [e.open_ms for e in events] == [START + i * MINUTE for i in range(5)]
    assert [e.closed for e in events] == [True] * 4 + [False]


def test_older_pushes_and_impossible_ones_are_left_out():
    parser = BitunixParser({"BTCUSDT"})
    take(parser, push(START + 30_000, 10, 12, 9, 11, 5.0), START + 30_000)
    assert take(parser, push(START + 20_000, 10, 12, 9, 10, 4.0), START + 30_100) == []
    assert parser.counters.late == 1
    take(parser, push(START + 31_000, 10, 9, 12, 11, 5.0), START + 31_000)
    take(parser, push(START + 600_000, 10, 12, 9, 11, 5.0), START + 32_000)
    take(parser, push(START + 33_000, -10, 12, 9, 11, 5.0), START + 33_000)
    assert parser.counters.rejected == {"impossible candle": 1, "insane time": 1, "malformed": 1}
    empty = b'{"ch":"depth_book1","symbol":"BTCUSDT","ts":%d,"data":{"b":[["",""]],"a":[["",""]]}}' % (START + 34_000)
    assert take(parser, empty, START + 34_000) == [], "an empty book has no best price"


def test_a_stream_that_there_is_none_of_is_refused():
    with pytest.raises(ConfigError, match="no trade"):
        bitunix_feed((StreamRequest("BTCUSDT", "trade"),), VirtualClock(), np.random.default_rng(1))
