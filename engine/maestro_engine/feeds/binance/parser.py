"""parser owns the way from Binance's raw frames to market events: decoding, validation, order, gaps.

It is a pure state machine: the same lines give the same events, live or from a recording. Answers of REST that
matter (book snapshots, missing candles, the measured clock offset) enter it as lines too, see ``wire``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

import msgspec

from maestro_engine.feeds.binance import wire
from maestro_engine.feeds.binance.depth import DepthChain
from maestro_engine.feeds.live.feed import Want
from maestro_engine.feeds.live.timesync import TimeGuard, sane_due
from maestro_engine.feeds.port import (
    BookTicker,
    Counters,
    DepthSnapshot,
    DepthUpdate,
    Event,
    FeedStatus,
    Kline,
    MarkPrice,
    TradeTick,
    interval_ms,
)
from maestro_engine.feeds.sequence import Gap, HighWater, KlineOrder, TradeIds
from maestro_protocol.errors import ParameterError

Heard = int | tuple[int, int] | tuple[float, float, float, float]
"""What a stream last said: a trade or depth id, a candle's (open time, trades), or best (bid, qty, ask, qty)."""
_Handler = Callable[[msgspec.Raw, int], list[Event]]


class _Insane(Exception):
    """A decoded message that cannot be true; the reason is what is counted."""


