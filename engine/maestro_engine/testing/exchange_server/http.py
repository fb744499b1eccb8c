"""http owns the double's REST: which path answers what, with Binance's own errors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import parse_qs, urlsplit

import msgspec

from maestro_engine.feeds.port import Filters, interval_ms
from maestro_engine.feeds.sim import FUNDING_CAP, FUNDING_MS
from maestro_engine.testing.exchange_server.frames import Json
from maestro_engine.testing.exchange_server.market import SimulatedMarket, SymbolState
from maestro_protocol.errors import ParameterError

PREFIXES = {False: "/api/v3/", True: "/fapi/v1/"}
_MOST = 1_500


@dataclass(frozen=True, slots=True)
class HttpReply:
    status: HTTPStatus
    body: bytes
    retry_after_s: int | None = None


class RestDesk:
    """Answers GET requests from a market; *server_ms* is the exchange's clock (UTC milliseconds)."""

    def __init__(self, market: SimulatedMarket, usdm: bool, server_ms: Callable[[], int]) -> None:
        self._market, self._usdm, self._server_ms = market, usdm, server_ms

    def answer(self, target: str, skew_ms: int) -> HttpReply:
        """*target* is path and query as requested."""
        url = urlsplit(target)
        prefix = PREFIXES[self._usdm]
        if not url.path.startswith(prefix):
            return _refusal(HTTPStatus.NOT_FOUND, -1000, f"this exchange answers under {prefix}")
        query = {key: values[-1] for key, values in parse_qs(url.query).items()}
        path = url.path.removeprefix(prefix)
        if path == "ping":
            return _ok({})
        if path == "time":
            return _ok({"serverTime": self._server_ms() + skew_ms})
        if path == "exchangeInfo":
            return self._info(query)
        if path == "fundingInfo" and self._usdm:
            return HttpReply(HTTPStatus.OK, msgspec.json.encode([_funded(symbol) for symbol in self._market.states]))
        state = self._market.states.get(query.get("symbol", ""))
        if state is None:
            return _refusal(HTTPStatus.BAD_REQUEST, -1121, "Invalid symbol.")
        try:
            return self._about(path, state, query)
        except (ParameterError, ValueError) as error:
            return _refusal(HTTPStatus.BAD_REQUEST, -1100, str(error))

    def _about(self, path: str, state: SymbolState, query: dict[str, str]) -> HttpReply:
        match path:
            case "depth":
                return HttpReply(HTTPStatus.OK, state.depth(int(query.get("limit", "100")), self._usdm))
            case "klines":
                return self._klines(state.symbol, query)
            case "ticker/bookTicker":
                return _ok(state.book_ticker())
            case "ticker/price":
                return _ok(state.price())
            case "ticker/24hr":
                return _ok(state.day(self._server_ms()))
            case _:
                return _refusal(HTTPStatus.NOT_FOUND, -1000, f"{path}: no such question")

    def _klines(self, symbol: str, query: dict[str, str]) -> HttpReply:
        now_ms = self._server_ms()
        interval = query.get("interval", "")
        step = interval_ms(interval)
        limit = min(int(query.get("limit", "500")), _MOST)
        to_ms = int(query.get("endTime", now_ms))
        newest_ms = min(to_ms, now_ms) // step * step
        from_ms = int(query.get("startTime", newest_ms - (limit - 1) * step))
        return HttpReply(HTTPStatus.OK, self._market.rows(symbol, interval, from_ms, to_ms, limit, now_ms))

    def _info(self, query: dict[str, str]) -> HttpReply:
        asked = query.get("symbol")
        if asked is not None and asked not in self._market.states and not self._usdm:
            return _refusal(HTTPStatus.BAD_REQUEST, -1121, "Invalid symbol.")
        listed = [s for s in self._market.states if asked is None or self._usdm or s == asked]
        symbols = [_listed(self._market.filters(symbol), self._usdm) for symbol in listed]
        return _ok({"timezone": "UTC", "serverTime": self._server_ms(), "symbols": symbols})


def _listed(f: Filters, usdm: bool) -> Json:
    notional: Json = {"filterType": "NOTIONAL", "minNotional": str(f.min_notional)}
    if usdm:
        notional = {"filterType": "MIN_NOTIONAL", "notional": str(f.min_notional)}
    tick, step = format(f.tick_size, "f"), format(f.lot_step, "f")
    return {
        "symbol": f.symbol,
        "status": "TRADING",
        "baseAsset": f.base,
        "quoteAsset": f.quote,
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": tick, "maxPrice": "1000000", "tickSize": tick},
            {"filterType": "LOT_SIZE", "minQty": format(f.min_qty, "f"), "maxQty": "9000", "stepSize": step},
            notional,
        ],
    }


def _funded(symbol: str) -> Json:
    cap = format(FUNDING_CAP, ".8f")
    bounds: Json = {"adjustedFundingRateCap": cap, "adjustedFundingRateFloor": f"-{cap}"}
    return {"symbol": symbol, **bounds, "fundingIntervalHours": FUNDING_MS // 3_600_000, "disclaimer": False}


def _ok(body: Json) -> HttpReply:
    return HttpReply(HTTPStatus.OK, msgspec.json.encode(body))


def _refusal(status: HTTPStatus, code: int, why: str) -> HttpReply:
    return HttpReply(status, msgspec.json.encode({"code": code, "msg": why}))
