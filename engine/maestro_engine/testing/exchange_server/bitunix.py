"""bitunix owns what the double says in Bitunix's own words: pushes by the clock, and REST candles, tickers and pairs.

As far as captured frames and the exchange's public notes tell, see :mod:`maestro_engine.feeds.bitunix.wire`. A minute
without a trade is pushed flat at the last price, with no volume.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from http import HTTPStatus
from urllib.parse import parse_qs, urlsplit

import msgspec

from maestro_engine.feeds.bitunix.parser import INTERVALS
from maestro_engine.feeds.port import Kline, MarkPrice, interval_ms
from maestro_engine.feeds.sim import FUNDING_CAP, FUNDING_MS
from maestro_engine.testing.exchange_server.frames import Json, text
from maestro_engine.testing.exchange_server.http import HttpReply
from maestro_engine.testing.exchange_server.market import SimulatedMarket, SymbolState
from maestro_protocol.errors import DataError, ParameterError

ROUTE = "/public/"
PREFIX = "/api/v1/futures/market/"
HELLO = b'{"op":"connect","data":{"result":true}}'
EVERY_S = 0.5
"""So often each stream is pushed."""
_PAGE = 200
_BY_CHANNEL = {f"market_kline_{name}": interval for interval, name in INTERVALS.items()}


class Argument(msgspec.Struct):
    symbol: str = ""
    ch: str = ""

    @property
    def stream(self) -> str:
        return f"{self.symbol}@{self.ch}"


class ClientMessage(msgspec.Struct):
    """What a client says: ``subscribe`` and ``unsubscribe`` with arguments, or ``ping`` with its time."""

    op: str
    args: list[Argument] = []
    ping: int = 0


class BitunixDesk:
    """Speaks for *market*; *server_ms* is the exchange's clock (UTC milliseconds)."""

    def __init__(self, market: SimulatedMarket, server_ms: Callable[[], int]) -> None:
        self._market, self._server_ms = market, server_ms

    def knows(self, argument: Argument) -> bool:
        """Whether there is such a stream."""
        named = argument.ch in _BY_CHANNEL or argument.ch in ("ticker", "depth_book1")
        return named and argument.symbol in self._market.states

    def push(self, stream: str, skew_ms: int) -> bytes:
        """What *stream* says now; empty while there is nothing to say."""
        symbol, _, channel = stream.partition("@")
        state, now_ms = self._market.states[symbol], self._server_ms()
        interval = _BY_CHANNEL.get(channel)
        data = _candle(state, interval, now_ms) if interval is not None else _now(state, channel)
        if data is None:
            return b""
        return msgspec.json.encode({"ch": channel, "symbol": symbol, "ts": now_ms + skew_ms, "data": data})

    def pong(self, ping: int) -> bytes:
        return msgspec.json.encode({"op": "ping", "ping": ping, "pong": self._server_ms() // 1_000})

    def answer(self, target: str) -> HttpReply:
        """*target* is path and query of a GET request under ``PREFIX``."""
        url = urlsplit(target)
        query = {key: values[-1] for key, values in parse_qs(url.query).items()}
        try:
            data = self._about(url.path.removeprefix(PREFIX), query)
        except (ParameterError, ValueError, KeyError) as error:
            return _said({"code": 2, "msg": f"Invalid parameters: {error}", "data": None})
        if data is None:
            return HttpReply(HTTPStatus.NOT_FOUND, b'{"code":404,"msg":"no such question"}')
        return _said({"code": 0, "data": data, "msg": "Success"})

    def _about(self, path: str, query: Mapping[str, str]) -> list[Json] | None:
        match path:
            case "kline":
                return self._klines(query)
            case "tickers":
                return [_ticker(state) for state in self._asked(query) if state.trade is not None]
            case "funding_rate":
                return [_funding(self._market.funding(query["symbol"], self._server_ms()))]
            case "trading_pairs":
                return [self._pair(state.symbol) for state in self._asked(query)]
            case _:
                return None

    def _asked(self, query: Mapping[str, str]) -> list[SymbolState]:
        wanted = [name for name in query.get("symbols", "").split(",") if name]
        return [state for symbol, state in self._market.states.items() if not wanted or symbol in wanted]

    def _klines(self, query: Mapping[str, str]) -> list[Json]:
        """Newest first, at most 200, the forming candle among them."""
        state, interval, now_ms = self._market.states[query["symbol"]], query["interval"], self._server_ms()
        if interval not in INTERVALS:
            raise ParameterError(f"interval {interval!r}")
        limit = min(int(query.get("limit", "100")), _PAGE)
        to_ms = min(int(query.get("endTime", now_ms + 1)), now_ms + 1) - 1
        from_ms = int(query.get("startTime", to_ms - (limit - 1) * interval_ms(interval)))
        rows = state.klines(interval, from_ms, to_ms, now_ms)
        return [_row(row) for row in rows[::-1][:limit]]

    def _pair(self, symbol: str) -> Json:
        """Raises ParameterError where the tape does not tell the symbol's grid."""
        try:
            grid = self._market.filters(symbol)
        except DataError as error:
            raise ParameterError(str(error)) from None
        return {
            "symbol": symbol,
            "base": grid.base,
            "quote": grid.quote,
            "basePrecision": _places(grid.lot_step),
            "quotePrecision": _places(grid.tick_size),
            "minTradeVolume": format(grid.min_qty, "f"),
        }


def _candle(state: SymbolState, interval: str, now_ms: int) -> Json | None:
    step = interval_ms(interval)
    rows = state.klines(interval, now_ms - 2 * step, now_ms, now_ms)
    if not rows:
        return None
    k = rows[-1]
    if k.open_ms != now_ms // step * step:
        last = text(k.close)
        return {"o": last, "c": last, "h": last, "l": last, "b": "0", "q": "0"}
    prices = {"o": text(k.open), "c": text(k.close), "h": text(k.high), "l": text(k.low)}
    return {**prices, "b": text(k.volume), "q": text(k.quote_volume or 0.0)}


def _now(state: SymbolState, channel: str) -> Json | None:
    if channel == "ticker":
        return None if state.trade is None else {"la": text(state.trade.price)}
    quote = state.quote
    if quote is None:
        return {"b": [("", "")], "a": [("", "")]}
    return {"b": [(text(quote.bid), text(quote.bid_qty))], "a": [(text(quote.ask), text(quote.ask_qty))]}


def _ticker(state: SymbolState) -> Json:
    assert state.trade is not None
    return {"symbol": state.symbol, "lastPrice": text(state.trade.price), "markPrice": text(state.trade.price)}


def _funding(mark: MarkPrice) -> Json:
    """Rates are percent."""
    price, cap = text(mark.mark), text(FUNDING_CAP * 100)
    return {
        "symbol": mark.symbol,
        "markPrice": price,
        "lastPrice": price,
        "indexPrice": text(mark.index or mark.mark),
        "fundingRate": text(round((mark.funding_rate or 0.0) * 100, 10)),
        "fundingInterval": FUNDING_MS // 3_600_000,
        "nextFundingTime": str(mark.next_funding_ms),
        "maxFundingRate": cap,
        "minFundingRate": f"-{cap}",
    }


def _row(k: Kline) -> Json:
    prices = {"open": text(k.open), "high": text(k.high), "low": text(k.low), "close": text(k.close)}
    return {"time": k.open_ms, **prices, "baseVol": text(k.volume), "quoteVol": text(k.quote_volume or 0.0)}


def _places(step: Decimal) -> int:
    return max(0, -int(step.normalize().as_tuple().exponent))


def _said(body: Json) -> HttpReply:
    return HttpReply(HTTPStatus.OK, msgspec.json.encode(body))
