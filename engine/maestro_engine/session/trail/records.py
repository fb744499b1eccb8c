"""records owns the lines of events.jsonl: one record a kind of event, named as auditors know them.

Every line has ``seq`` (from 1, without holes) and ``ts`` (the session's time, UTC milliseconds) besides.
Money, prices and quantities are decimals written as text, so that sums over a trail are exact.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Self

from msgspec import Struct

from maestro_engine.session.safety.controls import Clearing
from maestro_engine.trading.risk.guard import Trip


class Record(Struct, frozen=True, tag_field="event"):
    """Base of all lines. The tag is the class's name, or the one it gives."""


class SystemStartup(Record, frozen=True, tag="SYSTEM_STARTUP"):
    run: str
    mode: str
    config: dict[str, object]
    resumed: bool
    down_ms: int | None
    """How long nobody watched, after an interruption."""


class AmountConverted(Record, frozen=True):
    """A parameter that is an amount of money, *stated* for *declared_for* USD, at this session's size."""

    parameter: str
    stated: Decimal
    declared_for: Decimal
    notional: Decimal
    amount: Decimal
    distance_pct: float
    """From the last close, in percent of it."""
    reached_pct: float
    """Of the stretches of *within_bars* candles in the history, those in which price went so far."""
    within_bars: int


class SourceLacks(Record, frozen=True):
    """What the source of prices does not tell, so that it is not traded by: without funding, none is paid."""

    source: str
    what: tuple[str, ...]


class SystemState(Record, frozen=True):
    state: str
    detail: str = ""


class SystemShutdown(Record, frozen=True, tag="SYSTEM_SHUTDOWN"):
    reason: str
    exit_code: int
    flat_ms: int | None
    """From the decision to end until nothing was held any more; None when nothing was."""


class CandleClosed(Record, frozen=True):
    open_ms: int
    open: float
    high: float
    low: float
    close: float
    volume: float


class TickReceived(Record, frozen=True):
    """At most one a second; ``count`` are all that came since the last one."""

    price: Decimal
    count: int


class GapDetected(Record, frozen=True):
    missing_count: int
    prev_ts: int
    curr_ts: int
    stream: str
    backfilled: int


class OrderBookStale(Record, frozen=True, tag="ORDER_BOOK_STALE"):
    timeout: float
    last_msg: int


class FeedChanged(Record, frozen=True):
    state: str
    detail: str


class ProcessPaused(Record, frozen=True):
    """This process was away for so many seconds: stopped by a signal, or the machine was suspended."""

    seconds: float


class ClockJumped(Record, frozen=True):
    offset_ms: int


class TrailTorn(Record, frozen=True):
    """Lines that were told before an interruption are not in the file any more."""

    lost: int


class TrailSealed(Record, frozen=True):
    """The first line after a *part* was sealed: its digest as it was written, and what it told.

    The seal of each part is within the next one, so none can be altered, taken away or exchanged alone.
    """

    part: int
    sha256: str
    first_seq: int
    last_seq: int
    first_ms: int
    last_ms: int
    counts: dict[str, int]
    """Of its lines, by event."""


class TrailThinned(Record, frozen=True):
    """Told before lines of an old *part* are *dropped*: how many of which, and the digest of what stays."""

    part: int
    sha256: str
    dropped: dict[str, int]
    longest_gap_s: float
    """Between two of its heartbeats, before any were dropped; but for pauses of the process."""


class PositionAdopted(Record, frozen=True):
    position: Decimal
    lots: int
    open_orders: int
    policy: str


class PositionKept(Record, frozen=True):
    """The session ends with *position*, for want of a live market or because its owner said so (``on_disk_full``).

    The next start closes it at its first live price.
    """

    position: Decimal
    price: Decimal | None
    """What it is valued at."""
    quote_age_s: float | None
    """How old the newest quote is; null where there never was one."""


class PositionAssumedClosed(Record, frozen=True):
    """Closed in the books alone, as the owner chose: no execution, but *price*, worse than the last one known."""

    position: Decimal
    price: Decimal
    quote_age_s: float | None


class EntryDecided(Record, frozen=True):
    """Why the entry just sent was sent; what each gate read at its close, null where the data cannot tell."""

    client_order_id: str
    methods: tuple[str, ...]
    loss: Decimal
    """What the trade may lose by its plan: to its stop, both sides' fees included."""
    cvd: float
    imb: float
    atrz: float
    vhf: float


