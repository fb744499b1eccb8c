"""Real captures through the real parser, judged by what the exchange itself said on its other streams."""

from __future__ import annotations

import itertools
import json
import time
from bisect import bisect_right
from collections import Counter
from pathlib import Path

import pytest

from maestro_engine.feeds.binance.client import binance_replay
from maestro_engine.feeds.binance.parser import BinanceParser
from maestro_engine.feeds.book import DepthBook
from maestro_engine.feeds.candles import CandleMaker, fold
from maestro_engine.feeds.clock import VirtualClock
from maestro_engine.feeds.port import (
    BookTicker,
    DepthSnapshot,
    DepthUpdate,
    Event,
    FeedStatus,
    Kline,
    MarkPrice,
    TradeTick,
)
from maestro_engine.feeds.recording import Recorder, Recording
from maestro_engine.feeds.replay import ReplayFeed

USDM = ("binance_usdm_btcusdt_2024-08-08.ws.gz",)
SPOT = ("binance_spot_btcusdt_2024-08-08.ws.gz", "binance_spot_btcusdt_2024-08-09.ws.gz")
OLD = ("binance_usdm_btcusdt_2023-04-05.ws.gz",)


def recording(market_data: Path, names: tuple[str, ...]) -> Recording:
    return Recording(*(market_data / "ticks" / name for name in names))


def parsed(capture: Recording) -> tuple[BinanceParser, list[Event]]:
    parser = BinanceParser(unanchored=capture.head().unanchored)
    return parser, [event for ns, raw in capture.lines() for event in parser.take(raw, ns)]


@pytest.mark.parametrize(
    ("names", "kinds"),
    [
        # Lines by stream as the data's README counts them; depth updates older than the snapshot are dropped.
        (USDM, {"BookTicker": 66_089, "TradeTick": 21_313, "DepthSnapshot": 1, "DepthUpdate": 6_551 - 4}),
        (SPOT, {"BookTicker": 73_174, "TradeTick": 19_904, "DepthSnapshot": 1, "DepthUpdate": 6_495 - 2}),
        (OLD, {"BookTicker": 37_440, "TradeTick": 10_738, "DepthUpdate": 11_788, "MarkPrice": 415}),
    ],
)
def test_every_frame_of_a_capture_becomes_an_event_and_none_is_refused(market_data, names, kinds):
    parser, events = parsed(recording(market_data, names))
    assert Counter(type(event).__name__ for event in events) == kinds
    counters = parser.counters
    assert (counters.rejected, counters.gaps, counters.duplicates, counters.late) == ({}, 0, 0, 0)


@pytest.mark.parametrize(("names", "at_least"), [(USDM, 600), (SPOT, 1_000), (OLD, 1_200)])
def test_local_book_has_the_best_prices_the_exchange_quotes_at_the_same_update(market_data, names, at_least):
    _, events = parsed(recording(market_data, names))
    quotes = {event.update_id: event for event in events if isinstance(event, BookTicker)}
    book, checked = DepthBook(), 0
    for event in events:
        if isinstance(event, DepthSnapshot | DepthUpdate):
            book.apply(event)
            quote = quotes.get(event.last_id)
            if quote is not None:
                assert book.bid() == (quote.bid, quote.bid_qty)
                assert book.ask() == (quote.ask, quote.ask_qty)
                checked += 1
    assert checked >= at_least


def test_between_matching_ids_the_book_holds_the_latest_quote(market_data):
    _, events = parsed(recording(market_data, USDM))
    quotes = {event.update_id: event for event in events if isinstance(event, BookTicker)}
    ids = sorted(quotes)  # type: ignore[type-var]
    book = DepthBook()
    for event in events:
        if isinstance(event, DepthSnapshot | DepthUpdate):
            book.apply(event)
            quote = quotes[ids[bisect_right(ids, event.last_id) - 1]]
            assert (*book.bid(), *book.ask()) == (quote.bid, quote.bid_qty, quote.ask, quote.ask_qty)


def test_one_lost_depth_frame_breaks_the_chain_and_asks_for_a_snapshot(market_data):
    for names in (USDM, SPOT):
        lines = list(recording(market_data, names).lines())
        depth = [i for i, (_, raw) in enumerate(lines) if b"@depth" in raw[:40]]
        lost = depth[100]
        parser = BinanceParser()
        events = [event for ns, raw in lines[:lost] for event in parser.take(raw, ns)]
        parser.wants()
        events += [event for ns, raw in lines[lost + 1 : depth[101] + 1] for event in parser.take(raw, ns)]
        gaps = [event for event in events if isinstance(event, FeedStatus)]
        assert [(gap.state, gap.stream) for gap in gaps] == [("gap", "depth")]
        assert [(want.kind, want.symbol) for want in parser.wants()] == [("depth", "BTCUSDT")]
        after = [event for ns, raw in lines[depth[101] + 1 :] for event in parser.take(raw, ns)]
        assert not any(isinstance(event, DepthUpdate) for event in after), "held back until a snapshot comes"


