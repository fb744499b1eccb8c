"""sim owns the simulated source: a seeded market that speaks the same events. It proves plumbing, never an edge.

Prices follow a random walk whose volatility itself wanders (its logarithm is an AR(1) by minute); trades arrive as
a Poisson process and take the best bid or ask of a book one tick wide. Same seed, same events, wherever one begins to
listen: what came before is drawn again, and left out.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from maestro_engine.feeds.candles import CandleStream, fold
from maestro_engine.feeds.clock import stride
from maestro_engine.feeds.port import (
    BookTicker,
    Counters,
    DepthSnapshot,
    DepthUpdate,
    Event,
    FeedClock,
    Filters,
    FundingTerms,
    Kline,
    Level,
    MarkPrice,
    Place,
    StreamRequest,
    TradeTick,
    interval_ms,
)
from maestro_engine.feeds.recording import split_symbol
from maestro_protocol.errors import DataError

MINUTE_MS = 60_000
FUNDING_MS = 8 * 3_600_000
FUNDING_CAP = 0.003
HISTORY_MINUTES = 3_000
LEVELS = 10
IDS_A_MOVE = 4 * LEVELS
SECONDS_A_YEAR = 31_536_000.0


@dataclass(frozen=True, slots=True)
class SimSettings:
    """What is simulated. Prices in quote currency, quantities in base currency."""

    seed: int
    symbol: str = "BTCUSDT"
    start_ms: int = 1_767_225_600_000
    """First moment, UTC milliseconds (the default is 2026-01-01T00:00Z); a whole minute."""
    price: float = 60_000.0
    tick: Decimal = Decimal("0.1")
    lot: Decimal = Decimal("0.001")
    trades_per_s: float = 5.0
    volatility: float = 0.6
    """Standard deviation of a year's log return."""
    funding_rate: float = 0.0001


class _Minute(NamedTuple):
    """What a minute's trades are drawn as, one entry a trade, and the market at its end."""

    offsets: NDArray[np.int64]
    """Milliseconds since the minute's begin."""
    path: NDArray[np.float64]
    """Middle of the book after each, ticks."""
    sold: NDArray[np.bool_]
    sizes: NDArray[np.int64]
    """Lots."""
    best: NDArray[np.int64]
    """Sizes of the best bid and ask, lots."""


class _Walk:
    """The randomness of all minutes, one after the other."""

    def __init__(self, settings: SimSettings) -> None:
        self._settings, self._rng = settings, np.random.default_rng([settings.seed, 1])
        self.start_ms, self.mid_ticks, self._log_vol = settings.start_ms, settings.price / float(settings.tick), 0.0
        self.trades = 0

    def minute(self) -> _Minute:
        """The next minute, which began at ``start_ms``; afterwards that is where it ended."""
        s, rng = self._settings, self._rng
        self._log_vol = 0.97 * self._log_vol + 0.1 * float(rng.standard_normal())
        count = int(rng.poisson(s.trades_per_s * 60))
        offsets = np.sort(rng.integers(0, MINUTE_MS, count))
        per_trade = s.volatility * math.exp(self._log_vol) / math.sqrt(SECONDS_A_YEAR * s.trades_per_s)
        path = self.mid_ticks * np.exp(np.cumsum(per_trade * rng.standard_normal(count)))
        sold = rng.random(count) < 0.5
        sizes = np.maximum(1, np.rint(rng.lognormal(3.0, 1.2, count))).astype(np.int64)
        best = rng.integers(1, 5_000, (2, count))
        self.start_ms += MINUTE_MS
        self.trades += count
        self.mid_ticks = float(path[-1]) if count else self.mid_ticks
        return _Minute(offsets, path, sold, sizes, best)


