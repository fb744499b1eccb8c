"""client owns the Binance feed: which sockets carry which streams, and what REST can testify."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec
import numpy as np

from maestro_engine.feeds.binance import wire
from maestro_engine.feeds.binance.parser import BinanceParser, Heard
from maestro_engine.feeds.binance.rest import BinanceRest
from maestro_engine.feeds.live.backoff import ReconnectPolicy
from maestro_engine.feeds.live.connection import LineSpec
from maestro_engine.feeds.live.feed import LiveFeed, Want
from maestro_engine.feeds.live.rest import Rest
from maestro_engine.feeds.live.watchdog import WatchLimits
from maestro_engine.feeds.port import FeedClock, Filters, FundingTerms, Kline, StreamRequest, interval_ms
from maestro_engine.feeds.recording import Recording
from maestro_engine.feeds.replay import ReplayFeed
from maestro_protocol.errors import ConfigError

Market = Literal["spot", "usdm"]


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Base addresses. USD-M routes books and trades over ``public``, candles and mark prices over ``market``."""

    rest: str
    public: str
    market: str


# USD-M without a route still answers pings since 2026-04-23 but delivers nothing.
ENDPOINTS: dict[Market, Endpoints] = {
    "spot": Endpoints("https://api.binance.com", "wss://stream.binance.com:9443", "wss://stream.binance.com:9443"),
    "usdm": Endpoints(
        "https://fapi.binance.com", "wss://fstream.binance.com/public", "wss://fstream.binance.com/market"
    ),
}
_PREFIX: dict[Market, str] = {"spot": "/api/v3", "usdm": "/fapi/v1"}
_NAMES = {"trade": "trade", "book_ticker": "bookTicker", "depth": "depth@100ms", "mark_price": "markPrice@1s"}
_PUBLIC = ("trade", "bookTicker", "depth")


def binance_feed(
    market: Market,
    subscriptions: Sequence[StreamRequest],
    clock: FeedClock,
    rng: np.random.Generator,
    *,
    endpoints: Endpoints | None = None,
    proxy: str | None = None,
    policy: ReconnectPolicy | None = None,
    limits: WatchLimits | None = None,
    recorder: Callable[[int, bytes], None] | None = None,
    last_open_ms: dict[tuple[str, str], int] | None = None,
) -> LiveFeed:
    """A feed of Binance spot or USD-M perpetuals.

    *proxy*: None or a URL (``http://``, ``socks5h://``), used for WebSocket and REST. *last_open_ms*: open time
    of the newest closed candle already known by (symbol, interval); the feed goes on from there without a hole.
    Raises :class:`ConfigError` for a stream the market does not have.
    """
    venue = BinanceVenue(market, subscriptions, clock, rng, endpoints or ENDPOINTS[market], proxy, last_open_ms)
    return LiveFeed(venue, clock, rng, policy=policy, limits=limits, proxy=proxy, recorder=recorder)


def binance_replay(
    recording: Recording,
    clock: FeedClock | None = None,
    *,
    intervals: Sequence[str] = (),
    history: Sequence[Kline] = (),
    from_ms: int | None = None,
) -> ReplayFeed:
    """A recording of Binance frames as a feed, see :class:`ReplayFeed`; what it lacks is read off its head."""
    head = recording.head()
    parser = BinanceParser(head.symbols, unanchored=head.unanchored, aggregated=head.aggregated)
    return ReplayFeed(recording, parser, clock, intervals=intervals, history=history, from_ms=from_ms)


def stream_name(market: Market, subscription: StreamRequest) -> str:
    """Binance's name of a stream, ``btcusdt@kline_1m``. Raises :class:`ConfigError`."""
    symbol = subscription.symbol.lower()
    if not symbol.isalnum():
        raise ConfigError(f"symbol {subscription.symbol!r}: only letters and digits, such as BTCUSDT")
    if subscription.stream == "kline":
        interval_ms(subscription.interval)
        return f"{symbol}@kline_{subscription.interval}"
    name = _NAMES.get(subscription.stream)
    if name is None or (market == "spot" and subscription.stream == "mark_price"):
        raise ConfigError(f"Binance {market} has no {subscription.stream} stream ({subscription.symbol})")
    return f"{symbol}@{name}"


