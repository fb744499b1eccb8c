"""frames owns saying market events the way Binance says them, on the WebSocket and over REST."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from maestro_engine.feeds.binance import wire
from maestro_engine.feeds.port import (
    BookTicker,
    DepthSnapshot,
    DepthUpdate,
    Event,
    Kline,
    Level,
    MarkPrice,
    TradeTick,
)

Json = dict[str, object]


def text(number: float) -> str:
    """A number as the exchange prints it: decimal, eight places."""
    return f"{number:.8f}"


def frame(event: Event, usdm: bool) -> bytes:
    """*event* as a frame of the combined stream; empty for events that the exchange has no frame for."""
    name = getattr(event, "symbol", "").lower()
    match event:
        case TradeTick():
            return _wrapped(f"{name}@trade", _trade(event))
        case BookTicker():
            return _wrapped(f"{name}@bookTicker", _book_ticker(event, usdm))
        case DepthUpdate():
            return _wrapped(f"{name}@depth@100ms", _depth(event, usdm))
        case DepthSnapshot():
            return _wrapped(f"{name}@depth{wire.SNAPSHOT}", snapshot(event, usdm))
        case Kline():
            return _wrapped(f"{name}@kline_{event.interval}", _kline(event))
        case MarkPrice():
            return _wrapped(f"{name}@markPrice@1s", _mark_price(event))
        case _:
            return b""


def snapshot(event: DepthSnapshot, usdm: bool) -> Json:
    """REST ``depth``."""
    stamps: Json = {"E": event.time_ms, "T": event.time_ms} if usdm else {}
    return {"lastUpdateId": event.last_id, **stamps, "bids": _levels(event.bids), "asks": _levels(event.asks)}


def kline_row(k: Kline) -> list[object]:
    """A row of REST ``klines``."""
    taker = k.taker_buy_volume or 0.0
    prices = (text(k.open), text(k.high), text(k.low), text(k.close), text(k.volume))
    return [
        k.open_ms,
        *prices,
        k.close_ms,
        text(k.quote_volume or 0.0),
        k.trades or 0,
        text(taker),
        text(taker * k.close),
        "0",
    ]


def _wrapped(stream: str, data: Json) -> bytes:
    return wire.wrapped(stream, msgspec.json.encode(data))


def _levels(levels: Iterable[Level]) -> list[tuple[str, str]]:
    return [(text(price), text(qty)) for price, qty in levels]


def _trade(t: TradeTick) -> Json:
    return {
        "e": "trade",
        "E": t.time_ms,
        "s": t.symbol,
        "t": t.trade_id,
        "p": text(t.price),
        "q": text(t.qty),
        "T": t.time_ms,
        "m": t.buyer_is_maker,
    }


def _book_ticker(b: BookTicker, usdm: bool) -> Json:
    stamps: Json = {"e": "bookTicker", "E": b.time_ms, "T": b.time_ms} if usdm else {}
    return {
        **stamps,
        "u": b.update_id,
        "s": b.symbol,
        "b": text(b.bid),
        "B": text(b.bid_qty),
        "a": text(b.ask),
        "A": text(b.ask_qty),
    }


def _depth(d: DepthUpdate, usdm: bool) -> Json:
    chain: Json = {"U": d.first_id, "u": d.last_id}
    if usdm:
        chain = {"T": d.time_ms, **chain, "pu": d.first_id - 1}
    levels: Json = {"b": _levels(d.bids), "a": _levels(d.asks)}
    return {"e": "depthUpdate", "E": d.time_ms, "s": d.symbol, **chain, **levels}


def _kline(k: Kline) -> Json:
    taker = k.taker_buy_volume or 0.0
    candle: Json = {
        "t": k.open_ms,
        "T": k.close_ms,
        "s": k.symbol,
        "i": k.interval,
        "f": -1,
        "L": -1,
        "o": text(k.open),
        "c": text(k.close),
        "h": text(k.high),
        "l": text(k.low),
        "v": text(k.volume),
        "n": k.trades or 0,
        "x": k.closed,
        "q": text(k.quote_volume or 0.0),
        "V": text(taker),
        "Q": text(taker * k.close),
        "B": "0",
    }
    return {"e": "kline", "E": k.time_ms, "s": k.symbol, "k": candle}


def _mark_price(m: MarkPrice) -> Json:
    return {
        "e": "markPriceUpdate",
        "E": m.time_ms,
        "s": m.symbol,
        "p": text(m.mark),
        "i": text(m.index if m.index is not None else m.mark),
        "r": text(m.funding_rate or 0.0),
        "T": m.next_funding_ms or 0,
    }
