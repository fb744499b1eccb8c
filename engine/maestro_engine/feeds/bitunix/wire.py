"""wire owns the shapes of Bitunix's futures messages and what is sane in them.

Source: Bitunix OpenAPI, "WebSocket" and "Market" pages, checked against captured frames of 2026. What to know:
a ``market_kline_*`` push has neither the candle's open time nor a closed flag, and its ``b``/``q`` are base and
quote volume of the forming candle; ``depth_book1`` carries the best bid and ask, empty texts when there is none;
``ticker`` has no bid or ask; nothing is numbered. Keepalive is a JSON ping, a protocol ping as the first frame
gets the socket closed. REST answers ``{"code":0,"data":...}``, candles newest first, at most 200.
Mark price and funding are asked for (``funding_rate``): its answer has no stamp, its ``data`` is a row or a list with
one, and its rates are percent (the documented bounds of BTCUSDT are 0.3 and -0.3).
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta, Raw, Struct

Price = Annotated[float, Meta(gt=0, lt=1e12)]
Qty = Annotated[float, Meta(ge=0, lt=1e15)]
Ms = Annotated[int, Meta(ge=1_262_304_000_000, lt=4_102_444_800_000)]


class Push(Struct):
    """``ch``, ``symbol``, ``ts``, ``data`` for market data; ``op`` for everything else."""

    ch: str = ""
    symbol: str = ""
    ts: Ms | None = None
    data: Raw = Raw()
    op: str = ""


class BitunixCandleWire(Struct):
    open: Price = msgspec.field(name="o")
    high: Price = msgspec.field(name="h")
    low: Price = msgspec.field(name="l")
    close: Price = msgspec.field(name="c")
    volume: Qty = msgspec.field(name="b")
    quote_volume: Qty = msgspec.field(name="q")


class TickerWire(Struct):
    last: Price = msgspec.field(name="la")


class TopWire(Struct):
    """Levels as text, because an empty book is ``[["", ""]]``."""

    bids: list[tuple[str, str]] = msgspec.field(name="b")
    asks: list[tuple[str, str]] = msgspec.field(name="a")


class RestCandle(Struct):
    time: Ms
    open: Price
    high: Price
    low: Price
    close: Price
    volume: Qty = msgspec.field(name="baseVol")
    quote_volume: Qty = msgspec.field(name="quoteVol")


class RestTicker(Struct):
    symbol: str
    last: Price = msgspec.field(name="lastPrice")


class TradingPairWire(Struct):
    """``trading_pairs``: precisions are decimal places."""

    symbol: str
    base: str
    quote: str
    quantity_places: int = msgspec.field(name="basePrecision")
    price_places: int = msgspec.field(name="quotePrecision")
    min_qty: str = msgspec.field(name="minTradeVolume")


Percent = Annotated[float, Meta(gt=-100, lt=100)]


class FundingRow(Struct):
    """``funding_rate``: the current rate and its bounds in percent, the interval in hours."""

    symbol: str
    mark: Price = msgspec.field(name="markPrice")
    rate: Percent = msgspec.field(name="fundingRate")
    hours: Annotated[int, Meta(ge=1, le=24)] = msgspec.field(name="fundingInterval")
    due_ms: Ms = msgspec.field(name="nextFundingTime")
    highest: Percent | None = msgspec.field(name="maxFundingRate", default=None)
    lowest: Percent | None = msgspec.field(name="minFundingRate", default=None)
    index: Price | None = msgspec.field(name="indexPrice", default=None)


class Answer(Struct):
    code: int
    data: Raw = Raw()
    msg: str = ""


push = msgspec.json.Decoder(Push, strict=False)
candle = msgspec.json.Decoder(BitunixCandleWire, strict=False)
ticker = msgspec.json.Decoder(TickerWire, strict=False)
top = msgspec.json.Decoder(TopWire)
funding = msgspec.json.Decoder(FundingRow, strict=False)
FUNDING = "funding_rate"
"""How the line with the answer to that question is called among the pushes."""


def funding_rows(data: bytes) -> list[FundingRow]:
    """One row, or a list of them. Raises :class:`msgspec.DecodeError`."""
    several = data if data[:1] == b"[" else b"[%b]" % data
    return msgspec.json.decode(several, type=list[FundingRow], strict=False)


def ratio(percent: float) -> float:
    """*percent* as a ratio, with the digits that it had."""
    return round(percent / 100, 12)


rest_candles = msgspec.json.Decoder(list[RestCandle], strict=False)

BACKFILL = "#backfill"
"""Ending of the channel of the lines a feed adds itself: candles from REST."""
