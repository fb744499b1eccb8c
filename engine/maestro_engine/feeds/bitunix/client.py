"""client owns the Bitunix perpetual futures feed: subscriptions, REST candles and filters, the JSON ping."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import TypeVar

import msgspec
import numpy as np

from maestro_engine.feeds.bitunix import wire
from maestro_engine.feeds.bitunix.parser import INTERVALS, BitunixParser, rest_kline
from maestro_engine.feeds.live.backoff import ReconnectPolicy
from maestro_engine.feeds.live.connection import LineSpec
from maestro_engine.feeds.live.feed import LiveFeed, Want
from maestro_engine.feeds.live.rest import Rest
from maestro_engine.feeds.live.watchdog import WatchLimits
from maestro_engine.feeds.port import FeedClock, Filters, FundingTerms, Kline, StreamRequest, interval_ms
from maestro_protocol.errors import ConfigError, DataError

T = TypeVar("T")
WEBSOCKET = "wss://fapi.bitunix.com/public/"
REST = "https://fapi.bitunix.com"
_MARKET = "/api/v1/futures/market"
PAGE = 200
_CHANNELS = {"ticker": "ticker", "book_ticker": "depth_book1", "mark_price": wire.FUNDING}


def bitunix_feed(
    subscriptions: Sequence[StreamRequest],
    clock: FeedClock,
    rng: np.random.Generator,
    *,
    websocket: str = WEBSOCKET,
    rest: str = REST,
    proxy: str | None = None,
    policy: ReconnectPolicy | None = None,
    limits: WatchLimits | None = None,
    recorder: Callable[[int, bytes], None] | None = None,
    last_open_ms: dict[tuple[str, str], int] | None = None,
) -> LiveFeed:
    """A feed of Bitunix futures: ``kline``, ``ticker``, ``book_ticker``, ``mark_price``; the rest as for Binance.

    Mark prices are asked for every few seconds, beside the streams that are pushed.
    """
    venue = BitunixVenue(subscriptions, clock, rng, websocket, rest, proxy, last_open_ms)
    return LiveFeed(venue, clock, rng, policy=policy, limits=limits, proxy=proxy, recorder=recorder)


def channel(subscription: StreamRequest) -> str:
    """Bitunix's name of a stream, or of what is asked for instead. Raises :class:`ConfigError` when it has none."""
    name = _CHANNELS.get(subscription.stream, "")
    if subscription.stream == "kline" and subscription.interval in INTERVALS:
        name = f"market_kline_{INTERVALS[subscription.interval]}"
    if not name:
        raise ConfigError(
            f"Bitunix has no {subscription.stream} {subscription.interval} stream; "
            f"there are ticker, book_ticker, mark_price and kline of {', '.join(INTERVALS)}"
        )
    return name


