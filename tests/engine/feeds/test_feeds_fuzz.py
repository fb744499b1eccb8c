"""Garbage never raises: whatever bytes come, a parser counts them and goes on."""

# ruff: noqa: E501 - a frame is easier to read on one line

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from maestro_engine.feeds.binance.parser import BinanceParser
from maestro_engine.feeds.bitunix.parser import BitunixParser
from maestro_engine.feeds.port import FeedStatus, TradeTick

NOW = 1_723_161_255_000
GOOD = {
    "btcusdt@trade": {"e": "trade", "E": NOW, "s": "BTCUSDT", "t": 5, "p": "61837.63", "q": "0.02", "T": NOW, "m": True},
    "btcusdt@bookTicker": {"u": 7, "s": "BTCUSDT", "b": "61837.6", "B": "3.7", "a": "61837.7", "A": "1.5"},
    "btcusdt@depth@100ms": {"e": "depthUpdate", "E": NOW, "s": "BTCUSDT", "U": 1, "u": 2, "b": [["1.0", "2.0"]], "a": []},
    "btcusdt@depth#snapshot": {"lastUpdateId": 9, "bids": [["1.0", "2.0"]], "asks": []},
    "btcusdt@kline_1m": {
        "e": "kline", "E": NOW, "s": "BTCUSDT",
        "k": {
            "t": 1_723_161_240_000, "T": 1_723_161_299_999, "s": "BTCUSDT", "i": "1m", "f": 1, "L": 2, "o": "1", "c": "1",
            "h": "1", "l": "1", "v": "1", "n": 1, "x": False, "q": "1", "V": "1", "Q": "1", "B": "0",
        },
    },
    "btcusdt@kline_1m#backfill": [[1_723_161_180_000, "1", "1", "1", "1", "1", 1_723_161_239_999, "1", 1, "1", "1", "0"]],
    "btcusdt@markPrice@1s": {"e": "markPriceUpdate", "E": NOW, "s": "BTCUSDT", "p": "1", "i": "1", "r": "0.1", "T": NOW},
    "#time": {"offset_ms": 1.5},
}  # fmt: skip
FRAMES = [json.dumps({"stream": s, "data": d}, separators=(",", ":")).encode() for s, d in GOOD.items()]
BITUNIX = [
    b'{"op":"connect","data":{"result":true}}',
    b'{"ch":"market_kline_1min","symbol":"BTCUSDT","ts":1786650732204,"data":{"o":"63404.6","c":"63404.7","h":"63404.8","l":"63404.5","b":"0.2413","q":"15299.54977"}}',
    b'{"ch":"depth_book1","symbol":"BTCUSDT","ts":1786650732204,"data":{"b":[["1","2"]],"a":[["3","4"]]}}',
    b'{"ch":"ticker","symbol":"BTCUSDT","ts":1786650732204,"data":{"la":"1"}}',
    b'{"op":"ping","pong":1,"ping":2}',
]
numbers = st.one_of(
    st.integers(), st.floats(), st.text(max_size=8), st.none(), st.booleans(), st.just("-1"), st.just("0")
)
values = st.recursive(
    numbers, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4)
)


def mutated(frames: list[bytes]) -> st.SearchStrategy[bytes]:
    """A good frame with some bytes replaced, cut or doubled."""

    @st.composite
    def build(draw: st.DrawFn) -> bytes:
        raw = bytearray(draw(st.sampled_from(frames)))
        for _ in range(draw(st.integers(0, 4))):
            at = draw(st.integers(0, len(raw) - 1)) if raw else 0
            raw[at : at + draw(st.integers(0, 6))] = draw(st.binary(max_size=6))
        return bytes(raw)

    return build()


@st.composite
def altered_fields(draw: st.DrawFn) -> bytes:
    """A good frame with one field replaced by anything JSON can say."""
    stream, data = draw(st.sampled_from(list(GOOD.items())))
    copy = json.loads(json.dumps(data))
    target = copy["k"] if isinstance(copy, dict) and "k" in copy and draw(st.booleans()) else copy
    if isinstance(target, dict):
        target[draw(st.sampled_from(sorted(target)))] = draw(values)
    return json.dumps({"stream": stream, "data": copy}).encode()


@settings(max_examples=300)
@given(
    st.lists(
        st.one_of(st.binary(max_size=80), mutated(FRAMES), altered_fields(), st.sampled_from(FRAMES)), max_size=30
    )
)
def test_no_bytes_break_the_binance_parser(frames):
    for parser in (BinanceParser(), BinanceParser({"BTCUSDT"}, unanchored={"BTCUSDT"})):
        for number, raw in enumerate(frames):
            for event in parser.take(raw, NOW * 1_000_000 + number):
                if isinstance(event, TradeTick):
                    assert 0 < event.price < 1e12
                    assert event.qty > 0
            parser.wants()
        assert parser.counters.frames == len(frames)


@settings(max_examples=200)
@given(st.lists(st.one_of(st.binary(max_size=80), mutated(BITUNIX)), max_size=30))
def test_no_bytes_break_the_bitunix_parser(frames):
    parser = BitunixParser({"BTCUSDT"})
    for number, raw in enumerate(frames):
        parser.take(raw, 1_786_650_732_000 * 1_000_000 + number)
        parser.wants()


def test_after_garbage_the_good_frames_still_count():
    parser = BinanceParser({"BTCUSDT"})
    garbage = [
        b"",
        b"\xff\xfe",
        b"null",
        b"[]",
        b"{",
        b'{"stream":"btcusdt@trade","data":{}}',
        b'{"stream":5}',
        b"{}" * 3,
    ]
    told = [event for raw in garbage for event in parser.take(raw, 1)]
    assert sum(parser.counters.rejected.values()) == len(garbage)
    assert {event.state for event in told if isinstance(event, FeedStatus)} == {"garbage"}
    assert len(parser.take(FRAMES[0], 1)) == 1


def test_impossible_messages_are_refused_by_reason():
    parser = BinanceParser({"BTCUSDT"})

    def refused(stream: str, **changes: object) -> str:
        data = {**GOOD[stream], **changes}
        before = dict(parser.counters.rejected)
        parser.take(json.dumps({"stream": stream, "data": data}, separators=(",", ":")).encode(), NOW * 1_000_000)
        return next(r for r, n in parser.counters.rejected.items() if n > before.get(r, 0))

    assert refused("btcusdt@trade", p="0") == "malformed"
    assert refused("btcusdt@trade", p="nan") == "malformed"
    assert refused("btcusdt@trade", E=17) == "malformed"
    assert refused("btcusdt@trade", q="0") == "zero quantity"
    assert refused("btcusdt@trade", s="ETHUSDT") == "unknown symbol"
    assert refused("btcusdt@bookTicker", b="70000") == "crossed quotes"
    assert refused("btcusdt@depth@100ms", U=9) == "update ids backwards"
    k = GOOD["btcusdt@kline_1m"]["k"]
    assert refused("btcusdt@kline_1m", k={**k, "h": "0.5"}) == "impossible candle"
    assert refused("btcusdt@kline_1m", k={**k, "t": k["t"] + 1}) == "impossible candle"
    assert refused("btcusdt@kline_1m", k={**k, "V": "2"}) == "impossible candle"
    parser.take(b'{"stream":"#time","data":{"offset_ms":0.0}}', NOW * 1_000_000)
    assert refused("btcusdt@trade", E=NOW + 61_000) == "insane time"