class OrderSubmitted(Record, frozen=True):
    client_order_id: str
    side: str
    type: str
    qty: Decimal
    price: Decimal | None
    reduce_only: bool
    purpose: str
    """``entry``, ``stop``, ``target`` or ``exit``; trails of 0.1.0 do not tell."""


class OrderRejected(Record, frozen=True):
    reason: str
    client_order_id: str
    side: str
    qty: Decimal
    detail: str
    value: Decimal | None


class OrderClosed(Record, frozen=True):
    """An order that ended otherwise than by filling."""

    client_order_id: str
    status: str
    filled: Decimal
    detail: str


class ExecutionFill(Record, frozen=True):
    side: str
    price: Decimal
    qty: Decimal
    fees: Decimal
    at: int
    client_order_id: str
    fill_id: str
    liquidity: str


class ExecutionExit(Record, frozen=True):
    reason: str
    price: Decimal
    pnl: Decimal
    """Net of the whole trade, flat to flat: fees and funding included."""


class MarginBrackets(Record, frozen=True):
    """Which maintenance brackets are in force, and where from: ``told``, ``published``, or ``guessed`` with care."""

    source: str
    brackets: tuple[tuple[Decimal, Decimal], ...]
    """Floor of the notional, quote currency, and rate."""


class FundingKnown(Record, frozen=True):
    """What announcements of funding are held against, and whether the exchange states it (``told``) or the
    ``table`` does, and *why* then."""

    source: str
    shortest_ms: int
    longest_ms: int
    cap: float
    floor: float
    why: str = ""


class FundingPaid(Record, frozen=True):
    rate: Decimal
    mark: Decimal
    received: Decimal
    """Negative when it was paid."""
    due_ms: int


class FundingRefused(Record, frozen=True):
    """An announcement of funding that cannot be true: *why*; told at the 1st, 2nd, 4th, 8th ... of them."""

    why: str
    count: int


class PriceRefused(Record, frozen=True):
    """A price that stands alone among those of its source, and moved nothing; told like :class:`FundingRefused`."""

    kind: str
    price: float
    against: float | None
    """What it was held against: the mark price, a quote's middle; of a spread the middle."""
    count: int


class ValuedBy(Record, frozen=True):
    """From here on what is held is valued, and its limits are watched, by the exchange's ``mark_price``, by the
    ``quote_mid`` (the source has no mark price, or it is old), or by the ``last_price`` known."""

    basis: str


class CircuitBreakerTripped(Record, frozen=True):
    reason: str
    detail: str


class CircuitBreakerRestored(Record, frozen=True):
    """Tripped before this start, since *tripped_ms*, and still tripped."""

    reason: str
    detail: str
    tripped_ms: int


class CircuitBreakerCleared(Record, frozen=True):
    """A person allows entries again after *detail*, which is since *tripped_ms*; he asked at *asked_ms*."""

    reason: str
    detail: str
    tripped_ms: int
    who: str
    why: str
    asked_ms: int

    @classmethod
    def of(cls, asked: Clearing, trip: Trip) -> Self:
        return cls(trip.breaker, trip.detail, trip.at, asked.who, asked.why, asked.asked_ms)


class ClearingRefused(Record, frozen=True):
    """Somebody wanted to clear what is not, or not any more, as he saw it."""

    reason: str
    who: str
    detail: str


class KillSwitchActivated(Record, frozen=True):
    source: str


class ErrorCounted(Record, frozen=True):
    what: str
    count: int


class AsyncHeartbeat(Record, frozen=True):
    """``equity`` is cash and ``pos`` times ``price``, to the last digit."""

    price: Decimal | None
    """What values the position, see :class:`ValuedBy`."""
    pos: Decimal
    equity: Decimal
    unrealized: Decimal
    elapsed: float


BINDING = (
    EntryDecided,
    OrderSubmitted,
    OrderRejected,
    OrderClosed,
    ExecutionFill,
    ExecutionExit,
    FundingPaid,
    CircuitBreakerTripped,
    CircuitBreakerCleared,
    KillSwitchActivated,
    PositionAdopted,
    PositionKept,
    PositionAssumedClosed,
    TrailSealed,
    TrailThinned,
)
"""What must not be told unless the state that knows it is saved, nor be saved and not told."""
