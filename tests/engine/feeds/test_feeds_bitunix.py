"""The Bitunix client against a small server that speaks as the captured frames do."""

from __future__ import annotations

import asyncio
import itertools
import json
from contextlib import aclosing, asynccontextmanager
from decimal import Decimal
from http import HTTPStatus
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from websockets.asyncio.server import serve
from websockets.datastructures import Headers
from websockets.http11 import Response

from maestro_engine.feeds.bitunix.client import bitunix_feed
from maestro_engine.feeds.bitunix.parser import BitunixParser
from maestro_engine.feeds.live.watchdog import WatchLimits
from maestro_engine.feeds.port import BookTicker, FeedStatus, Kline, Subscription, Ticker
from maestro_engine.feeds.recording import Recorder, Recording
from maestro_engine.feeds.replay import ReplayFeed
from maestro_protocol.errors import ConfigError, DataError

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


class Bitunix:
    """Pushes candles, tops and tickers of a made-up market by its own clock; answers REST as documented."""

    def __init__(self, speed: float) -> None:
        self.loop = asyncio.get_running_loop()
        self.speed, self.began = speed, self.loop.time()
        self.subscribed: list[dict[str, str]] = []
        self.pings: list[dict[str, object]] = []
        self.silent = False
        self.sockets = 0

    def now(self) -> int:
        return START + round((self.loop.time() - self.began) * 1_000 * self.speed)

    def candle(self, open_ms: int, until: int) -> dict[str, str]:
        """Deterministic: the price is the second of the day in tenths, one unit is traded a second."""
        seconds = range(open_ms // 1_000, max(open_ms + 1_000, min(until, open_ms + MINUTE)) // 1_000)
        prices = [1_000 + s % 997 / 10 for s in seconds]
        volume = float(len(prices))
        return {
            "open": str(prices[0]),
            "high": str(max(prices)),
            "low": str(min(prices)),
            "close": str(prices[-1]),
            "baseVol": str(volume),
            "quoteVol": str(sum(prices)),
        }

    async def handle(self, socket) -> None:
        self.sockets += 1
        await socket.send('{"op":"connect","data":{"result":true}}')
        pusher = asyncio.create_task(self.push(socket))
        try:
            async for message in socket:
                request = json.loads(message)
                if request["op"] == "subscribe":
                    self.subscribed = request["args"]
                else:
                    self.pings.append(request)
                    await socket.send(json.dumps({"op": "ping", "pong": request["ping"], "ping": 1}))
        finally:
            pusher.cancel()
            await asyncio.gather(pusher, return_exceptions=True)

    async def push(self, socket) -> None:
        while True:
            await asyncio.sleep(0.5 / self.speed)
            now = self.now()
            if self.silent:
                continue
            c = self.candle(now // MINUTE * MINUTE, now)
            data = {
                "market_kline_1min": dict(
                    zip(
                        "ohlcbq", (c[k] for k in ("open", "high", "low", "close", "baseVol", "quoteVol")), strict=True
                    )
                ),
                "ticker": {"la": c["close"]},
                "depth_book1": {"b": [["999", "2"]], "a": [["999.5", "3"]]},
            }
            for each in self.subscribed:
                await socket.send(json.dumps({**each, "ts": now, "data": data[each["ch"]]}))

    def rest(self, _socket, request) -> Response | None:
        if "upgrade" in request.headers.get("Connection", "").lower():
            return None
        url = urlsplit(request.path)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        body: object = {"code": 0, "data": self.answer(url.path, query), "msg": "Success"}
        content = json.dumps(body).encode()
        headers = Headers({"Content-Type": "application/json", "Content-Length": str(len(content))})
        return Response(HTTPStatus.OK.value, "OK", headers, content)

    def answer(self, path: str, query: dict[str, str]) -> object:
        if path.endswith("trading_pairs"):
            pair = {"symbol": "BTCUSDT", "base": "BTC", "quote": "USDT", "minTradeVolume": "0.0001"}
            return [{**pair, "basePrecision": 4, "quotePrecision": 1}] if query["symbols"] == "BTCUSDT" else []
        if path.endswith("tickers"):
            return [{"symbol": "BTCUSDT", "lastPrice": "1000"}]
        end = min(int(query["endTime"]), self.now() // MINUTE * MINUTE)
        opens = [t for t in range(START - 500 * MINUTE, end, MINUTE) if t >= int(query["startTime"])]
        newest_first = opens[::-1][: min(int(query["limit"]), 200)]
        return [{**self.candle(t, t + MINUTE), "time": str(t)} for t in newest_first]


@asynccontextmanager
async def bitunix(fast_clock, *streams: Subscription, speed: float = 40.0, **options: object):
    fake = Bitunix(speed)
    async with serve(fake.handle, "127.0.0.1", 0, process_request=fake.rest, ping_interval=None) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        feed = bitunix_feed(
            streams or (Subscription("BTCUSDT", "kline", "1m"),),
            fast_clock(speed),
            np.random.default_rng(1),
            websocket=f"ws://127.0.0.1:{port}/public/",
            rest=f"http://127.0.0.1:{port}",
            limits=WatchLimits(stale_s=8.0, ping_s=5.0, pong_s=20.0, grace_s=2.0),
            **options,
        )
        try:
            yield fake, feed
        finally:
            await feed.aclose()


async def gather(feed, enough) -> list[object]:
    events: list[object] = []
    async with aclosing(feed.events()) as stream:
        async for event in stream:
            events.append(event)
            if enough(events):
                break
    return events


async def test_candles_tickers_and_tops_arrive_and_candles_are_exact(fast_clock, tmp_path):
    streams = (
        Subscription("BTCUSDT", "kline", "1m"),
        Subscription("BTCUSDT", "ticker"),
        Subscription("BTCUSDT", "book_ticker"),
    )
    recorder = Recorder(tmp_path, "bitunix")
    async with bitunix(fast_clock, *streams, recorder=recorder) as (fake, feed):
        events = await gather(feed, lambda events: sum(isinstance(e, Kline) and e.closed for e in events) == 3)
        closed = [e for e in events if isinstance(e, Kline) and e.closed]
        for kline in closed:
            truth = fake.candle(kline.open_ms, kline.open_ms + MINUTE)
            assert (str(kline.close), str(kline.high), str(kline.volume)) == (
                truth["close"],
                truth["high"],
                truth["baseVol"],
            ), "final values, not those of the last push"
        assert [b.open_ms - a.open_ms for a, b in itertools.pairwise(closed)] == [MINUTE] * 2
        assert any(isinstance(e, Ticker) for e in events)
        assert any(isinstance(e, BookTicker) and (e.bid, e.ask) == (999.0, 999.5) for e in events)
        assert fake.pings, "kept alive by the exchange's own ping"
        assert feed.counters.rejected == {}
        history = await feed.history("BTCUSDT", "1m", 450)
        assert len(history) == 450, "three pages"
        assert {b.open_ms - a.open_ms for a, b in itertools.pairwise(history)} == {MINUTE}
    recorder.close()
    again = [e async for e in ReplayFeed(Recording(tmp_path), BitunixParser({"BTCUSDT"})).events()]
    heard = [e for e in events if not isinstance(e, FeedStatus)]
    assert heard == [e for e in again if not isinstance(e, FeedStatus)][: len(heard)]


async def test_a_silent_stream_is_frozen_because_bitunix_pushes_by_the_clock(fast_clock):
    async with bitunix(fast_clock, speed=60.0) as (fake, feed):

        def silence_then_frozen(events: list[object]) -> bool:
            fake.silent = fake.silent or any(isinstance(e, Kline) for e in events)
            return any(isinstance(e, FeedStatus) and e.state == "frozen" for e in events)

        events = await gather(feed, silence_then_frozen)
    assert any(isinstance(e, FeedStatus) and e.state == "stale" for e in events)


async def test_filters_and_refusals(fast_clock):
    async with bitunix(fast_clock) as (_, feed):
        filters = await feed.filters("BTCUSDT")
        assert (filters.tick_size, filters.lot_step, filters.min_qty) == (
            Decimal("0.1"),
            Decimal("0.0001"),
            Decimal("0.0001"),
        )
        with pytest.raises(DataError, match="not listed"):
            await feed.filters("NOPEUSDT")
        with pytest.raises(ConfigError, match="no trade"):
            bitunix_feed((Subscription("BTCUSDT", "trade"),), fast_clock(1), np.random.default_rng(1))