class Simulation:
    """The market itself: ``events`` is endless; every iteration starts anew and gives the same."""

    def __init__(self, settings: SimSettings) -> None:
        self.settings = settings
        self._tick, self._lot = float(settings.tick), float(settings.lot)
        self._places = max(0, -int(settings.tick.as_tuple().exponent))
        self._qty_places = max(0, -int(settings.lot.as_tuple().exponent))

    def filters(self) -> Filters:
        s = self.settings
        base, quote = split_symbol(s.symbol)
        return Filters(s.symbol, base, quote, s.tick, s.lot, s.lot, Decimal(5))

    def events(self, *, depth: bool = True, from_ms: int | None = None) -> Iterator[Event]:
        """A book, then trades, quotes, depth updates and mark prices in the order of time.

        Without *depth* the same, faster, less the book and its updates; then *from_ms*, a whole minute, may say where
        to begin to tell.
        """
        s = self.settings
        walk = _Walk(s)
        while not depth and from_ms is not None and walk.start_ms < from_ms:
            walk.minute()
        trade_id, last_id = 1 + walk.trades, IDS_A_MOVE * (1 + walk.trades)
        ladder = _Ladder(self) if depth else None
        if ladder is not None:
            yield ladder.snapshot(s.start_ms, round(walk.mid_ticks), last_id)
        while True:
            start_ms, mid_ticks = walk.start_ms, walk.mid_ticks
            minute = walk.minute()
            marks = deque(range(start_ms, start_ms + MINUTE_MS, 1_000))
            columns = (minute.offsets, minute.path, minute.sold, minute.sizes, *minute.best)
            for offset, ticks, sold, size, bid_lots, ask_lots in zip(*(c.tolist() for c in columns), strict=True):
                now_ms = start_ms + offset
                while marks and marks[0] <= now_ms:
                    yield self._mark(marks.popleft(), mid_ticks)
                mid_ticks, bid = ticks, math.floor(ticks)
                sizes = self.qty(bid_lots), self.qty(ask_lots)
                last_id += IDS_A_MOVE
                if ladder is not None:
                    yield ladder.move(now_ms, bid, sizes, last_id)
                yield self._quote(now_ms, bid, sizes, last_id)
                price = self.price(bid if sold else bid + 1)
                yield TradeTick(s.symbol, now_ms, ns(now_ms), trade_id, price, self.qty(size), sold)
                trade_id += 1
            while marks:
                yield self._mark(marks.popleft(), mid_ticks)

    def lived(self, until_ms: int) -> list[Kline]:
        """The closed minutes of ``events`` up to *until_ms*, oldest first: the candles that their trades make."""
        walk, out = _Walk(self.settings), list[Kline]()
        last = self.price(round(self.settings.price / self._tick))
        while walk.start_ms + MINUTE_MS <= until_ms:
            open_ms = walk.start_ms
            minute = walk.minute()
            ticks = np.floor(minute.path) + ~minute.sold
            ends = (ticks[0], ticks.max(), ticks.min(), ticks[-1]) if len(ticks) else ()
            opened, high, low, last = [self.price(float(end)) for end in ends] or [last] * 4
            lots, bought = int(minute.sizes.sum()), int(minute.sizes[~minute.sold].sum())
            volume, taken = (round(count * self._lot, 8) for count in (lots, bought))
            trades = len(ticks)
            out.append(self._closed(open_ms, (opened, high, low, last), volume, taken, trades))
        return out

    def history(self, minutes: int = HISTORY_MINUTES) -> list[Kline]:
        """Closed minutes that end where ``events`` starts, oldest first; made from the same seed."""
        s = self.settings
        rng = np.random.default_rng([s.seed, 2])
        sigma = s.volatility / math.sqrt(SECONDS_A_YEAR / 60)
        back = np.cumsum(sigma * rng.standard_normal(minutes))[::-1]
        levels = s.price * np.exp(np.append(back, 0.0))  # minutes + 1 prices; the last is where the events start
        reach = np.exp(np.abs(sigma * 0.6 * rng.standard_normal((minutes, 2))))
        volume = s.trades_per_s * 60 * float(s.lot) * 41.0 * rng.lognormal(0.0, 0.4, minutes)
        taken = rng.beta(20, 20, minutes)
        return [
            self._minute(s.start_ms - (minutes - i) * MINUTE_MS, levels[i : i + 2], reach[i], volume[i], taken[i])
            for i in range(minutes)
        ]

    def price(self, ticks: float) -> float:
        return round(ticks * self._tick, self._places)

    def qty(self, lots: float) -> float:
        return round(lots * self._lot, self._qty_places)

    def _quote(self, now_ms: int, bid: int, sizes: tuple[float, float], last_id: int) -> BookTicker:
        bid_price, ask_price = self.price(bid), self.price(bid + 1)
        return BookTicker(self.settings.symbol, now_ms, ns(now_ms), last_id, bid_price, sizes[0], ask_price, sizes[1])

    def _mark(self, now_ms: int, mid_ticks: float) -> MarkPrice:
        due = (now_ms // FUNDING_MS + 1) * FUNDING_MS
        price = round(mid_ticks * self._tick, 8)
        return MarkPrice(self.settings.symbol, now_ms, ns(now_ms), price, price, self.settings.funding_rate, due)

    def _minute(
        self,
        open_ms: int,
        ends: np.typing.NDArray[np.float64],
        reach: np.typing.NDArray[np.float64],
        volume: float,
        taken: float,
    ) -> Kline:
        tick = self._tick
        first, last = (self.price(round(float(end) / tick)) for end in ends)
        high = self.price(math.ceil(max(first, last) * float(reach[0]) / tick))
        low = self.price(math.floor(min(first, last) / float(reach[1]) / tick))
        traded = self.qty(round(float(volume) / self._lot))
        count = round(self.settings.trades_per_s * 60)
        return self._closed(open_ms, (first, high, low, last), traded, traded * float(taken), count)

    def _closed(
        self, open_ms: int, prices: tuple[float, float, float, float], volume: float, taken: float, trades: int
    ) -> Kline:
        opened, high, low, close = prices
        return Kline(
            symbol=self.settings.symbol,
            time_ms=open_ms + MINUTE_MS,
            local_ns=ns(open_ms + MINUTE_MS),
            interval="1m",
            open_ms=open_ms,
            close_ms=open_ms + MINUTE_MS - 1,
            open=opened,
            high=high,
            low=low,
            close=close,
            volume=volume,
            quote_volume=volume * (opened + close) / 2,
            trades=trades,
            taker_buy_volume=taken,
            closed=True,
        )


class _Ladder:
    """A book of ``LEVELS`` prices a side, one tick apart, that follows the price. Levels are kept in ticks and lots.

    Every move takes ``IDS_A_MOVE`` update ids whatever it changes, so quotes have the same ids with and without it.
    """

    def __init__(self, sim: Simulation) -> None:
        self._sim = sim
        self._rng = np.random.default_rng([sim.settings.seed, 3])
        self._bids: dict[int, float] = {}
        self._asks: dict[int, float] = {}

    def snapshot(self, now_ms: int, bid: int, last_id: int) -> DepthSnapshot:
        first = self.move(now_ms, bid, (1.0, 1.0), last_id)
        bids, asks = tuple(sorted(first.bids, reverse=True)), tuple(sorted(first.asks))
        return DepthSnapshot(first.symbol, now_ms, ns(now_ms), last_id, bids, asks)

    def move(self, now_ms: int, bid: int, best: tuple[float, float], last_id: int) -> DepthUpdate:
        """The best bid is *bid* ticks now; levels out of reach go, new ones are drawn, *best* sizes are set."""
        bids = self._side(self._bids, range(bid - LEVELS + 1, bid + 1), bid, best[0])
        asks = self._side(self._asks, range(bid + 1, bid + LEVELS + 1), bid + 1, best[1])
        symbol, first_id = self._sim.settings.symbol, last_id - IDS_A_MOVE + 1
        return DepthUpdate(symbol, now_ms, ns(now_ms), first_id, last_id, bids, asks)

    def _side(self, levels: dict[int, float], reach: range, best: int, best_qty: float) -> tuple[Level, ...]:
        price, qty = self._sim.price, self._sim.qty
        gone = [ticks for ticks in levels if ticks not in reach]
        new = [ticks for ticks in reach if ticks not in levels]
        for ticks in gone:
            del levels[ticks]
        for ticks, lots in zip(new, self._rng.integers(1, 5_000, len(new)).tolist(), strict=True):
            levels[ticks] = qty(lots)
        levels[best] = best_qty
        changed = new if best in new else [*new, best]
        return (*((price(t), 0.0) for t in gone), *((price(t), levels[t]) for t in changed))


class SimFeed:
    """A simulation as a feed. It waits on *clock* for each event's time; without a clock it never waits.

    *until_ms*: where it ends (UTC milliseconds); None goes on for ever. *after*: who has heard it up to there is told
    what follows, and has the history that he would have.
    """

    def __init__(
        self,
        settings: SimSettings,
        subscriptions: Sequence[StreamRequest],
        clock: FeedClock | None = None,
        *,
        until_ms: int | None = None,
        after: Place | None = None,
    ) -> None:
        self.name = f"sim-{settings.seed}"
        self.counters = Counters()
        self._sim, self._clock, self._until_ms = Simulation(settings), clock, until_ms
        self._streams = {each.stream for each in subscriptions if each.symbol == settings.symbol}
        self._candles = {
            each.interval: CandleStream(settings.symbol, each.interval, close_after_ms=0)
            for each in subscriptions
            if each.stream == "kline" and each.symbol == settings.symbol
        }
        self._after = after
        self._begins_ms = settings.start_ms if after is None else after.ms

    async def events(self) -> AsyncIterator[Event]:
        began_ns = self._clock.monotonic_ns() if self._clock is not None else 0
        start_ns = ns(self._begins_ms)
        heard, before = Place(), self._after or Place()
        for count, event in enumerate(self._played()):
            now_ns = event.local_ns
            if self._until_ms is not None and now_ns >= ns(self._until_ms):
                return
            if now_ns < start_ns:
                self._told(event)  # candles are made of it, and who listens knows it
                continue
            if self._clock is not None:
                ahead_ns = now_ns - start_ns - (self._clock.monotonic_ns() - began_ns)
                if ahead_ns > 0:
                    await stride(self._clock, ahead_ns)
            elif count % 256 == 0:
                await asyncio.sleep(0)
            for told in self._told(event):
                heard.hear(now_ns // 1_000_000)
                if heard.ms != before.ms or heard.count > before.count:
                    self.counters.events += 1
                    yield told

    async def history(self, symbol: str, interval: str, limit: int) -> list[Kline]:
        if symbol != self._sim.settings.symbol:
            return []
        return [kline for kline in fold(self._known(), interval) if kline.closed][-limit:]

    def _known(self) -> list[Kline]:
        """All minutes that are closed where it begins; not kept, since a session asks for them at its start alone."""
        return [*self._sim.history(), *self._sim.lived(self._begins_ms)]

    def _played(self) -> Iterator[Event]:
        """From the beginning of the longest candle that is open where it begins, and a minute before at the least."""
        start_ms, steps = self._sim.settings.start_ms, [interval_ms(interval) for interval in self._candles]
        from_ms = min([self._begins_ms // step * step for step in steps] + [self._begins_ms - MINUTE_MS])
        from_ms = max(start_ms, from_ms // MINUTE_MS * MINUTE_MS)
        for interval, candles in self._candles.items():
            folded = fold([minute for minute in self._known() if minute.open_ms < from_ms], interval)
            if folded:
                candles.seed(folded[-1])
        return self._sim.events(depth="depth" in self._streams, from_ms=from_ms)

    async def filters(self, symbol: str) -> Filters:
        if symbol != self._sim.settings.symbol:
            raise DataError(f"{symbol}: this simulation trades {self._sim.settings.symbol}")
        return self._sim.filters()

    async def funding_terms(self, symbol: str) -> FundingTerms | None:
        return FundingTerms(FUNDING_MS, FUNDING_CAP, -FUNDING_CAP) if symbol == self._sim.settings.symbol else None

    async def aclose(self) -> None:
        """Nothing is held open."""

    def _told(self, event: Event) -> list[Event]:
        """The event if it is subscribed to, behind the candles it moves or closes."""
        out: list[Event] = []
        for candles in self._candles.values():
            if isinstance(event, TradeTick):
                out += candles.trade(event)
            else:
                out += candles.time(event.local_ns // 1_000_000, event.local_ns)
        if _STREAMS.get(type(event)) in self._streams:
            out.append(event)
        return out


_STREAMS: dict[type[Struct], str] = {
    TradeTick: "trade",
    BookTicker: "book_ticker",
    DepthSnapshot: "depth",
    DepthUpdate: "depth",
    MarkPrice: "mark_price",
}


def ns(ms: int) -> int:
    """Nanoseconds of *ms* milliseconds."""
    return ms * 1_000_000
