"""parser owns the way from Bitunix's frames to market events; like Binance's a pure state machine.

Candles come without open time and closed flag. The open time is the push's own time cut to the interval; a push
that carries the old candle a moment into the new one is known by its unchanged open and is left with the old.
When the first push of a new candle arrives, the one before is closed: its final values are asked from REST,
since trades after its last push are in no push. If REST stays silent, the last push is taken for the close.
"""

from __future__ import annotations

from collections.abc import Collection

import msgspec
from msgspec.structs import replace

from maestro_engine.feeds.bitunix import wire
from maestro_engine.feeds.live.connection import PONG
from maestro_engine.feeds.live.feed import Want
from maestro_engine.feeds.live.timesync import TimeGuard, sane_due
from maestro_engine.feeds.port import (
    BookTicker,
    Counters,
    Event,
    FeedStatus,
    Kline,
    MarkPrice,
    Ticker,
    interval_ms,
)
from maestro_engine.feeds.sequence import KlineOrder

INTERVALS = {
    "1m": "1min",
    "3m": "3min",
    "5m": "5min",
    "15m": "15min",
    "30m": "30min",
    "1h": "60min",
    "2h": "2h",
    "4h": "4h",
    "6h": "6h",
    "8h": "8h",
    "12h": "12h",
    "1d": "1day",
}
"""Bitunix's channel endings by interval."""
_BY_CHANNEL = {f"market_kline_{name}": interval for interval, name in INTERVALS.items()}
FUNDING_EVERY_S = 3.0
"""So often mark price and funding are asked for: five times before a mark price is too old to testify."""
LINGER_MS = 2_000
"""So long after a candle's end a push may still carry it."""


class _Insane(Exception):
    """A decoded message that cannot be true."""


