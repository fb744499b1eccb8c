"""report owns the final report of a session, as final_report.json keeps it."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from maestro_engine.session.evidence.metrics import LatencyFigures
from maestro_engine.session.safety.controls import Clearing

ARTIFACTS = ("events.jsonl", "metrics.json", "metrics.csv", "summary.html", "final_report.json", "state.json")
Status = Literal["completed", "failed", "held_back"]
"""``held_back``: a breaker that had tripped before it began kept every entry back until its end."""


class LimitUse(Struct, frozen=True):
    """A limit, what it allows, and the most of it that was taken at any heartbeat."""

    name: str
    most: Decimal
    allowed: Decimal


class FinalReport(Struct, frozen=True):
    """The end of a session. Money in quote currency, as text: ``net_pnl`` is ending minus starting, to the digit."""

    version: int
    run: str
    status: Status
    reason: str
    exit_code: int
    env: str
    source: str
    symbol: str
    methods: tuple[str, ...]
    planned_seconds: float
    duration_seconds: float
    error_count: int
    starting_equity: Decimal
    ending_equity: Decimal
    net_pnl: Decimal
    fees_total: Decimal
    funding_total: Decimal
    position: Decimal
    """What is still held: 0 unless it could not be closed."""
    trades: int
    wins: int
    losses: int
    orders: int
    fills: int
    rejects: int
    breakers: tuple[str, ...]
    """Those that were tripped at the end."""
    flat_ms: int | None
    """From the decision to end until flat; None when nothing was held then."""
    rss_mb_peak: float
    events: int
    disconnects: int
    restarts: int
    frame_to_decision: LatencyFigures
    processing: LatencyFigures
    order_to_fill: LatencyFigures
    feed: dict[str, object]
    """The feed's own counters."""
    digest: str
    """SHA-256 of the configuration without its duration."""
    cleared: tuple[Clearing, ...] = ()
    """What people cleared while it ran."""
    limits: tuple[LimitUse, ...] = ()
    assumed_price: Decimal | None = None
    """At which a position was assumed closed without a live market; None where every close was an execution."""
    refused_prices: dict[str, int] = {}
    """Prices and announcements that stood alone and moved nothing, by kind."""


def read_report(folder: Path) -> FinalReport | None:
    """The final report in *folder*; None where there is none that can be read."""
    try:
        return msgspec.json.decode((folder / "final_report.json").read_bytes(), type=FinalReport)
    except (OSError, msgspec.DecodeError):
        return None
