"""standards owns what a verdict is made of: the standards of proof, and what is known of finalists and search."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from maestro_protocol.errors import UsageError

DAY_MS = 86_400_000
YEAR_MS = 365 * DAY_MS


class VerdictAnswer(StrEnum):
    """The three answers; nothing in between, nothing beyond."""

    SURVIVES = "SURVIVES"
    DOES_NOT_SURVIVE = "DOES NOT SURVIVE"
    NOT_ENOUGH_EVIDENCE = "NOT ENOUGH EVIDENCE"


class Reason(StrEnum):
    """What decided about a finalist."""

    PROVEN = "proven"
    NO_FINALIST = "no_finalist"
    NOT_WORTH_IT = "not_worth_it"
    THIN = "thin"
    MISSING = "missing"
    LOST = "lost"
    LOST_OPEN = "lost_open"
    RANDOM = "random"
    OVERFIT = "overfit"
    LUCK = "luck"
    UNPROVEN = "unproven"


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The standards of proof; defaults as argued above."""

    alpha: float = 0.05
    sealed_share: float = 0.8
    confirm: float = 0.05
    power: float = 0.8
    min_trades: int = 30
    min_periods: int = 30
    max_pbo: float = 0.5
    max_loss: float = 0.5
    luck: float = 0.5
    """Deflated Sharpe ratio below which the search found no more than luck finds."""
    worth: float = 0.5
    """Annualised Sharpe ratio after costs below which an edge is not worth trading: what holding an index paid."""
    good: float = 2.0
    """Annualised Sharpe ratio of the edge whose power is stated where none was observed."""
    period_ms: int = DAY_MS
    """Length of the periods that Sharpe ratios and counts are of."""

    def __post_init__(self) -> None:
        if not 0.0 < self.alpha < 0.5 or not 0.0 < self.sealed_share <= 1.0 or self.min_periods < 2:
            raise UsageError("verdict: needs 0 < alpha < 0.5, 0 < sealed_share <= 1 and min_periods >= 2")

    @property
    def year(self) -> float:
        """Root of the periods in a year: what makes a Sharpe ratio per period an annual one."""
        return math.sqrt(YEAR_MS / self.period_ms)

    def span(self, periods: int) -> str:
        """So many periods in words, with their length."""
        if self.period_ms == DAY_MS:
            return f"{periods:,} days"
        hours = self.period_ms / 3_600_000
        return f"{periods:,} periods of {hours:g} hour{'' if hours == 1 else 's'}"

    def days(self, periods: int) -> str:
        """So many periods in whole days, rounded up."""
        return f"{-(-periods * self.period_ms // DAY_MS):,} days"


@dataclass(frozen=True, slots=True)
class FinalistEvidence:
    """What is known of one finalist; None is unknown. Sealed values are of the holdout, research ones of the rest.

    ``sealed_p``: one-sided, of "the sealed mean is not above 0" (``bootstrap.positive_mean_p``).
    ``null_p``: of the sealed result among random entries with the same exits and exposure (``null.null_test``);
    ``research_null_p``: of the open one. Sharpe ratios are per period. ``dsr``: deflated Sharpe ratio over the
    research periods. ``upper``: upper 95 % bound of the Sharpe ratio over both parts (``bootstrap.sharpe_upper``).
    PnL is in USD after costs and is only told.
    """

    finalist: str
    sealed_periods: int
    sealed_trades: int
    sealed_sharpe: float | None
    sealed_p: float | None
    null_p: float | None
    research_periods: int
    dsr: float | None
    research_trades: int
    research_sharpe: float | None
    research_null_p: float | None
    upper: float | None
    research_pnl: float | None = None
    sealed_pnl: float | None = None

    @property
    def earned_open(self) -> bool:
        return self.research_sharpe is not None and self.research_sharpe > 0.0

    @property
    def earned_sealed(self) -> bool:
        return self.sealed_sharpe is not None and self.sealed_sharpe > 0.0


@dataclass(frozen=True, slots=True)
class Search:
    """What is known of the search as a whole: PBO and the chance that its choice loses out of sample."""

    pbo: float | None
    loss: float | None


@dataclass(frozen=True, slots=True)
class SampleSize:
    """Sealed data, in periods in all, that it would take."""

    edge: float
    """Annualised Sharpe ratio whose power is stated,"""
    observed: bool
    """the sealed part's own or one that is only named,"""
    periods: int
    """and the periods after which it is shown with the stated probability."""
    trades: int
    """At the sealed part's pace of trading."""
    least: int | None = None
    """Periods at which its pace of trading reaches what can be judged at all; None where it has that."""
    least_trades: int | None = None