class BinanceParser:
    """Frames of the combined stream, spot or USD-M (told apart by ``pu``), to events.

    *symbols*: only these are listened to; None takes any (recordings). *unanchored*: symbols whose depth passes
    without a snapshot. *aggregated*: symbols whose trades come as ``aggTrade``; for others that stream is not
    listened to. *last_open_ms*: open time of the newest candle already known, by (symbol, interval).
    """

    def __init__(
        self,
        symbols: Collection[str] | None = None,
        *,
        unanchored: Collection[str] = (),
        aggregated: Collection[str] = (),
        last_open_ms: dict[tuple[str, str], int] | None = None,
    ) -> None:
        self.counters = Counters()
        self._symbols = None if symbols is None else frozenset(symbols)
        self._unanchored, self._aggregated = frozenset(unanchored), frozenset(aggregated)
        self._last_open_ms = last_open_ms or {}
        self._time = TimeGuard()
        self._handlers: dict[str, _Handler] = {}
        self._trades: dict[str, TradeIds] = {}
        self._quotes: dict[str, HighWater] = {}
        self._marks: dict[str, HighWater] = {}
        self._chains: dict[str, DepthChain] = {}
        self._klines: dict[tuple[str, str], KlineOrder] = {}
        self._wants: list[Want] = []
        self.heard = ""
        """Stream of the last frame taken, empty when it was refused."""
        self._depth_symbol = next(iter(symbols)) if symbols and len(symbols) == 1 else ""
        self.view: dict[str, Heard] = {}
        """What was heard last, by symbol and kind (``btcusdt@depth``), for the REST witness."""

    @property
    def offset_ms(self) -> float | None:
        return self._time.offset_ms

    def take(self, raw: bytes, local_ns: int) -> list[Event]:
        """Events of one line received at *local_ns*. Garbage is counted and told, never raised."""
        self.counters.frames += 1
        self.heard = ""
        try:
            events = self._dispatch(raw, local_ns)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return self._garbage("undecodable" if raw[:1] != b"{" else "malformed", local_ns)
        except _Insane as reason:
            return self._garbage(str(reason), local_ns)
        self.counters.events += len(events)
        return events

    def wants(self) -> list[Want]:
        """REST answers that are needed now; each is told once and answered by a line."""
        if self._time.wants_sync():
            self._wants.append(Want("time"))
        wants, self._wants = self._wants, []
        return wants

    def _dispatch(self, raw: bytes, local_ns: int) -> list[Event]:
        frame = wire.frame.decode(raw) if b'"stream"' in raw[:16] else self._unwrapped(raw)
        if frame is None:
            return []
        handler = self._handlers.get(frame.stream)
        if handler is None:
            handler = self._handler(frame.stream)
            if len(self._handlers) < 10_000:
                self._handlers[frame.stream] = handler
        events = handler(frame.data, local_ns)
        self.heard = frame.stream
        return events

    def _unwrapped(self, raw: bytes) -> wire.StreamFrame | None:
        """A line without a stream: a reply to a request, or a bare REST snapshot as in older recordings."""
        if b'"lastUpdateId"' in raw[:32] and self._depth_symbol:
            return wire.StreamFrame(f"{self._depth_symbol.lower()}@depth{wire.SNAPSHOT}", msgspec.Raw(raw))
        msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
        if b'"result"' in raw or b'"lastUpdateId"' in raw:
            return None
        raise _Insane("unknown message")

    def _handler(self, stream: str) -> _Handler:
        symbol, _, kind = stream.partition("@")
        symbol = symbol.upper()
        if stream == wire.TIME:
            return self._on_time
        if kind.endswith(wire.SNAPSHOT):
            return lambda data, ns: self._on_snapshot(symbol, data, ns)
        if kind.endswith(wire.BACKFILL):
            interval = kind.removesuffix(wire.BACKFILL).removeprefix("kline_")
            return lambda data, ns: self._on_backfill(symbol, interval, data, ns)
        known: dict[str, _Handler] = {
            "trade": lambda data, ns: self._on_trade(wire.trade.decode(data), ns),
            "aggTrade": self._on_agg_trade,
            "bookTicker": self._on_book_ticker,
            "depth": self._on_depth,
            "markPrice": self._on_mark_price,
        }
        if kind.startswith("kline_"):
            return self._on_kline
        handler = known.get(kind.partition("@")[0])
        if handler is None:
            raise _Insane("unknown stream")
        return handler

    def _on_agg_trade(self, data: msgspec.Raw, local_ns: int) -> list[Event]:
        m = wire.agg_trade.decode(data)
        return self._on_trade(m, local_ns) if m.symbol in self._aggregated else []

    def _on_trade(self, m: wire.TradeWire | wire.AggTradeWire, local_ns: int) -> list[Event]:
        self._check(m.symbol, m.event_ms, local_ns)
        self._check(m.symbol, m.time_ms, local_ns)
        if m.qty <= 0:
            raise _Insane("zero quantity")
        ids = self._trades.setdefault(m.symbol, TradeIds())
        place, gap = ids.take(m.trade_id)
        self.view[f"{m.symbol.lower()}@trade"] = ids.last
        if place == "double":
            self.counters.duplicates += 1
            return []
        self.counters.late += place == "late"
        trade = TradeTick(m.symbol, m.time_ms, local_ns, m.trade_id, m.price, m.qty, m.buyer_is_maker)
        return [trade] if gap is None else [self._gap(gap, m.symbol, "trade", local_ns), trade]

    def _on_book_ticker(self, data: msgspec.Raw, local_ns: int) -> list[Event]:
        m = wire.book_ticker.decode(data)
        self._check(m.symbol, m.event_ms, local_ns)
        if m.bid > m.ask:
            raise _Insane("crossed quotes")
        if not self._quotes.setdefault(m.symbol, HighWater()).passes(m.update_id):
            self.counters.duplicates += 1
            return []
        self.view[f"{m.symbol.lower()}@bookTicker"] = (m.bid, m.bid_qty, m.ask, m.ask_qty)
        return [BookTicker(m.symbol, m.event_ms, local_ns, m.update_id, m.bid, m.bid_qty, m.ask, m.ask_qty)]

    def _on_depth(self, data: msgspec.Raw, local_ns: int) -> list[Event]:
        m = wire.depth.decode(data)
        self._check(m.symbol, m.event_ms, local_ns)
        if m.first_id > m.last_id:
            raise _Insane("update ids backwards")
        self._depth_symbol = m.symbol
        chain = self._chains.get(m.symbol)
        if chain is None:
            chain = self._chains[m.symbol] = DepthChain(anchored=m.symbol not in self._unanchored)
            if chain.anchored:
                self._wants.append(Want("depth", m.symbol))
        updates, gap = chain.take(m)
        self.view[f"{m.symbol.lower()}@depth"] = m.last_id
        events: list[Event] = [_depth(update, local_ns) for update in updates]
        if gap is None:
            self.counters.duplicates += not updates and not chain.waiting
            return events
        if chain.anchored:
            self._wants.append(Want("depth", m.symbol))
        return [self._gap(gap, m.symbol, "depth", local_ns), *events]

    def _on_snapshot(self, symbol: str, data: msgspec.Raw, local_ns: int) -> list[Event]:
        m = wire.snapshot.decode(data)
        chain = self._chains.setdefault(symbol, DepthChain())
        if symbol in self._unanchored or not chain.waiting:
            return []
        updates = chain.anchor(m.last_id)
        if updates is None:
            self._wants.append(Want("depth", symbol))
            return []
        self.counters.resyncs += 1
        sane = m.event_ms is not None and self._time.sane(m.event_ms, local_ns)
        book = DepthSnapshot(symbol, m.event_ms if sane else None, local_ns, m.last_id, m.bids, m.asks)
        return [book, *(_depth(update, local_ns) for update in updates)]

    def _on_kline(self, data: msgspec.Raw, local_ns: int) -> list[Event]:
        m = wire.kline.decode(data)
        self._check(m.symbol, m.event_ms, local_ns)
        kline = _kline(m, local_ns)
        if not sane_candle(kline) or not kline.open_ms <= m.event_ms <= kline.close_ms + 60_000:
            raise _Insane("impossible candle")
        key = (m.symbol, kline.interval)
        order = self._klines.get(key)
        if order is None:
            order = KlineOrder(kline.interval, self.counters, self._last_open_ms.get(key))
            self._klines[key] = order
        self.view[f"{m.symbol.lower()}@kline_{kline.interval}"] = (kline.open_ms, m.candle.trades)
        klines, gap = order.take(kline)
        if gap is None:
            return list(klines)
        self._wants.append(Want("klines", m.symbol, kline.interval, gap.before + 1, gap.after - 1))
        return [self._gap(gap, m.symbol, f"kline_{kline.interval}", local_ns)]

    def _on_backfill(self, symbol: str, interval: str, data: msgspec.Raw, local_ns: int) -> list[Event]:
        order = self._klines.get((symbol, interval))
        if order is None or not order.waiting:
            return []
        rows = [rest_kline(symbol, interval, row, local_ns) for row in wire.rest_klines.decode(data)]
        return list(order.fill(row for row in rows if sane_candle(row)))

    def _on_mark_price(self, data: msgspec.Raw, local_ns: int) -> list[Event]:
        m = wire.mark_price.decode(data)
        self._check(m.symbol, m.event_ms, local_ns)
        due = m.next_funding_ms or None
        if due is not None and not sane_due(due, m.event_ms):
            raise _Insane("insane time")
        if not self._marks.setdefault(m.symbol, HighWater()).passes(m.event_ms):
            self.counters.late += 1
            return []
        self.view[f"{m.symbol.lower()}@markPrice"] = m.event_ms
        return [MarkPrice(m.symbol, m.event_ms, local_ns, m.mark, m.index, m.funding_rate, due)]

    def _on_time(self, data: msgspec.Raw, local_ns: int) -> list[Event]:
        self._time.set(wire.time.decode(data).offset_ms)
        return []

    def _check(self, symbol: str, event_ms: int | None, local_ns: int) -> None:
        if self._symbols is not None and symbol not in self._symbols:
            raise _Insane("unknown symbol")
        if event_ms is not None and not self._time.sane(event_ms, local_ns):
            raise _Insane("insane time")

    def _gap(self, gap: Gap, symbol: str, stream: str, local_ns: int) -> FeedStatus:
        self.counters.gaps += 1
        self.counters.lost += gap.missing if stream != "depth" else 0
        what = "update ids" if stream == "depth" else "of them"
        return FeedStatus(
            local_ns,
            "gap",
            f"{symbol} {stream}: {gap.missing} {what} missing",
            symbol,
            stream,
            gap.missing,
            gap.before,
            gap.after,
        )

    def _garbage(self, reason: str, local_ns: int) -> list[Event]:
        count = self.counters.reject(reason)
        if count & (count - 1):
            return []
        return [FeedStatus(local_ns, "garbage", f"{reason}: {count} frames refused")]


