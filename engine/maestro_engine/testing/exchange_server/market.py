"""market owns the double's own view of its markets: books, last trades and candles, as REST would tell them."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from maestro_engine.feeds.binance.parser import BinanceParser
from maestro_engine.feeds.book import DepthBook
from maestro_engine.feeds.candles import CandleMaker, CandleStream, fold
from maestro_engine.feeds.port import (
    BookTicker,
    DepthSnapshot,
    DepthUpdate,
    Event,
    Filters,
    Kline,
    MarkPrice,
    TradeTick,
    interval_ms,
)
from maestro_engine.feeds.sim import FUNDING_MS
from maestro_engine.testing.exchange_server.frames import Json, kline_row, snapshot, text
from maestro_engine.testing.exchange_server.tape import Tape
from maestro_protocol.errors import ParameterError

KEPT = 250_000
DAY_MS = 86_400_000


class SymbolState:
    """One symbol. Candles are kept as parts: the history's own, and a second each since the tape began."""

    def __init__(self, symbol: str, history: Sequence[Kline], first_snapshot: bytes | None) -> None:
        self.symbol = symbol
        self.book = DepthBook()
        self.quote: BookTicker | None = None
        self.trade: TradeTick | None = None
        self.mark: MarkPrice | None = None
        self._first_snapshot = first_snapshot
        self._parts = [kline for kline in history if kline.symbol == symbol]
        self._seconds = CandleMaker(symbol, "1s")
        self._book_ms = 0

    def take(self, event: Event) -> None:
        match event:
            case TradeTick():
                self.trade = event
                self._parts += self._seconds.take(event)
            case BookTicker():
                self.quote = event
            case MarkPrice():
                self.mark = event
            case DepthSnapshot() | DepthUpdate():
                self.book.apply(event)
                self._book_ms = event.time_ms or self._book_ms
            case Kline(closed=True):
                keep = bisect_left(self._parts, event.open_ms, key=lambda part: part.open_ms)
                later = [part for part in self._parts[keep:] if part.open_ms > event.close_ms]
                self._parts[keep:] = [event, *later]
            case _:
                pass
        if len(self._parts) > KEPT:
            del self._parts[: KEPT // 2]

    @property
    def last_close(self) -> float | None:
        """Of the candles that are known, those from before the tape included."""
        return self._parts[-1].close if self._parts else None

    def klines(self, interval: str, from_ms: int, to_ms: int, now_ms: int) -> list[Kline]:
        """Candles with an open time in the range, the forming one last; those past *now_ms* are closed."""
        step = interval_ms(interval)
        start = from_ms // step * step
        first = bisect_left(self._parts, start, key=lambda part: part.open_ms)
        forming = self._seconds.current
        parts = self._parts[first:] + ([forming] if forming is not None else [])
        rows = [row for row in fold(parts, interval) if from_ms <= row.open_ms <= to_ms]
        return [replace(row, closed=row.close_ms < now_ms) for row in rows]

    def depth(self, limit: int, usdm: bool) -> bytes:
        """REST ``depth``; before the first book on the tape, that book."""
        if self.book.last_id is None:
            return self._first_snapshot or b'{"lastUpdateId":0,"bids":[],"asks":[]}'
        bids, asks = tuple(self.book.bids(limit)), tuple(self.book.asks(limit))
        stamp = self._book_ms or None
        return msgspec.json.encode(
            snapshot(DepthSnapshot(self.symbol, stamp, 0, self.book.last_id, bids, asks), usdm)
        )

    def book_ticker(self) -> Json:
        bid, ask = self.book.bid() or (0.0, 0.0), self.book.ask() or (0.0, 0.0)
        if self.quote is not None:
            bid, ask = (self.quote.bid, self.quote.bid_qty), (self.quote.ask, self.quote.ask_qty)
        return {
            "symbol": self.symbol,
            "bidPrice": text(bid[0]),
            "bidQty": text(bid[1]),
            "askPrice": text(ask[0]),
            "askQty": text(ask[1]),
        }

    def price(self) -> Json:
        last = self.trade.price if self.trade is not None else 0.0
        return {"symbol": self.symbol, "price": text(last)}

    def day(self, now_ms: int) -> Json:
        """REST ``ticker/24hr``."""
        bars = self.klines("1d", now_ms - DAY_MS, now_ms, now_ms)
        last = self.trade.price if self.trade is not None else 0.0
        return {
            "symbol": self.symbol,
            "lastPrice": text(last),
            "openPrice": text(bars[0].open if bars else last),
            "highPrice": text(max((bar.high for bar in bars), default=last)),
            "lowPrice": text(min((bar.low for bar in bars), default=last)),
            "volume": text(sum(bar.volume for bar in bars)),
            "quoteVolume": text(sum(bar.quote_volume or 0.0 for bar in bars)),
            "closeTime": now_ms,
            "count": sum(bar.trades or 0 for bar in bars),
            "lastId": self.trade.trade_id if self.trade is not None else -1,
        }


class SimulatedMarket:
    """All symbols of a tape, fed with its lines as they are played."""

    def __init__(self, tape: Tape) -> None:
        self._tape = tape
        self._parser = BinanceParser(tape.symbols, unanchored=tape.unanchored, aggregated=tape.aggregated)
        history = tape.history()
        self.states = {symbol: SymbolState(symbol, history, tape.first_snapshot(symbol)) for symbol in tape.symbols}
        self._filters: dict[str, Filters] = {}
        self._candles: dict[tuple[str, str], CandleStream] = {}

    def take(self, raw: bytes, local_ns: int, now_ms: int) -> list[Event]:
        """Play one line; gives what is to be pushed besides: candles, and trades made of aggregated ones."""
        pushed: list[Event] = []
        for event in self._parser.take(raw, local_ns):
            state = self.states.get(getattr(event, "symbol", ""))
            if state is not None:
                state.take(event)
                if isinstance(event, TradeTick):
                    pushed += self._traded(event)
        for candles in self._candles.values():
            pushed += candles.time(now_ms, local_ns)
        return pushed

    def follow(self, symbol: str, interval: str, now_ms: int) -> None:
        """Somebody subscribed to candles: push them from now on, made from the trades unless they are on tape."""
        key = (symbol, interval)
        on_tape = f"{symbol.lower()}@kline_{interval}" in self._tape.streams
        if on_tape or key in self._candles or symbol not in self.states:
            return
        candles = CandleStream(symbol, interval)
        step = interval_ms(interval)
        known = self.states[symbol].klines(interval, now_ms - 2 * step, now_ms, now_ms)
        if known:
            candles.seed(known[-1])
        self._candles[key] = candles

    def mark(self, symbol: str, now_ms: int) -> MarkPrice | None:
        """A mark price where the tape has none; None before any price."""
        state = self.states.get(symbol)
        if state is None or f"{symbol.lower()}@markPrice" in self._tape.streams:
            return None
        return None if state.quote is None and state.trade is None else self.stand_in(state, now_ms)

    def stand_in(self, state: SymbolState, now_ms: int) -> MarkPrice | None:
        """The middle of the quotes, the last trade or the last candle's close, without funding; None without any."""
        quote, trade = state.quote, state.trade
        price = (quote.bid + quote.ask) / 2 if quote is not None else trade.price if trade is not None else None
        price = state.last_close if price is None else price
        return None if price is None else MarkPrice(state.symbol, now_ms, 0, price, None, 0.0, None)

    def funding(self, symbol: str, now_ms: int) -> MarkPrice:
        """Mark price and funding for who asks; without any on the tape, at no rate. Raises ParameterError."""
        state = self.states[symbol]
        known = state.mark or self.stand_in(state, now_ms)
        if known is None:
            raise ParameterError(f"{symbol} has no price yet")
        due = (now_ms // FUNDING_MS + 1) * FUNDING_MS
        return replace(known, next_funding_ms=known.next_funding_ms or due)

    def filters(self, symbol: str) -> Filters:
        if symbol not in self._filters:
            self._filters[symbol] = self._tape.filters(symbol)
        return self._filters[symbol]

    def rows(self, symbol: str, interval: str, from_ms: int, to_ms: int, limit: int, now_ms: int) -> bytes:
        """REST ``klines``."""
        klines = self.states[symbol].klines(interval, from_ms, to_ms, now_ms)
        return msgspec.json.encode([kline_row(kline) for kline in klines[:limit]])

    def _traded(self, trade: TradeTick) -> list[Event]:
        pushed: list[Event] = []
        if trade.symbol in self._tape.aggregated:
            pushed.append(trade)
        for candles in self._candles.values():
            if candles.symbol == trade.symbol:
                pushed += candles.trade(trade)
        return pushed
