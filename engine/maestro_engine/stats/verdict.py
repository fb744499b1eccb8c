"""verdict owns the answer a campaign ends with: SURVIVES, DOES NOT SURVIVE or NOT ENOUGH EVIDENCE.

**What has to be shown.** A finalist survives when it earned money on the *sealed* data, more than random
entries with the same exits did, and that is unlikely to be luck although several finalists were tried.

**The error budget.** At most ``alpha`` = 5 % of campaigns on noise may say SURVIVES. Each finalist gets one
p-value from two doors that share the budget (weighted Bonferroni), and Holm's step-down method (Scandinavian
Journal of Statistics 6, 1979) corrects for the number of finalists:

- *sealed* (share 0.8): "the sealed mean is not above 0" and "no better than random entries there" must both be
  rejected (an intersection-union test, so neither costs the other anything). Nothing of the search has touched
  these data: this door keeps its level whatever agents, analyzer or deflation got wrong.
- *joint* (share 0.2): research and sealed evidence together, by Stouffer's method with the roots of the periods
  as weights. Research enters as the deflated Sharpe ratio, which already pays for every trial. In addition the
  sealed data alone, uncorrected, must reach ``confirm`` = 5 % on both of its tests.

**Why two doors.** Sealed data are a fifth of all data, so alone they miss real edges; deflated research evidence is
four times as long but rests on the count of trials. Simulated with 5 finalists out of 100 correlated trials,
400 research and 100 sealed days, an edge of 0.2 a day in one family of ten: power 0.57 for Holm on the sealed
door alone, 0.71 with both; on noise 2.6 % survive (3.0 % with the one door), and still 2.7 % when the deflation
threshold is a whole standard error too low. Neither DSR nor PBO has to pass a line of its own: that would cost
power and buy nothing, since the sealed door needs neither.

**Calibration** of the whole, from returns to sentence (``tests/engine/stats/test_verdict.py``: skewed, fat-tailed
returns of 100 correlated trials, 200 research and 50 sealed days, 200 random agents): of 1,000 searches through
noise 0.8 % survive, 88.5 % do not, 10.7 % are left open. With a daily Sharpe of 0.2, 0.3, 0.4 and 0.5 in one
family of ten 30 %, 62 %, 89 % and 98 % survive.

**What contradicts.** PBO at 0.5 or more says the search's choice among its trials is no better than a coin. That is
damning when the chosen also lose out of sample, and harmless when all trials share one edge: their ranks are
noise then, their profit is not. So it vetoes only together with a chance of loss of 0.5 or more.

**No, or not yet.** Without proof, a finalist does not survive when the sealed data lost money, when half of the
random agents did better, when the search found no more than luck finds (deflated Sharpe below 0.5) and the
sealed data do not contradict that, or when its sealed edge is so small that more than ``patience`` times the
sealed data would be needed. What is left is not enough evidence, with the sample that would decide: the
periods after which an edge of the observed sealed size is shown with probability ``power``. Thin data (few
trades or periods, a missing statistic) is never a no. The campaign's answer is that of its best finalist.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import NormalDist

from maestro_engine.stats.power import periods_needed
from maestro_protocol.errors import UsageError

_NORMAL = NormalDist()
_TINY = 1e-12


class Answer(StrEnum):
    """The three answers; nothing in between, nothing beyond."""

    SURVIVES = "SURVIVES"
    DOES_NOT_SURVIVE = "DOES NOT SURVIVE"
    NOT_ENOUGH_EVIDENCE = "NOT ENOUGH EVIDENCE"


class Reason(StrEnum):
    """What decided about a finalist."""

    PROVEN = "proven"
    NO_FINALIST = "no_finalist"
    THIN = "thin"
    MISSING = "missing"
    LOST = "lost"
    RANDOM = "random"
    OVERFIT = "overfit"
    LUCK = "luck"
    TOO_SMALL = "too_small"
    UNPROVEN = "unproven"


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The standards of proof; defaults as argued above."""

    alpha: float = 0.05
    sealed_share: float = 0.8
    confirm: float = 0.05
    power: float = 0.8
    patience: float = 10.0
    min_trades: int = 30
    min_periods: int = 30
    max_pbo: float = 0.5
    max_loss: float = 0.5

    def __post_init__(self) -> None:
        if not 0.0 < self.alpha < 0.5 or not 0.0 < self.sealed_share <= 1.0 or self.min_periods < 2:
            raise UsageError("verdict: needs 0 < alpha < 0.5, 0 < sealed_share <= 1 and min_periods >= 2")


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of one finalist; None is unknown. Sealed values are of the holdout, opened once.

    ``sealed_p``: one-sided, of "the sealed mean is not above 0" (``bootstrap.positive_mean_p``).
    ``null_p``: of the sealed result among random entries with the same exits and exposure (``null.null_test``).
    ``sealed_sharpe``: per period. ``dsr``: deflated Sharpe ratio over the research periods.
    """

    finalist: str
    sealed_periods: int
    sealed_trades: int
    sealed_sharpe: float | None
    sealed_p: float | None
    null_p: float | None
    research_periods: int
    dsr: float | None


@dataclass(frozen=True, slots=True)
class Search:
    """What is known of the search as a whole: PBO and the chance that its choice loses out of sample."""

    pbo: float | None
    loss: float | None


@dataclass(frozen=True, slots=True)
class Finding:
    """The answer for one finalist. ``p`` is corrected for both doors, ``adjusted_p`` for all finalists too."""

    finalist: str
    answer: Answer
    reason: Reason
    text: str
    p: float | None
    adjusted_p: float | None
    periods_needed: int | None = None
    """Sealed periods in all, not in addition."""
    trades_needed: int | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """The campaign's answer, the finding it rests on (None without finalists) and one sentence in plain words."""

    answer: Answer
    sentence: str
    decisive: Finding | None
    findings: tuple[Finding, ...]
    alpha: float


