"""rest owns Binance's REST doors, spot and USD-M: time, candles, depth, last trade, filters."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta, Struct

from maestro_engine.feeds.binance import wire
from maestro_engine.feeds.binance.parser import rest_kline, sane_candle
from maestro_engine.feeds.live.rest import Rest
from maestro_engine.feeds.port import Filters, FundingTerms, Kline, interval_ms
from maestro_protocol.errors import DataError

T = TypeVar("T")
DEPTH_LIMIT = 1_000
PAGE = 1_000


class _Time(Struct):
    server_ms: wire.Ms = msgspec.field(name="serverTime")


class _Day(Struct):
    """``ticker/24hr``; ``lastId`` is -1 where nothing traded."""

    last_trade_id: int = msgspec.field(name="lastId")


class _Filter(Struct):
    """Spot has NOTIONAL.minNotional, USD-M has MIN_NOTIONAL.notional, older spot MIN_NOTIONAL.minNotional."""

    kind: str = msgspec.field(name="filterType")
    tick_size: Decimal | None = msgspec.field(name="tickSize", default=None)
    lot_step: Decimal | None = msgspec.field(name="stepSize", default=None)
    min_qty: Decimal | None = msgspec.field(name="minQty", default=None)
    min_notional: Decimal | None = msgspec.field(name="minNotional", default=None)
    notional: Decimal | None = None


class _Listed(Struct):
    symbol: str
    base: str = msgspec.field(name="baseAsset")
    quote: str = msgspec.field(name="quoteAsset")
    filters: list[_Filter]


class _Info(Struct):
    symbols: list[_Listed]


class _Funded(Struct):
    """``fundingInfo``, which lists contracts whose terms were ever adjusted."""

    symbol: str
    hours: Annotated[int, Meta(ge=1, le=24)] = msgspec.field(name="fundingIntervalHours")
    cap: float = msgspec.field(name="adjustedFundingRateCap")
    floor: float = msgspec.field(name="adjustedFundingRateFloor")


class BinanceRest:
    """*prefix* is ``/api/v3`` (spot) or ``/fapi/v1`` (USD-M). Every method raises :class:`DataError`."""

    def __init__(self, rest: Rest, prefix: str) -> None:
        self._rest, self._prefix = rest, prefix

    async def server_time_ms(self) -> int:
        return (await self._ask("time", {}, _Time)).server_ms

    async def depth(self, symbol: str, limit: int = DEPTH_LIMIT) -> bytes:
        """The snapshot's body as it came, once its shape is found right."""
        body = await self._rest.get(f"{self._prefix}/depth", {"symbol": symbol, "limit": limit})
        _decoded(body, wire.SnapshotWire, f"{self._prefix}/depth")
        return body

    async def top(self, symbol: str) -> wire.SnapshotWire:
        """The five best levels of each side."""
        return _decoded(await self.depth(symbol, 5), wire.SnapshotWire, f"{self._prefix}/depth")

    async def raw_klines(self, symbol: str, interval: str, from_ms: int, to_ms: int) -> list[wire.RestKline]:
        """All rows with an open time in [from_ms, to_ms], page by page."""
        rows: list[wire.RestKline] = []
        while from_ms <= to_ms:
            params = {
                "symbol": symbol,
                "interval": interval,
                "startTime": from_ms,
                "endTime": to_ms,
                "limit": PAGE,
            }
            page = await self._ask("klines", params, list[wire.RestKline])
            rows += page
            if len(page) < PAGE:
                break
            from_ms = page[-1][0] + 1
        return rows

    async def newest_klines(self, symbol: str, interval: str, limit: int, now_ms: int) -> list[Kline]:
        """The newest *limit* candles closed at *now_ms* (the exchange's UTC milliseconds), oldest first."""
        step = interval_ms(interval)
        first = (now_ms // step - limit) * step
        rows = await self.raw_klines(symbol, interval, first, now_ms)
        klines = [rest_kline(symbol, interval, row, now_ms * 1_000_000) for row in rows if row[6] < now_ms]
        broken = [kline.open_ms for kline in klines if not sane_candle(kline)]
        if broken:
            raise DataError(f"{symbol} {interval}: REST candle at {broken[0]} is impossible; {len(broken)} such")
        return klines[-limit:]

    async def newest_kline(self, symbol: str, interval: str) -> tuple[int, int] | None:
        """Open time and number of trades of the candle that is forming; None when there is none."""
        params = {"symbol": symbol, "interval": interval, "limit": 1}
        rows = await self._ask("klines", params, list[wire.RestKline])
        return (rows[-1][0], rows[-1][8]) if rows else None

    async def last_trade_id(self, symbol: str) -> int:
        return (await self._ask("ticker/24hr", {"symbol": symbol}, _Day)).last_trade_id

    async def filters(self, symbol: str) -> Filters:
        info = await self._ask("exchangeInfo", {"symbol": symbol}, _Info)
        for listed in info.symbols:
            if listed.symbol == symbol:
                return _filters(listed)
        raise DataError(f"{symbol}: not listed on this exchange ({self._prefix}/exchangeInfo)")

    async def funding_terms(self, symbol: str) -> FundingTerms | None:
        for row in await self._ask("fundingInfo", {}, list[_Funded]):
            if row.symbol == symbol:
                return FundingTerms(row.hours * 3_600_000, row.cap, row.floor)
        return None

    async def aclose(self) -> None:
        await self._rest.aclose()

    async def _ask(self, path: str, params: dict[str, str | int], shape: type[T]) -> T:
        body = await self._rest.get(f"{self._prefix}/{path}", params)
        return _decoded(body, shape, f"{self._prefix}/{path}")


def _decoded(body: bytes, shape: type[T], where: str) -> T:
    try:
        return msgspec.json.decode(body, type=shape, strict=False)
    except msgspec.DecodeError as error:
        raise DataError(f"{where}: answer is not understood: {error}") from error


def _filters(listed: _Listed) -> Filters:
    by_kind = {filter_.kind: filter_ for filter_ in listed.filters}
    price, lot = by_kind.get("PRICE_FILTER"), by_kind.get("LOT_SIZE")
    money = by_kind.get("NOTIONAL") or by_kind.get("MIN_NOTIONAL")
    if price is None or lot is None or money is None:
        raise DataError(f"{listed.symbol}: exchangeInfo lacks PRICE_FILTER, LOT_SIZE or a notional filter")
    least = money.min_notional if money.min_notional is not None else money.notional
    values = (price.tick_size, lot.lot_step, lot.min_qty, least)
    if price.tick_size is None or lot.lot_step is None or lot.min_qty is None or least is None:
        raise DataError(f"{listed.symbol}: exchangeInfo has an empty filter: {values}")
    return Filters(listed.symbol, listed.base, listed.quote, price.tick_size, lot.lot_step, lot.min_qty, least)