class BitunixVenue:
    """Implements :class:`~maestro_engine.feeds.live.feed.Venue`."""

    name = "bitunix"

    def __init__(
        self,
        subscriptions: Sequence[StreamRequest],
        clock: FeedClock,
        rng: np.random.Generator,
        websocket: str,
        rest: str,
        proxy: str | None,
        last_open_ms: dict[tuple[str, str], int] | None,
    ) -> None:
        wanted = dict.fromkeys((each.symbol.upper(), channel(each)) for each in subscriptions)
        self._channels = tuple(each for each in wanted if each[1] != wire.FUNDING)
        self._marked = tuple(symbol for symbol, name in wanted if name == wire.FUNDING)
        if not self._channels:
            raise ConfigError("Bitunix feed: nothing that is pushed is subscribed")
        self._websocket = websocket
        self.parser = BitunixParser({symbol for symbol, _ in wanted}, last_open_ms=last_open_ms)
        self._rest = Rest(rest, clock, rng, proxy=proxy)
        self._witness = Rest(rest, clock, rng, proxy=proxy, tries=1, timeout_s=5.0)

    def lines(self) -> list[LineSpec]:
        args = [{"symbol": symbol, "ch": name} for symbol, name in self._channels]
        hello = msgspec.json.encode({"op": "subscribe", "args": args}).decode()
        streams = tuple(f"{symbol}@{name}" for symbol, name in self._channels)
        return [LineSpec(self._websocket, streams, (hello,), _ping)]

    def first_wants(self) -> list[Want]:
        return [Want("funding", symbol) for symbol in self._marked]

    async def server_time_ms(self) -> None:
        """Bitunix has no such question; the parser measures by the pushes."""

    def time_line(self, offset_ms: float) -> bytes:
        raise AssertionError("never measured here")

    async def answer(self, want: Want) -> bytes:
        if want.kind == "funding":
            row = await self._funding(want.symbol, self._witness)
            return msgspec.json.encode({"ch": wire.FUNDING, "symbol": want.symbol, "data": row})
        rows = await self._rows(want.symbol, want.interval, want.from_ms, want.to_ms)
        step = interval_ms(want.interval)
        newest = (want.to_ms + 1) // step * step - step
        if not any(row.time == newest for row in rows):
            raise DataError(f"{want.symbol} {want.interval}: the candle of {newest} is not there yet")
        return _backfill(want, rows)

    def no_answer(self, want: Want) -> bytes:
        return _backfill(want, [])

    async def moved(self, stream: str) -> bool | None:
        """Every Bitunix stream is pushed by a timer, so silence while REST answers convicts it."""
        await self._ask("tickers", {"symbols": stream.partition("@")[0]}, list[wire.RestTicker], self._witness)
        return True

    async def klines(self, symbol: str, interval: str, limit: int, now_ms: int) -> list[Kline]:
        """While no push has told the exchange's time, its newest candle does: *now_ms* is this machine's."""
        step = interval_ms(interval)
        there_ms = now_ms if self.parser.offset_ms is not None else await self._newest_ms(symbol, interval) or now_ms
        newest = there_ms // step * step - step
        rows = await self._rows(symbol, interval, newest - (limit - 1) * step, newest + step - 1)
        return [rest_kline(symbol, interval, row, now_ms * 1_000_000) for row in rows][-limit:]

    async def filters(self, symbol: str) -> Filters:
        """Bitunix states no smallest notional; it is 0 here."""
        pairs = await self._ask("trading_pairs", {"symbols": symbol}, list[wire.TradingPairWire], self._rest)
        for pair in pairs:
            if pair.symbol == symbol:
                step, tick = Decimal(1).scaleb(-pair.quantity_places), Decimal(1).scaleb(-pair.price_places)
                return Filters(symbol, pair.base, pair.quote, tick, step, Decimal(pair.min_qty), Decimal(0))
        raise DataError(f"{symbol}: not listed on Bitunix futures")

    async def funding_terms(self, symbol: str) -> FundingTerms | None:
        row = await self._funding(symbol, self._rest)
        if row.highest is None or row.lowest is None:
            return None
        return FundingTerms(row.hours * 3_600_000, wire.ratio(row.highest), wire.ratio(row.lowest))

    async def aclose(self) -> None:
        await self._rest.aclose()
        await self._witness.aclose()

    async def _funding(self, symbol: str, rest: Rest) -> wire.FundingRow:
        """One row, or a list with one. Raises :class:`DataError`."""
        data = await self._ask("funding_rate", {"symbol": symbol}, msgspec.Raw, rest)
        try:
            for row in wire.funding_rows(bytes(data)):
                if row.symbol == symbol:
                    return row
        except msgspec.DecodeError as error:
            raise DataError(f"{_MARKET}/funding_rate: answer is not understood: {error}") from error
        raise DataError(f"{symbol}: {_MARKET}/funding_rate does not tell its funding")

    async def _newest_ms(self, symbol: str, interval: str) -> int | None:
        """Open time of the candle that forms now (UTC milliseconds), by the exchange's time; None without any."""
        params: dict[str, str | int] = {"symbol": symbol, "interval": interval, "limit": 2}
        page = await self._ask("kline", params, list[wire.RestCandle], self._rest)
        return max((row.time for row in page), default=None)

    async def _rows(self, symbol: str, interval: str, from_ms: int, to_ms: int) -> list[wire.RestCandle]:
        """Candles with an open time in [from_ms, to_ms], oldest first; pages come newest first."""
        found: dict[int, wire.RestCandle] = {}
        end_ms = to_ms + 1
        while end_ms > from_ms:
            params = {
                "symbol": symbol,
                "interval": interval,
                "startTime": from_ms,
                "endTime": end_ms,
                "limit": PAGE,
            }
            page = await self._ask("kline", params, list[wire.RestCandle], self._rest)
            fresh = {row.time: row for row in page if from_ms <= row.time < end_ms}
            if not fresh:
                break
            found |= fresh
            end_ms = min(fresh)
        return [found[time] for time in sorted(found)]

    async def _ask(self, path: str, params: dict[str, str | int], shape: type[T], rest: Rest) -> T:
        body = await rest.get(f"{_MARKET}/{path}", params)
        try:
            answer = msgspec.json.decode(body, type=wire.Answer, strict=False)
            if answer.code != 0:
                raise DataError(f"{_MARKET}/{path}: refused with code {answer.code}: {answer.msg[:120]}")
            return msgspec.json.decode(answer.data, type=shape, strict=False)
        except msgspec.DecodeError as error:
            raise DataError(f"{_MARKET}/{path}: answer is not understood: {error}") from error


def _ping(now_ms: int) -> str:
    return msgspec.json.encode({"op": "ping", "ping": now_ms // 1_000}).decode()


def _backfill(want: Want, rows: Sequence[wire.RestCandle]) -> bytes:
    name = f"market_kline_{INTERVALS[want.interval]}{wire.BACKFILL}"
    return msgspec.json.encode({"ch": name, "symbol": want.symbol, "data": list(rows)})
