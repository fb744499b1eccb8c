"""port owns the feed's port: market events, the feed protocol, and the clock every feed is given.

Events are frozen msgspec records. ``time_ms`` is the exchange's own stamp (UTC milliseconds; None where the
exchange puts none on that message), ``local_ns`` the receive time (UTC nanoseconds, never running backwards).
Prices are in quote currency, quantities in base currency, both floats: the shortest text of such a float is
the decimal the exchange sent (at most 15 significant digits), so exact money is made from ``repr``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal, Protocol, runtime_checkable

from msgspec import Struct

from maestro_protocol.errors import ParameterError

Level = tuple[float, float]
"""Price in quote currency and the quantity resting there in base currency; quantity 0 removes the level."""

State = Literal[
    "connecting",
    "connected",
    "disconnected",
    "reconnecting",
    "live",
    "stale",
    "quiet",
    "frozen",
    "gap",
    "unanswered",
    "garbage",
    "lost",
    "ended",
]
"""What a feed says about itself.

``stale``: a stream is silent and the other witnesses have not yet spoken. ``quiet``: silent because nothing
happens (REST agrees with the local view). ``frozen``: silent although REST has moved on; the feed reconnects.
``live``: it speaks again. ``gap``: messages are missing; after one of depth no update comes before a new
snapshot. ``unanswered``: REST did not answer a question, which is asked again.
``garbage``: frames were refused (told at the 1st, 2nd, 4th, 8th ... of a reason). ``lost``: the outage outlasted
the feed's patience, nothing more will come. ``ended``: a replay or simulation is over.
"""


class TradeTick(Struct, frozen=True, tag="trade", gc=False):
    """One execution. Trades that overtook each other on the way come as they arrive, none twice."""

    symbol: str
    time_ms: int
    local_ns: int
    trade_id: int
    price: float
    qty: float
    buyer_is_maker: bool
    """True when the taker sold."""


class BookTicker(Struct, frozen=True, tag="book_ticker", gc=False):
    """Best bid and ask; ``update_id`` never falls (None where the exchange numbers nothing)."""

    symbol: str
    time_ms: int | None
    local_ns: int
    update_id: int | None
    bid: float
    bid_qty: float
    ask: float
    ask_qty: float


class DepthSnapshot(Struct, frozen=True, tag="depth_snapshot"):
    """A whole order book: forget the old one. What follows chains on from ``last_id``."""

    symbol: str
    time_ms: int | None
    local_ns: int
    last_id: int
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]


class DepthUpdate(Struct, frozen=True, tag="depth_update"):
    """Changed levels; every update chains to the one before, or a snapshot comes between."""

    symbol: str
    time_ms: int
    local_ns: int
    first_id: int
    last_id: int
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]


class Kline(Struct, frozen=True, tag="kline", gc=False):
    """A candle covering ``[open_ms, close_ms]``; closed ones come once each, in order, without holes
    unless a ``gap`` status said so."""

    symbol: str
    time_ms: int
    local_ns: int
    interval: str
    open_ms: int
    close_ms: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    quote_volume: float | None
    trades: int | None
    taker_buy_volume: float | None
    closed: bool


class MarkPrice(Struct, frozen=True, tag="mark_price", gc=False):
    """Mark price of a perpetual, with the funding rate (a ratio, per interval) longs pay when it falls due."""

    symbol: str
    time_ms: int
    local_ns: int
    mark: float
    index: float | None
    funding_rate: float | None
    next_funding_ms: int | None


class Ticker(Struct, frozen=True, tag="ticker", gc=False):
    """Last traded price, from an exchange's 24-hour ticker."""

    symbol: str
    time_ms: int
    local_ns: int
    last: float


class FeedStatus(Struct, frozen=True, tag="status", gc=False):
    """Something about the feed itself; ``gap`` has the number missing and the times or ids on both sides."""

    local_ns: int
    state: State
    detail: str = ""
    symbol: str = ""
    stream: str = ""
    missing: int | None = None
    before: int | None = None
    after: int | None = None


Event = TradeTick | BookTicker | DepthSnapshot | DepthUpdate | Kline | MarkPrice | Ticker | FeedStatus
Stream = Literal["trade", "book_ticker", "depth", "kline", "mark_price", "ticker"]


class StreamRequest(Struct, frozen=True):
    """One stream of one symbol; ``interval`` for klines only (``1m``, ``5m`` ...)."""

    symbol: str
    stream: Stream
    interval: str = ""


