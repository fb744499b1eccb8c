"""events owns what the engine says while it runs: trades, episode scores, finished batches."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from maestro_protocol.base import Frozen, Line, Money, UtcMs
from maestro_protocol.config import Phase, Timeframe
from maestro_protocol.ids import Id, RunId
from maestro_protocol.messages.legacy_keys import Heard

Side = Literal["long", "short"]
ExitReason = Literal["stop", "target", "timeout", "end", "trailing_stop", "break_even"]
VolRegime = Literal["low", "mid", "high"]


class GateReadings(Frozen):
    """What each gate read on the bar of the signal; null where the data cannot tell."""

    cvd: float | None
    imb: float | None
    atrz: float | None
    vhf: float | None


class TradeEvent(Heard):
    """One closed trade, after all costs."""

    type: Literal["TradeEvent"] = "TradeEvent"
    ts: UtcMs
    """Open time of the bar in which the trade closed."""
    test_id: RunId
    episode_id: Id
    """The episode in which the trade closed."""
    tf: Timeframe
    phase: Phase
    side: Side
    reason: Line
    """The methods whose signal opened it."""
    entered_ts: UtcMs
    entry: float
    exit: float
    qty: float
    pnl: Money
    fees: Money
    mae: Money
    """Maximum adverse excursion, USD, <= 0."""
    mfe: Money
    """Maximum favourable excursion, USD, >= 0."""
    gates: GateReadings
    bars_held: int
    exit_reason: ExitReason
    blunder: bool


class ScoreEvent(Heard):
    """One micro-episode's result, after all costs. What is undefined is null."""

    type: Literal["ScoreEvent"] = "ScoreEvent"
    test_id: RunId
    episode_id: Id
    phase: Phase
    bars: int
    n_trades: int
    hit: float | None
    payoff: float | None
    total_pnl: Money
    maxdd: Money
    blunders: int
    score: float | None
    vol_regime: VolRegime | None


class BatchFinished(Frozen):
    """A batch of tests is done and kept; its digest lets a replay notice any difference."""

    type: Literal["BatchFinished"] = "BatchFinished"
    segment: int
    batch: int
    tests: tuple[RunId, ...]
    trades: int
    total_pnl: Money
    digest: str
    """SHA-256 over the tests' trade and score lines, in order."""
    reports: Annotated[str | None, Field(exclude_if=lambda digest: digest is None)] = None
    """SHA-256 over the tests' reports as canonical JSON, each with its episodes; null in journals of 0.1.0."""