class BinanceVenue:
    """Implements :class:`~maestro_engine.feeds.live.feed.Venue`."""

    def __init__(
        self,
        market: Market,
        subscriptions: Sequence[StreamRequest],
        clock: FeedClock,
        rng: np.random.Generator,
        endpoints: Endpoints,
        proxy: str | None,
        last_open_ms: dict[tuple[str, str], int] | None,
    ) -> None:
        if not subscriptions:
            raise ConfigError(f"Binance {market} feed: nothing is subscribed")
        self.name = f"binance-{market}"
        self._perpetual = market == "usdm"
        self._endpoints = endpoints
        self._streams = tuple(dict.fromkeys(stream_name(market, each) for each in subscriptions))
        self._books = tuple(dict.fromkeys(s.symbol.upper() for s in subscriptions if s.stream == "depth"))
        self.parser = BinanceParser({s.symbol.upper() for s in subscriptions}, last_open_ms=last_open_ms)
        self._rest = BinanceRest(Rest(endpoints.rest, clock, rng, proxy=proxy), _PREFIX[market])
        self._witness = BinanceRest(
            Rest(endpoints.rest, clock, rng, proxy=proxy, tries=1, timeout_s=5.0), _PREFIX[market]
        )
        self._baseline: dict[str, Heard] = {}

    def lines(self) -> list[LineSpec]:
        routed: dict[str, list[str]] = {}
        for stream in self._streams:
            public = stream.split("@")[1] in _PUBLIC
            base = self._endpoints.public if public else self._endpoints.market
            routed.setdefault(base.rstrip("/"), []).append(stream)
        return [LineSpec(f"{base}/stream?streams={'/'.join(names)}", tuple(names)) for base, names in routed.items()]

    def first_wants(self) -> list[Want]:
        return [Want("depth", symbol) for symbol in self._books]

    async def server_time_ms(self) -> int:
        return await self._rest.server_time_ms()

    def time_line(self, offset_ms: float) -> bytes:
        return wire.wrapped(wire.TIME, msgspec.json.encode({"offset_ms": offset_ms}))

    async def answer(self, want: Want) -> bytes:
        if want.kind == "depth":
            body = await self._rest.depth(want.symbol)
            return wire.wrapped(f"{want.symbol.lower()}@depth{wire.SNAPSHOT}", body)
        rows = await self._rest.raw_klines(want.symbol, want.interval, want.from_ms, want.to_ms)
        return wire.wrapped(_backfill(want), msgspec.json.encode(rows))

    def no_answer(self, want: Want) -> bytes:
        return wire.wrapped(_backfill(want), b"[]")

    async def moved(self, stream: str) -> bool | None:
        symbol, kind = stream.split("@")[:2]
        if kind == "markPrice":
            return True  # it ticks by the clock, so silence alone convicts it
        key = f"{symbol}@{kind}"
        now = await self._testimony(symbol.upper(), kind)
        before = self.parser.view.get(key, self._baseline.get(key))
        if now is None:
            return None
        if before is None:
            self._baseline[key] = now
            return False
        if kind.startswith("kline_"):
            return _candle_moved(before, now, interval_ms(kind.removeprefix("kline_")))
        return now != before

    async def _testimony(self, symbol: str, kind: str) -> Heard | None:
        """What REST says now, in the form of the parser's view of that stream."""
        if kind == "trade":
            return await self._witness.last_trade_id(symbol)
        if kind.startswith("kline_"):
            return await self._witness.newest_kline(symbol, kind.removeprefix("kline_"))
        top = await self._witness.top(symbol)
        if kind == "depth":
            return top.last_id
        if not top.bids or not top.asks:
            return None
        return (*top.bids[0], *top.asks[0])

    async def klines(self, symbol: str, interval: str, limit: int, now_ms: int) -> list[Kline]:
        return await self._rest.newest_klines(symbol, interval, limit, now_ms)

    async def filters(self, symbol: str) -> Filters:
        return await self._rest.filters(symbol.upper())

    async def funding_terms(self, symbol: str) -> FundingTerms | None:
        return await self._rest.funding_terms(symbol.upper()) if self._perpetual else None

    async def aclose(self) -> None:
        await self._rest.aclose()
        await self._witness.aclose()


def _candle_moved(before: Heard, now: Heard, step_ms: int) -> bool:
    """Whether trades were missed, or a closing frame: a candle that has just begun without a trade is neither."""
    assert isinstance(before, tuple)
    assert isinstance(now, tuple)
    (heard_ms, heard_trades), (open_ms, trades) = before[:2], now[:2]
    if open_ms == heard_ms:
        return trades > heard_trades
    return open_ms > heard_ms + step_ms or (open_ms > heard_ms and trades > 0)


def _backfill(want: Want) -> str:
    return f"{want.symbol.lower()}@kline_{want.interval}{wire.BACKFILL}"