def test_receive_times_are_nanoseconds_whatever_the_capture_counts_in(market_data):
    stamp, _ = next(recording(market_data, OLD).lines())
    assert stamp == 1_680_652_800_005_184_000


@pytest.mark.slow
@pytest.mark.parametrize("names", [USDM, OLD])
async def test_replay_gives_the_same_events_paced_and_unpaced(market_data, names):
    capture = recording(market_data, names)
    unanchored = capture.head().unanchored
    clock = VirtualClock(capture.head().first_ns // 1_000_000)
    at_1x = [e async for e in ReplayFeed(capture, BinanceParser(unanchored=unanchored), clock).events()]
    at_once = [e async for e in ReplayFeed(capture, BinanceParser(unanchored=unanchored)).events()]
    assert at_1x == at_once
    assert at_once == [*parsed(capture)[1], at_once[-1]]
    assert isinstance(at_once[-1], FeedStatus)
    assert at_once[-1].state == "ended"
    seconds = (at_1x[-1].local_ns - capture.head().first_ns) / 1e9
    assert clock.monotonic_ns() / 1e9 == pytest.approx(seconds, abs=0.01), "at 1x it takes as long as it took"


async def test_replay_from_a_moment_starts_there_with_the_book_known(market_data):
    capture = recording(market_data, USDM)
    middle_ms = capture.head().first_ns // 1_000_000 + 120_000
    feed = ReplayFeed(capture, BinanceParser(), from_ms=middle_ms)
    events = [event async for event in feed.events()]
    assert events[0].local_ns // 1_000_000 >= middle_ms
    assert [e for e in parsed(capture)[1] if e.local_ns >= middle_ms * 1_000_000] == events[:-1]


def test_filters_read_off_a_capture_are_the_exchanges(market_data):
    spot = recording(market_data, SPOT).filters("BTCUSDT")
    usdm = recording(market_data, USDM).filters("BTCUSDT")
    assert (str(spot.tick_size), str(spot.lot_step)) == ("0.01", "0.00001")
    assert (str(usdm.tick_size), str(usdm.lot_step)) == ("0.1", "0.001")
    assert (spot.base, spot.quote) == ("BTC", "USDT")


def test_mark_prices_carry_the_funding_rate(market_data):
    first = next(e for e in parsed(recording(market_data, OLD))[1] if isinstance(e, MarkPrice))
    assert (first.mark, first.funding_rate, first.next_funding_ms) == (28155.1, 0.0000276, 1_680_652_800_000)


def test_candles_from_trades_agree_with_a_plain_sum_over_the_raw_file(market_data):
    capture = recording(market_data, SPOT)
    raw_trades = [
        json.loads(raw)["data"] for _, raw in capture.lines() if raw.startswith(b'{"stream":"btcusdt@trade"')
    ]
    maker, closed = CandleMaker("BTCUSDT", "1m"), list[Kline]()
    for event in parsed(capture)[1]:
        if isinstance(event, TradeTick):
            closed += maker.take(event)
    assert [kline.open_ms for kline in closed] == [closed[0].open_ms + i * 60_000 for i in range(len(closed))]
    assert len(closed) == 11, "23:54 to 00:04"
    for kline in closed:
        inside = [t for t in raw_trades if kline.open_ms <= t["T"] <= kline.close_ms]
        prices = [float(t["p"]) for t in inside]
        assert (kline.open, kline.close) == (prices[0], prices[-1])
        assert (kline.high, kline.low, kline.trades) == (max(prices), min(prices), len(inside))
        assert kline.volume == pytest.approx(sum(float(t["q"]) for t in inside))
        assert kline.taker_buy_volume == pytest.approx(sum(float(t["q"]) for t in inside if not t["m"]))


def test_candles_grow_between_frames_by_what_was_traded(market_data):
    """Someone else's candles: between two frames of the kline stream lie exactly the trades with ids between."""
    path = market_data / "samples" / "binance_ws" / "spot_btcusdt_2026-03-13.jsonl"
    messages = [json.loads(line) for line in path.read_text().splitlines()]
    frames = [m["k"] for m in messages if m["e"] == "kline"]
    trades = [m for m in messages if m["e"] == "aggTrade"]
    maker = CandleMaker("BTCUSDT", "1m")
    for a, b in itertools.pairwise(frames):
        inside = [t for t in trades if a["L"] < t["f"] and t["l"] <= b["L"]]
        assert sum(t["l"] - t["f"] + 1 for t in inside) == b["L"] - a["L"] == b["n"] - a["n"]
        seed = Kline(
            "BTCUSDT", 0, 0, "1m", a["t"], a["T"], *(float(a[k]) for k in "ohlcvq"), a["n"], float(a["V"]), False
        )
        maker.seed(seed)
        for t in inside:
            maker.take(TradeTick("BTCUSDT", t["T"], 0, t["a"], float(t["p"]), float(t["q"]), t["m"]))
        bar = maker.current
        assert bar is not None
        assert (bar.close, bar.high, bar.low) == (float(b["c"]), float(b["h"]), float(b["l"]))
        assert bar.volume == pytest.approx(float(b["v"]), abs=1e-9)
        assert bar.quote_volume == pytest.approx(float(b["q"]), abs=1e-4)
        assert bar.taker_buy_volume == pytest.approx(float(b["V"]), abs=1e-9)


def test_folding_minutes_gives_the_published_five_minutes(market_data):
    import pyarrow.parquet as pq

    def rows(name: str, interval: str, count: int) -> list[Kline]:
        table = pq.read_table(market_data / "klines" / name).slice(0, count).to_pylist()
        return [
            Kline(
                "NEARUSDT",
                0,
                0,
                interval,
                round(r["open_time"].timestamp() * 1000),
                round(r["close_time"].timestamp() * 1000),
                r["open"],
                r["high"],
                r["low"],
                r["close"],
                r["volume"],
                r["quote_volume"],
                r["trades"],
                r["taker_buy_volume"],
                True,
            )
            for r in table
        ]

    minutes = rows("binance_usdm_NEARUSDT_1m_2025-02.parquet", "1m", 1_440)
    published = rows("binance_usdm_NEARUSDT_5m_2025-02.parquet", "5m", 288)
    folded = fold(minutes, "5m")
    assert len(folded) == len(published)
    for ours, theirs in zip(folded, published, strict=True):
        assert (ours.open_ms, ours.open, ours.high, ours.low, ours.close, ours.trades, ours.closed) == (
            theirs.open_ms,
            theirs.open,
            theirs.high,
            theirs.low,
            theirs.close,
            theirs.trades,
            True,
        )
        assert ours.volume == pytest.approx(theirs.volume)


def test_decoding_keeps_up_with_twenty_thousand_frames_a_second(market_data):
    lines = list(recording(market_data, USDM).lines())
    parser = BinanceParser()
    started = time.process_time()
    for ns, raw in lines:
        parser.take(raw, ns)
    assert len(lines) / (time.process_time() - started) > 20_000


async def test_replay_makes_the_candles_a_capture_lacks(market_data):
    capture = recording(market_data, SPOT)
    events = [e async for e in binance_replay(capture, intervals=("1m", "5m")).events()]
    minutes = [e for e in events if isinstance(e, Kline) and e.interval == "1m" and e.closed]
    assert [b.open_ms - a.open_ms for a, b in itertools.pairwise(minutes)] == [60_000] * 10
    maker = CandleMaker("BTCUSDT", "1m")
    truth = [k for e in events if isinstance(e, TradeTick) for k in maker.take(e)]
    assert [(k.open_ms, k.close, k.volume, k.trades) for k in minutes] == [
        (k.open_ms, k.close, k.volume, k.trades) for k in truth
    ]
    fives = [e for e in events if isinstance(e, Kline) and e.interval == "5m" and e.closed]
    inside = [k.volume for k in minutes if fives[1].open_ms <= k.open_ms <= fives[1].close_ms]
    assert len(inside) == 5
    assert fives[1].volume == pytest.approx(sum(inside))
    forming = [e for e in events if isinstance(e, Kline) and not e.closed]
    assert len(forming) > 1_000


async def test_a_capture_of_aggregated_trades_gives_trades(market_data, tmp_path):
    """The 2026 sample has aggTrade instead of trade; written as a capture it replays and can be served."""
    path = market_data / "samples" / "binance_ws" / "spot_btcusdt_2026-03-13.jsonl"
    names = {"aggTrade": "aggTrade", "depthUpdate": "depth@100ms", "kline": "kline_1m"}
    recorder = Recorder(tmp_path, "sample")
    messages = [json.loads(line) for line in path.read_text().splitlines()]
    for m in messages:
        raw = json.dumps({"stream": f"btcusdt@{names[m['e']]}", "data": m}, separators=(",", ":")).encode()
        recorder(m["E"] * 1_000_000, raw)
    recorder.close()
    feed = binance_replay(Recording(tmp_path), intervals=("1m",))
    events = [e async for e in feed.events()]
    assert feed.counters.rejected == {}
    assert Counter(type(e).__name__ for e in events) == {
        "DepthUpdate": 145,
        "TradeTick": 128,
        "Kline": 7,
        "FeedStatus": 1,
    }
    assert [e.trade_id for e in events if isinstance(e, TradeTick)] == [
        m["a"] for m in messages if m["e"] == "aggTrade"
    ]