class Filters(Struct, frozen=True):
    """The exchange's own filters: order prices are multiples of ``tick_size``, quantities of ``lot_step``."""

    symbol: str
    base: str
    quote: str
    tick_size: Decimal
    lot_step: Decimal
    min_qty: Decimal
    min_notional: Decimal
    """Smallest price times quantity, quote currency."""


class FundingTerms(Struct, frozen=True):
    """What an exchange states of a perpetual's funding: how often it is settled, and the largest rates either way."""

    interval_ms: int
    cap: float
    """Largest rate that longs pay, a ratio per interval."""
    floor: float
    """The largest that shorts pay, negative."""


class Witness(Struct, frozen=True):
    """What is known of whether one live stream still speaks: the age of its last frame, pings, and REST."""

    stream: str
    verdict: str
    """``live``, ``stale``, ``quiet``, ``frozen``, ``dead``; ``down`` while there is no connection."""
    frame_age_s: float | None = None
    pong_ms: float | None = None
    """Round trip of the last ping that was answered."""
    ping_s: float | None = None
    """How long a ping has waited for its answer; None when none does."""
    moved: bool | None = None
    """What REST said since the last frame: it has moved on, it has not, or nobody had to ask (None)."""


class FeedClock(Protocol):
    """Time, injected. ``now_ms`` is the wall clock (may jump), ``monotonic_ns`` never runs backwards."""

    def now_ms(self) -> int:
        """The wall clock, UTC milliseconds; it may jump."""
        ...

    def monotonic_ns(self) -> int:
        """Nanoseconds since any moment; never runs backwards."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait so many seconds of the monotonic clock."""
        ...


@dataclass(slots=True)
class Counters:
    """What a feed has done so far; the owner writes, everybody may read."""

    frames: int = 0
    events: int = 0
    duplicates: int = 0
    late: int = 0
    gaps: int = 0
    lost: int = 0
    """Trades and candles that were missing when a gap was told (candles may have been backfilled since)."""
    resyncs: int = 0
    """Order books built from a snapshot, the first included."""
    connects: int = 0
    backfilled: int = 0
    rejected: dict[str, int] = field(default_factory=dict[str, int])
    """Frames refused, by reason."""

    def reject(self, reason: str) -> int:
        """Count one refused frame; gives how many of that reason there are now."""
        self.rejected[reason] = count = self.rejected.get(reason, 0) + 1
        return count


class Feed(Protocol):
    """A source of market events. ``events`` is iterated once; leaving the iteration closes the feed."""

    @property
    def name(self) -> str:
        """The source, as a config names it."""
        ...

    @property
    def counters(self) -> Counters:
        """What the feed has done so far."""
        ...

    def events(self) -> AsyncIterator[Event]:
        """Market events in the order in which they came, until the feed is closed or its patience runs out."""
        ...

    async def history(self, symbol: str, interval: str, limit: int) -> list[Kline]:
        """The newest *limit* closed candles, oldest first; fewer when the source has no more."""
        ...

    async def filters(self, symbol: str) -> Filters:
        """Raises :class:`DataError` when the source does not know *symbol*."""
        ...

    async def funding_terms(self, symbol: str) -> FundingTerms | None:
        """None where the source does not state them for *symbol*. Raises :class:`DataError`."""
        ...

    async def aclose(self) -> None:
        """Close every connection; iterations of the events end."""
        ...


@runtime_checkable
class Witnessed(Protocol):
    """A feed that has witnesses of its streams; one of this machine needs none."""

    def witnesses(self) -> list[Witness]:
        """What is known of each stream now: quiet, frozen or dead."""
        ...


_UNITS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


class Place(Struct):
    """Where a listener is in a feed's events: he has heard *count* of those of the moment *ms* (UTC milliseconds)."""

    ms: int = 0
    count: int = 0

    def hear(self, ms: int) -> None:
        """One event on, which is of the moment *ms*."""
        self.count = self.count + 1 if ms == self.ms else 1
        self.ms = ms


def interval_ms(interval: str) -> int:
    """Length of ``1s``, ``1m``, ``4h``, ``1d`` ... in milliseconds. Raises :class:`ParameterError`."""
    number, unit = interval[:-1], interval[-1:]
    if unit not in _UNITS or not number.isdecimal() or not 0 < int(number) <= 1_000:
        raise ParameterError(f"interval {interval!r} is not a number of s, m, h or d, such as 1m or 4h")
    return int(number) * _UNITS[unit]