class BitunixParser:
    """Implements the live feed's parser. *symbols*: None takes any (recordings)."""

    def __init__(
        self,
        symbols: Collection[str] | None = None,
        *,
        last_open_ms: dict[tuple[str, str], int] | None = None,
    ) -> None:
        self.counters = Counters()
        self.heard = ""
        self._symbols = None if symbols is None else frozenset(symbols)
        self._last_open_ms = last_open_ms or {}
        self._time = TimeGuard()
        self._newest_ms: dict[str, int] = {}
        self._orders: dict[tuple[str, str], KlineOrder] = {}
        self._forming: dict[tuple[str, str], Kline] = {}
        self._wants: list[Want] = []

    @property
    def offset_ms(self) -> float | None:
        return self._time.offset_ms

    def take(self, raw: bytes, local_ns: int) -> list[Event]:
        self.counters.frames += 1
        self.heard = ""
        try:
            push = wire.push.decode(raw)
            events = self._control(push) if push.op or not push.ch else self._data(push, local_ns)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return self._garbage("malformed", local_ns)
        except _Insane as reason:
            return self._garbage(str(reason), local_ns)
        self.counters.events += len(events)
        return events

    def wants(self) -> list[Want]:
        wants, self._wants = self._wants, []
        return wants

    def _control(self, push: wire.Push) -> list[Event]:
        if push.op == "ping":
            self.heard = PONG
        elif not push.op:
            raise _Insane("unknown message")
        return []

    def _data(self, push: wire.Push, local_ns: int) -> list[Event]:
        if self._symbols is not None and push.symbol not in self._symbols:
            raise _Insane("unknown symbol")
        if push.ch.endswith(wire.BACKFILL):
            return self._backfill(push, local_ns)
        if push.ch == wire.FUNDING:
            return self._mark(push, local_ns)
        if push.ts is None:
            raise _Insane("no time")
        stream = f"{push.symbol}@{push.ch}"
        self._check_time(push.ts, local_ns)
        events = self._event(push, push.ts, local_ns)
        if push.ts < self._newest_ms.get(stream, 0):
            self.counters.late += 1
            return []
        self._newest_ms[stream] = push.ts
        self.heard = stream
        return events if not isinstance(events, Kline) else self._candle(events, local_ns)

    def _event(self, push: wire.Push, ts: int, local_ns: int) -> list[Event] | Kline:
        if push.ch == "ticker":
            return [Ticker(push.symbol, ts, local_ns, wire.ticker.decode(push.data).last)]
        if push.ch == "depth_book1":
            return self._top(push.symbol, ts, wire.top.decode(push.data), local_ns)
        interval = _BY_CHANNEL.get(push.ch)
        if interval is None:
            raise _Insane("unknown stream")
        c = wire.candle.decode(push.data)
        if not c.low <= min(c.open, c.close) <= max(c.open, c.close) <= c.high:
            raise _Insane("impossible candle")
        step = interval_ms(interval)
        return Kline(
            symbol=push.symbol,
            time_ms=ts,
            local_ns=local_ns,
            interval=interval,
            open_ms=ts // step * step,
            close_ms=ts // step * step + step - 1,
            open=c.open,
            high=c.high,
            low=c.low,
            close=c.close,
            volume=c.volume,
            quote_volume=c.quote_volume,
            trades=None,
            taker_buy_volume=None,
            closed=False,
        )

    def _top(self, symbol: str, ts: int, top: wire.TopWire, local_ns: int) -> list[Event]:
        if not top.bids or not top.asks or "" in (*top.bids[0], *top.asks[0]):
            return []  # an empty side: there is no best price to tell
        try:
            bid, bid_qty, ask, ask_qty = (float(text) for text in (*top.bids[0], *top.asks[0]))
        except ValueError as error:
            raise _Insane("malformed") from error
        if not 0 < bid <= ask < 1e12 or not 0 <= bid_qty < 1e15 or not 0 <= ask_qty < 1e15:
            raise _Insane("crossed quotes")
        return [BookTicker(symbol, ts, local_ns, None, bid, bid_qty, ask, ask_qty)]

    def _candle(self, kline: Kline, local_ns: int) -> list[Event]:
        key = (kline.symbol, kline.interval)
        order = self._orders.get(key)
        if order is None:
            order = self._orders[key] = KlineOrder(kline.interval, self.counters, self._last_open_ms.get(key))
        before = self._forming.get(key)
        if before is not None and _lingers(before, kline):
            self._forming[key] = replace(kline, open_ms=before.open_ms, close_ms=before.close_ms)
            return []
        klines, gap = order.take(kline)
        if gap is not None:
            self._wants.append(Want("klines", kline.symbol, kline.interval, gap.before + 1, gap.after - 1))
        elif not order.waiting:
            self._forming[key] = kline
        if gap is None or gap.missing <= 1:  # the candle just over is no gap: closing always goes this way
            return list(klines)
        missing = gap.missing - 1
        self.counters.gaps += 1
        self.counters.lost += missing
        detail = f"{kline.symbol} kline_{kline.interval}: {missing} missing"
        stream = f"kline_{kline.interval}"
        return [FeedStatus(local_ns, "gap", detail, kline.symbol, stream, missing, gap.before, gap.after)]

    def _backfill(self, push: wire.Push, local_ns: int) -> list[Event]:
        interval = _BY_CHANNEL.get(push.ch.removesuffix(wire.BACKFILL), "")
        key = (push.symbol, interval)
        order = self._orders.get(key)
        if order is None or not order.waiting:
            return []
        rows = [rest_kline(push.symbol, interval, row, local_ns) for row in wire.rest_candles.decode(push.data)]
        last = self._forming.get(key)
        if last is not None and all(row.open_ms != last.open_ms for row in rows):
            rows.append(replace(last, closed=True, local_ns=local_ns))
        return list(order.fill(rows))

    def _mark(self, push: wire.Push, local_ns: int) -> list[Event]:
        """Mark price and funding, of the exchange's time once a push has told that; to be asked for again."""
        self._wants.append(Want("funding", push.symbol, after_s=FUNDING_EVERY_S))
        row = wire.funding.decode(push.data)
        if self._time.offset_ms is None:
            return []
        now_ms = round(local_ns / 1e6 + self._time.offset_ms)
        if row.symbol != push.symbol:
            raise _Insane("unknown symbol")
        if not sane_due(row.due_ms, now_ms):
            raise _Insane("insane time")
        return [MarkPrice(row.symbol, now_ms, local_ns, row.mark, row.index, wire.ratio(row.rate), row.due_ms)]

    def _check_time(self, ts: int, local_ns: int) -> None:
        """Bitunix tells its time nowhere else, so the pushes themselves are the measure of the offset."""
        if not self._time.sane(ts, local_ns):
            if self._time.wants_sync():
                self._time.set(ts - local_ns / 1e6)
            raise _Insane("insane time")
        if self._time.offset_ms is None:
            self._time.set(ts - local_ns / 1e6)

    def _garbage(self, reason: str, local_ns: int) -> list[Event]:
        count = self.counters.reject(reason)
        if count & (count - 1):
            return []
        return [FeedStatus(local_ns, "garbage", f"{reason}: {count} frames refused")]


def _lingers(before: Kline, kline: Kline) -> bool:
    """Whether *kline*, by its time the next candle, is still the old one."""
    return (
        before.open_ms < kline.open_ms <= before.close_ms + 1
        and kline.time_ms - kline.open_ms < LINGER_MS
        and kline.open == before.open
        and kline.volume >= before.volume > 0
    )


def rest_kline(symbol: str, interval: str, row: wire.RestCandle, local_ns: int) -> Kline:
    """A closed candle of REST ``kline``."""
    close_ms = row.time + interval_ms(interval) - 1
    return Kline(
        symbol=symbol,
        time_ms=close_ms,
        local_ns=local_ns,
        interval=interval,
        open_ms=row.time,
        close_ms=close_ms,
        open=row.open,
        high=row.high,
        low=row.low,
        close=row.close,
        volume=row.volume,
        quote_volume=row.quote_volume,
        trades=None,
        taker_buy_volume=None,
        closed=True,
    )
