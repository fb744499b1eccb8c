"""evidence owns what the judge knows on its way to the verdict: of the search, and of each finalist on a stretch."""

from __future__ import annotations

from dataclasses import dataclass

from maestro_engine.backtest import Records
from maestro_engine.data.bars import Floats
from maestro_engine.inference.statistics.bootstrap import Intervals
from maestro_engine.inference.statistics.effective import EffectiveTrials
from maestro_engine.inference.statistics.null import NullTest
from maestro_engine.inference.statistics.pbo import Overfitting
from maestro_engine.inference.statistics.sharpe import Deflated, Moments
from maestro_protocol.config import RunConfig
from maestro_protocol.messages.report import Metrics


@dataclass(frozen=True, eq=False)
class Null:
    """A Sharpe per period beside those of random agents; one that did nothing counts as 0."""

    observed: float | None
    values: Floats
    test: NullTest | None


@dataclass(frozen=True, eq=False)
class CandidateStats:
    """One finalist on one stretch."""

    config: RunConfig
    metrics: Metrics
    pnl: Floats
    moments: Moments
    null: Null
    trades: int
    records: Records
    """Its trades, TRADE rows in order of time."""
    intervals: Intervals | None = None
    """Of the sealed part alone."""
    deflated: Deflated | None = None
    """Against the best of as many trials without skill."""
    published: float | None = None
    """Deflated by the published formula, with the variance of the trials' own Sharpe ratios."""


@dataclass(frozen=True, eq=False)
class OpenEvidence:
    """What the open part said: of the search as a whole, and of each finalist."""

    ran: int
    counted: int
    effective: EffectiveTrials | None
    expected_maximum: float | None
    """Per period."""
    overfitting: Overfitting | None
    trial_sharpes: Floats
    finalists: tuple[CandidateStats, ...]

    @property
    def effective_count(self) -> float | None:
        """Independent trials, those that never ran (rejected, crashed) counted in the same proportion."""
        if self.effective is None or self.ran == 0:
            return None
        return self.effective.effective * max(self.counted, self.ran) / self.ran