def _depth(m: wire.DepthWire, local_ns: int) -> DepthUpdate:
    return DepthUpdate(m.symbol, m.event_ms, local_ns, m.first_id, m.last_id, m.bids, m.asks)


def _kline(m: wire.KlineWire, local_ns: int) -> Kline:
    c = m.candle
    return Kline(
        symbol=m.symbol,
        time_ms=m.event_ms,
        local_ns=local_ns,
        interval=c.interval,
        open_ms=c.open_ms,
        close_ms=c.close_ms,
        open=c.open,
        high=c.high,
        low=c.low,
        close=c.close,
        volume=c.volume,
        quote_volume=c.quote_volume,
        trades=c.trades,
        taker_buy_volume=c.taker_buy_volume,
        closed=c.closed,
    )


def rest_kline(symbol: str, interval: str, row: wire.RestKline, local_ns: int, *, closed: bool = True) -> Kline:
    """A row of REST ``klines``; whether it is closed the caller must know."""
    return Kline(
        symbol=symbol,
        time_ms=row[6],
        local_ns=local_ns,
        interval=interval,
        open_ms=row[0],
        close_ms=row[6],
        open=row[1],
        high=row[2],
        low=row[3],
        close=row[4],
        volume=row[5],
        quote_volume=row[7],
        trades=row[8],
        taker_buy_volume=row[9],
        closed=closed,
    )


def sane_candle(k: Kline) -> bool:
    """High and low enclose open and close, the open time is on the interval's grid, takers bought at most all."""
    try:
        step = interval_ms(k.interval)
    except ParameterError:
        return False
    inside = k.low <= min(k.open, k.close) and max(k.open, k.close) <= k.high
    on_grid = k.open_ms % step == 0 and k.close_ms == k.open_ms + step - 1
    return inside and on_grid and (k.taker_buy_volume or 0.0) <= k.volume * (1 + 1e-9)
