"""standing owns what a surface shows of a session at one moment: plain values, nothing that can be acted upon.

Money and prices in quote currency, quantities in base currency, exact (text in JSON); times UTC milliseconds of the
session's own time; None is unknown.
"""

from __future__ import annotations

from decimal import Decimal

from msgspec import Struct

from maestro_engine.feeds.port import Witness
from maestro_engine.session.evidence.metrics import LatencyFigures


class SessionRequest(Struct, frozen=True):
    """What the session was asked for."""

    run: str
    env: str
    source: str
    symbol: str
    interval: str
    methods: tuple[str, ...]
    quantity: Decimal
    planned_s: float


class Money(Struct, frozen=True):
    """The paper account. ``starting`` is the equity this session began with, ``margin`` what the position ties up."""

    starting: Decimal
    equity: Decimal
    cash: Decimal
    available: Decimal
    realised: Decimal
    unrealised: Decimal
    fees: Decimal
    funding: Decimal
    margin: Decimal
    leverage: Decimal | None
    liquidation: Decimal | None


class HeldLot(Struct, frozen=True):
    qty: Decimal
    price: Decimal
    at: int


class WorkingOrder(Struct, frozen=True):
    """``price`` is the limit, or the trigger of a stop."""

    id: str
    side: str
    type: str
    status: str
    qty: Decimal
    filled: Decimal
    price: Decimal | None
    reduce_only: bool
    at: int


class Use(Struct, frozen=True):
    """How much of a limit is taken; ``share`` is 1 where it is reached."""

    limit: str
    used: Decimal
    allowed: Decimal
    share: float


class Breaker(Struct, frozen=True):
    """``state`` is ``closed`` (all is well), ``tripped`` or ``open``."""

    name: str
    state: str
    detail: str = ""
    clearable_ms: int | None = None
    """Since when it is tripped, where a person may clear it."""


class Traffic(Struct, frozen=True):
    """Of the feed, since the start and a second; rates are of the real world's seconds, not the session's."""

    name: str
    frames: int
    events: int
    frames_per_s: float | None
    events_per_s: float | None
    duplicates: int
    late: int
    gaps: int
    lost: int
    connects: int
    backfilled: int
    rejected: int


class Standing(Struct, frozen=True):
    """One moment of a session."""

    asked: SessionRequest
    now: int
    elapsed_s: float
    entries_allowed: bool
    price: Decimal | None
    position: Decimal
    entry: Decimal | None
    money: Money
    lots: tuple[HeldLot, ...]
    orders: tuple[WorkingOrder, ...]
    trades: int
    wins: int
    losses: int
    fills: int
    rejects: int
    errors: int
    uses: tuple[Use, ...]
    breakers: tuple[Breaker, ...]
    kill_switch: str | None
    """What switched it on."""
    witnesses: tuple[Witness, ...]
    traffic: Traffic
    decision: LatencyFigures
    processing: LatencyFigures
    fill: LatencyFigures
    rss_mb: float