def decide(finalists: Sequence[Evidence], search: Search, thresholds: Thresholds | None = None) -> Verdict:
    """The verdict over ``finalists`` (usually five, best first). Pure: same evidence, same verdict."""
    bars = thresholds or Thresholds()
    ps = [combined_p(e, bars) for e in finalists]
    adjusted = holm([1.0 if p is None else p for p in ps])
    findings = tuple(
        _finding(e, search, bars, p, None if p is None else a, len(finalists))
        for e, p, a in zip(finalists, ps, adjusted, strict=True)
    )
    order = (Answer.SURVIVES, Answer.NOT_ENOUGH_EVIDENCE, Answer.DOES_NOT_SURVIVE)
    ranked = sorted(findings, key=lambda f: (order.index(f.answer), 1.0 if f.adjusted_p is None else f.adjusted_p))
    decisive = ranked[0] if ranked else None
    answer = decisive.answer if decisive else Answer.DOES_NOT_SURVIVE
    return Verdict(answer, _sentence(decisive, findings, bars), decisive, findings, bars.alpha)


def holm(ps: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values, in the order given: reject those at or below the family's level."""
    adjusted = [1.0] * len(ps)
    worst = 0.0
    for rank, i in enumerate(sorted(range(len(ps)), key=lambda i: ps[i])):
        worst = max(worst, min(1.0, (len(ps) - rank) * ps[i]))
        adjusted[i] = worst
    return adjusted


def combined_p(evidence: Evidence, thresholds: Thresholds) -> float | None:
    """One p-value of a finalist from both doors; None when a sealed test is missing or its data are thin."""
    e, share = evidence, thresholds.sealed_share
    if e.sealed_p is None or e.null_p is None or _thin(e, thresholds):
        return None
    best = max(e.sealed_p / share, e.null_p)
    confirmed = max(e.sealed_p, e.null_p) <= thresholds.confirm
    if e.dsr is not None and confirmed and share < 1.0:
        best = min(best, _joint_p(e, e.sealed_p, e.dsr) / (1.0 - share))
    return min(1.0, best)


def _joint_p(e: Evidence, sealed_p: float, dsr: float) -> float:
    """Stouffer's combination of deflated research and sealed evidence, weighted by the roots of their periods."""
    research, sealed = _quantile(dsr), _quantile(1.0 - sealed_p)
    total = e.research_periods + e.sealed_periods
    z = (math.sqrt(e.research_periods) * research + math.sqrt(e.sealed_periods) * sealed) / math.sqrt(total)
    return 1.0 - _NORMAL.cdf(z)


def _quantile(p: float) -> float:
    return _NORMAL.inv_cdf(min(max(p, _TINY), 1.0 - _TINY))


def _thin(e: Evidence, bars: Thresholds) -> bool:
    return e.sealed_trades < bars.min_trades or e.sealed_periods < bars.min_periods


def _finding(
    e: Evidence, search: Search, bars: Thresholds, p: float | None, adjusted: float | None, finalists: int
) -> Finding:
    """Why this finalist survives, does not, or cannot be judged: the first rule that holds decides."""
    if _thin(e, bars):
        return _thin_finding(e, bars)
    if e.sealed_p is None or e.null_p is None or e.sealed_sharpe is None or adjusted is None:
        lacking = "no null model was run" if e.sealed_p is not None else "its sealed results do not vary"
        return Finding(e.finalist, Answer.NOT_ENOUGH_EVIDENCE, Reason.MISSING, lacking, p, adjusted)
    against = _against(e, search, bars, e.sealed_sharpe, e.sealed_p, e.null_p)
    if against is not None:
        return Finding(e.finalist, Answer.DOES_NOT_SURVIVE, against[0], against[1], p, adjusted)
    if adjusted <= bars.alpha:
        text = "it earned money on data the search never saw, more than luck or random entries explain"
        return Finding(e.finalist, Answer.SURVIVES, Reason.PROVEN, text, p, adjusted)
    return _unproven(e, bars, e.sealed_sharpe, p, adjusted, finalists)


def _against(
    e: Evidence, search: Search, bars: Thresholds, sealed_sharpe: float, sealed_p: float, null_p: float
) -> tuple[Reason, str] | None:
    """The first thing that speaks against an edge rather than only failing to show one."""
    if sealed_sharpe <= 0.0:
        return Reason.LOST, "it lost money on data the search never saw"
    if null_p > 0.5:
        return Reason.RANDOM, "entering at random with the same exits did better more often than not"
    if (
        search.pbo is not None
        and search.loss is not None
        and search.pbo >= bars.max_pbo
        and search.loss >= bars.max_loss
    ):
        return Reason.OVERFIT, "what the search picked on one half of its data mostly lost money on the other half"
    if e.dsr is not None and e.dsr < 0.5 and max(sealed_p, null_p) > bars.confirm:
        return Reason.LUCK, "the search found no more than the best of as many random tries would show"
    return None


def _unproven(
    e: Evidence, bars: Thresholds, sealed_sharpe: float, p: float | None, adjusted: float, finalists: int
) -> Finding:
    """Not proven and not contradicted: how much more would decide, and is that worth waiting for?"""
    level = bars.alpha * bars.sealed_share / finalists
    periods = periods_needed(sealed_sharpe, level, bars.power)
    if periods is None or periods > bars.patience * e.sealed_periods:
        text = f"its edge on data the search never saw is too small to show within {bars.patience:g} times those data"
        return Finding(e.finalist, Answer.DOES_NOT_SURVIVE, Reason.TOO_SMALL, text, p, adjusted, periods)
    # An observed edge large enough has failed elsewhere (null model): it needs more than it has all the same.
    periods = max(periods, e.sealed_periods + 1)
    text = "it earned money on data the search never saw, but luck is not ruled out"
    trades = math.ceil(periods * e.sealed_trades / e.sealed_periods)
    return Finding(e.finalist, Answer.NOT_ENOUGH_EVIDENCE, Reason.UNPROVEN, text, p, adjusted, periods, trades)


def _thin_finding(e: Evidence, bars: Thresholds) -> Finding:
    """Too little sealed data: the sample at which its rate of trading reaches the minimum."""
    text = (
        f"only {e.sealed_trades} trades in {e.sealed_periods} periods the search never saw; "
        f"at least {bars.min_trades} trades and {bars.min_periods} periods are needed"
    )
    pace = e.sealed_trades / e.sealed_periods if e.sealed_periods > 0 else 0.0
    periods = max(bars.min_periods, math.ceil(bars.min_trades / pace)) if pace > 0.0 else None
    trades = None if periods is None else max(bars.min_trades, math.ceil(periods * pace))
    return Finding(e.finalist, Answer.NOT_ENOUGH_EVIDENCE, Reason.THIN, text, None, None, periods, trades)


def _sentence(decisive: Finding | None, findings: Sequence[Finding], bars: Thresholds) -> str:
    """One sentence for a reader who knows no statistics."""
    if decisive is None:
        return "Nothing survives: the search named no finalist."
    survivors = [f.finalist for f in findings if f.answer is Answer.SURVIVES]
    chance = f"fewer than {100 * bars.alpha:.2g}% of searches through pure noise get this far"
    if len(survivors) == 1:
        return f"{survivors[0]} survives: {decisive.text}; {chance}."
    if survivors:
        text = decisive.text.replace("it earned", "they earned")
        return f"{len(survivors)} of {len(findings)} finalists survive ({', '.join(survivors)}): {text}; {chance}."
    if decisive.answer is Answer.DOES_NOT_SURVIVE:
        return f"Nothing survives; the best finalist was {decisive.finalist}: {decisive.text}."
    return f"Not enough evidence for {decisive.finalist}: {decisive.text}{_sample(decisive)}."


def _sample(finding: Finding) -> str:
    if finding.periods_needed is None:
        return ""
    trades = "" if finding.trades_needed is None else f" (about {finding.trades_needed:,} trades)"
    return f"; about {finding.periods_needed:,} sealed periods{trades} would decide"
