"""wire owns the shapes of Binance's messages, as the exchange sends them, and what is sane in them.

Sources: Binance "WebSocket Streams" (spot) and "USDS-Margined Futures, Websocket Market Streams". Numbers come
as text; the decoders here turn them into floats and refuse what is not finite or out of range.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta, Raw, Struct

Price = Annotated[float, Meta(gt=0, lt=1e12)]
Qty = Annotated[float, Meta(ge=0, lt=1e15)]
Ms = Annotated[int, Meta(ge=1_262_304_000_000, lt=4_102_444_800_000)]
"""A sane moment: 2010 .. 2100."""
Id = Annotated[int, Meta(ge=0, lt=1 << 62)]
Symbol = Annotated[str, Meta(min_length=1, max_length=40)]
Levels = tuple[tuple[Price, Qty], ...]


class StreamFrame(Struct):
    stream: str
    data: Raw


class TradeWire(Struct):
    symbol: Symbol = msgspec.field(name="s")
    event_ms: Ms = msgspec.field(name="E")
    time_ms: Ms = msgspec.field(name="T")
    trade_id: Id = msgspec.field(name="t")
    price: Price = msgspec.field(name="p")
    qty: Qty = msgspec.field(name="q")
    buyer_is_maker: bool = msgspec.field(name="m")


class AggTradeWire(Struct):
    """Trades of one taker order at one price, told as one; ids are their own, consecutive too."""

    symbol: Symbol = msgspec.field(name="s")
    event_ms: Ms = msgspec.field(name="E")
    time_ms: Ms = msgspec.field(name="T")
    trade_id: Id = msgspec.field(name="a")
    price: Price = msgspec.field(name="p")
    qty: Qty = msgspec.field(name="q")
    buyer_is_maker: bool = msgspec.field(name="m")


class BookTickerWire(Struct):
    """Spot sends no event time."""

    symbol: Symbol = msgspec.field(name="s")
    update_id: Id = msgspec.field(name="u")
    bid: Price = msgspec.field(name="b")
    bid_qty: Qty = msgspec.field(name="B")
    ask: Price = msgspec.field(name="a")
    ask_qty: Qty = msgspec.field(name="A")
    event_ms: Ms | None = msgspec.field(name="E", default=None)


class DepthWire(Struct):
    """Only USD-M has ``pu``, the last id of the update before."""

    symbol: Symbol = msgspec.field(name="s")
    event_ms: Ms = msgspec.field(name="E")
    first_id: Id = msgspec.field(name="U")
    last_id: Id = msgspec.field(name="u")
    bids: Levels = msgspec.field(name="b")
    asks: Levels = msgspec.field(name="a")
    previous_id: Id | None = msgspec.field(name="pu", default=None)


class SnapshotWire(Struct):
    """REST ``depth``; only USD-M stamps it with ``E``."""

    last_id: Id = msgspec.field(name="lastUpdateId")
    bids: Levels
    asks: Levels
    event_ms: Ms | None = msgspec.field(name="E", default=None)


class CandleWire(Struct):
    open_ms: Ms = msgspec.field(name="t")
    close_ms: Ms = msgspec.field(name="T")
    interval: str = msgspec.field(name="i")
    open: Price = msgspec.field(name="o")
    close: Price = msgspec.field(name="c")
    high: Price = msgspec.field(name="h")
    low: Price = msgspec.field(name="l")
    volume: Qty = msgspec.field(name="v")
    trades: Id = msgspec.field(name="n")
    closed: bool = msgspec.field(name="x")
    quote_volume: Qty = msgspec.field(name="q")
    taker_buy_volume: Qty = msgspec.field(name="V")


class KlineWire(Struct):
    symbol: Symbol = msgspec.field(name="s")
    event_ms: Ms = msgspec.field(name="E")
    candle: CandleWire = msgspec.field(name="k")


class MarkPriceWire(Struct):
    """``i`` index price, ``r`` funding rate (empty for delivery contracts), ``T`` next funding time."""

    symbol: Symbol = msgspec.field(name="s")
    event_ms: Ms = msgspec.field(name="E")
    mark: Price = msgspec.field(name="p")
    index: Price | None = msgspec.field(name="i", default=None)
    funding_rate: Annotated[float, Meta(gt=-1, lt=1)] | None = msgspec.field(name="r", default=None)
    next_funding_ms: int | None = msgspec.field(name="T", default=None)


class TimeWire(Struct):
    """Our own ``#time`` line: exchange minus local clock, milliseconds, as measured."""

    offset_ms: float


RestKline = tuple[Ms, Price, Price, Price, Price, Qty, Ms, Qty, Id, Qty, Qty, str]
"""open time, open, high, low, close, volume, close time, quote volume, trades, taker buy base and quote, unused."""

frame = msgspec.json.Decoder(StreamFrame)
trade = msgspec.json.Decoder(TradeWire, strict=False)
agg_trade = msgspec.json.Decoder(AggTradeWire, strict=False)
book_ticker = msgspec.json.Decoder(BookTickerWire, strict=False)
depth = msgspec.json.Decoder(DepthWire, strict=False)
snapshot = msgspec.json.Decoder(SnapshotWire, strict=False)
kline = msgspec.json.Decoder(KlineWire, strict=False)
mark_price = msgspec.json.Decoder(MarkPriceWire, strict=False)
time = msgspec.json.Decoder(TimeWire)
rest_klines = msgspec.json.Decoder(list[RestKline], strict=False)

SNAPSHOT, BACKFILL, TIME = "#snapshot", "#backfill", "#time"
"""Marks of the lines a feed adds to its own stream: a REST answer, put where it arrived, so that a replay sees it."""


def wrapped(stream: str, data: bytes) -> bytes:
    """*data* (JSON) as a frame of the combined stream."""
    return b'{"stream":"' + stream.encode() + b'","data":' + data + b"}"
