"""verdict owns the answer a campaign ends with: SURVIVES, DOES NOT SURVIVE or NOT ENOUGH EVIDENCE.

**Evidence for.** A finalist survives when it earned money on the *sealed* data, more than random entries with the
same exits did, that is unlikely to be luck although several finalists were tried, *and* the open part says the
same: it earned there after costs, not less than the best of as many tries without skill would show (deflated Sharpe
ratio of a half and more), not less than half of the random entries, and the search's choice is no coin (below).
What the search did not find cannot survive it.

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
threshold is a whole standard error too low.

**The choice is no coin.** PBO at 0.5 or more says the search's choice among its trials is no better than a coin.
That is damning when the chosen also lose out of sample, and harmless when all trials share one edge: their ranks are
noise then, their profit is not. So it stands in the way only together with a chance of loss of 0.5 or more.

**Evidence against.** A finalist does not survive when its edge after costs over both parts, with all that chance may
have taken from it, is below what would be worth trading: the upper 95 % bound of its Sharpe ratio
(``bootstrap.sharpe_upper``) is below ``worth``. The open part flatters whom the search chose, which makes this no
harder to say than promised and only rarer. One that earned on both parts and beat random entries is not denied.
The campaign's answer is a no when that holds of *every* finalist, which needs no correction for their number.

**Neither.** All else is not enough evidence, with what the two parts said, the least sample that can be judged where
it has less, and the sealed data after which an edge of a stated size is shown with probability ``power``. The
campaign's answer is that of its best finalist; without a finalist nothing was put to the test, which is no evidence.

How often each answer is given on noise, on shuffled bars and with planted edges: README, `maestro study calibration`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

from maestro_engine.inference.statistics.power import periods_needed
from maestro_engine.inference.statistics.standards import (
    FinalistEvidence,
    Reason,
    SampleSize,
    Search,
    Thresholds,
    VerdictAnswer,
)

_NORMAL = NormalDist()
_TINY = 1e-12
PROOF = (
    "it earned money on the data that were searched, and again on data the search never saw, more than luck or "
    "random entries explain"
)
BEATEN = "entering at random with the same exits did better more often than not"


@dataclass(frozen=True, slots=True)
class FinalistRuling:
    """The answer for one finalist. ``p`` is corrected for both doors, ``adjusted_p`` for all finalists too."""

    finalist: str
    answer: VerdictAnswer
    reason: Reason
    text: str
    p: float | None
    adjusted_p: float | None
    needed: SampleSize | None = None


@dataclass(frozen=True, slots=True)
class Ruling:
    """The campaign's answer, the finding it rests on (None without finalists) and one sentence in plain words."""

    answer: VerdictAnswer
    sentence: str
    decisive: FinalistRuling | None
    findings: tuple[FinalistRuling, ...]
    alpha: float
    needed: str = ""
    """What it would take to decide, in words; empty where it is decided or nothing can be said."""


def decide(finalists: Sequence[FinalistEvidence], search: Search, thresholds: Thresholds | None = None) -> Ruling:
    """The verdict over ``finalists`` (usually five, best first). Pure: same evidence, same verdict."""
    bars = thresholds or Thresholds()
    ps = [combined_p(e, bars) for e in finalists]
    adjusted = holm([1.0 if p is None else p for p in ps])
    findings = tuple(
        _finding(e, search, bars, p, None if p is None else a, len(finalists))
        for e, p, a in zip(finalists, ps, adjusted, strict=True)
    )
    order = (VerdictAnswer.SURVIVES, VerdictAnswer.NOT_ENOUGH_EVIDENCE, VerdictAnswer.DOES_NOT_SURVIVE)
    ranked = sorted(findings, key=lambda f: (order.index(f.answer), 1.0 if f.adjusted_p is None else f.adjusted_p))
    decisive = ranked[0] if ranked else None
    answer = decisive.answer if decisive else VerdictAnswer.NOT_ENOUGH_EVIDENCE
    needed = "" if decisive is None or decisive.needed is None else in_words(decisive.needed, bars)
    return Ruling(answer, _sentence(decisive, findings, bars), decisive, findings, bars.alpha, needed)


def holm(ps: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values, in the order given: reject those at or below the family's level."""
    adjusted = [1.0] * len(ps)
    worst = 0.0
    for rank, i in enumerate(sorted(range(len(ps)), key=lambda i: ps[i])):
        worst = max(worst, min(1.0, (len(ps) - rank) * ps[i]))
        adjusted[i] = worst
    return adjusted


def combined_p(evidence: FinalistEvidence, thresholds: Thresholds) -> float | None:
    """One p-value of a finalist from both doors; None when a sealed test is missing or its data are thin."""
    e, share = evidence, thresholds.sealed_share
    if e.sealed_p is None or e.null_p is None or _thin(e, thresholds):
        return None
    best = max(e.sealed_p / share, e.null_p)
    confirmed = max(e.sealed_p, e.null_p) <= thresholds.confirm
    if e.dsr is not None and confirmed and share < 1.0:
        best = min(best, _joint_p(e, e.sealed_p, e.dsr) / (1.0 - share))
    return min(1.0, best)


def _joint_p(e: FinalistEvidence, sealed_p: float, dsr: float) -> float:
    """Stouffer's combination of deflated research and sealed evidence, weighted by the roots of their periods."""
    research, sealed = _quantile(dsr), _quantile(1.0 - sealed_p)
    total = e.research_periods + e.sealed_periods
    z = (math.sqrt(e.research_periods) * research + math.sqrt(e.sealed_periods) * sealed) / math.sqrt(total)
    return 1.0 - _NORMAL.cdf(z)


def _quantile(p: float) -> float:
    return _NORMAL.inv_cdf(min(max(p, _TINY), 1.0 - _TINY))


def _thin(e: FinalistEvidence, bars: Thresholds) -> bool:
    return e.sealed_trades < bars.min_trades or e.sealed_periods < bars.min_periods


def _finding(
    e: FinalistEvidence, search: Search, bars: Thresholds, p: float | None, adjusted: float | None, finalists: int
) -> FinalistRuling:
    """Why this finalist survives, does not, or cannot be judged."""
    if _not_worth_it(e, bars):
        text = f"{_halves(e)}: {_bound(e, bars)}"
        return FinalistRuling(e.finalist, VerdictAnswer.DOES_NOT_SURVIVE, Reason.NOT_WORTH_IT, text, p, adjusted)
    proven = adjusted is not None and adjusted <= bars.alpha
    lacking = _lacking(e, search, bars, proven)
    if lacking is None and proven:
        return FinalistRuling(e.finalist, VerdictAnswer.SURVIVES, Reason.PROVEN, PROOF, p, adjusted)
    reason, why = lacking or (Reason.UNPROVEN, "luck is not ruled out")
    needed = None if proven else _needed(e, bars, finalists)
    return FinalistRuling(
        e.finalist, VerdictAnswer.NOT_ENOUGH_EVIDENCE, reason, f"{_halves(e)}: {why}", p, adjusted, needed
    )


def _not_worth_it(e: FinalistEvidence, bars: Thresholds) -> bool:
    """Whether the data of both parts rule out an edge that would be worth trading."""
    enough = (
        e.research_trades + e.sealed_trades >= bars.min_trades
        and e.research_periods + e.sealed_periods >= bars.min_periods
    )
    beat_random = e.null_p is not None and e.null_p <= bars.confirm
    if e.upper is None or not enough or (e.earned_open and e.earned_sealed and beat_random):
        return False
    return e.upper * bars.year < bars.worth


def _lacking(e: FinalistEvidence, search: Search, bars: Thresholds, proven: bool) -> tuple[Reason, str] | None:
    """The first thing that a proof lacks beside a small p-value."""
    if _thin(e, bars):
        return Reason.THIN, (
            f"{e.sealed_trades} trades in {bars.span(e.sealed_periods)} that the search never saw are too few; "
            f"at least {bars.min_trades} trades and {bars.span(bars.min_periods)} are needed"
        )
    if e.sealed_p is None or e.null_p is None or e.sealed_sharpe is None:
        text = "no null model was run" if e.sealed_p is not None else "its sealed results do not vary"
        return Reason.MISSING, text
    if not e.earned_sealed:
        return Reason.LOST, "that shows no edge, and is too little to rule one out"
    if e.null_p > 0.5:
        return (
            Reason.RANDOM,
            "on the sealed data, entering at random with the same exits did better more often than not",
        )
    shown = "what the search did not find cannot survive it" if proven else "the open part shows no edge"
    if not e.earned_open:
        return Reason.LOST_OPEN, shown
    if e.dsr is not None and e.dsr < bars.luck:
        return Reason.LUCK, "on the open part, the best of as many tries without skill would show as much"
    if e.research_null_p is not None and e.research_null_p > 0.5:
        return (
            Reason.RANDOM,
            "on the open part, entering at random with the same exits did better more often than not",
        )
    if _coin(search, bars):
        return Reason.OVERFIT, "what the search picked on one half of the open part mostly lost money on the other"
    return None


def _coin(search: Search, bars: Thresholds) -> bool:
    if search.pbo is None or search.loss is None:
        return False
    return search.pbo >= bars.max_pbo and search.loss >= bars.max_loss


def _halves(e: FinalistEvidence) -> str:
    """What both parts said: ``it lost 21,500 USD on the open part and earned 900 USD on the sealed one``."""
    opened, sealed = _result(e.research_sharpe, e.research_pnl), _result(e.sealed_sharpe, e.sealed_pnl)
    if e.sealed_periods == 0:
        return f"it {opened} on the open part, and no part was sealed"
    link = "and" if e.earned_open == e.earned_sealed else "but"
    return f"it {opened} on the data that were searched {link} {sealed} on those the search never saw"


def _result(sharpe: float | None, pnl: float | None) -> str:
    if sharpe is None:
        return "did not trade"
    amount = "money" if pnl is None else f"{abs(pnl):,.0f} USD"
    return f"{'earned' if sharpe > 0.0 else 'lost'} {amount}"


def _bound(e: FinalistEvidence, bars: Thresholds) -> str:
    upper = math.ceil((e.upper or 0.0) * bars.year * 10.0) / 10.0
    days = bars.days(e.research_periods + e.sealed_periods)
    return (
        f"over all {days} its Sharpe ratio is, with 95 % confidence, below {upper + 0.0:.1f} "
        f"a year, and {bars.worth:g} is the least that would be worth trading"
    )


def _needed(e: FinalistEvidence, bars: Thresholds, finalists: int) -> SampleSize | None:
    """The sealed data that would decide: the least that can be judged, and the power at a stated edge."""
    pace = e.sealed_trades / e.sealed_periods if e.sealed_periods > 0 else 0.0
    if pace <= 0.0:
        return None
    observed = e.sealed_sharpe is not None and e.sealed_sharpe * bars.year >= bars.worth and not _thin(e, bars)
    edge = e.sealed_sharpe if observed and e.sealed_sharpe is not None else bars.good / bars.year
    periods = periods_needed(edge, bars.alpha * bars.sealed_share / finalists, bars.power)
    if periods is None:
        return None
    # An observed edge large enough has failed elsewhere (null model): it needs more than it has all the same.
    periods = max(periods, e.sealed_periods + 1)
    trades = math.ceil(periods * pace)
    if not _thin(e, bars):
        return SampleSize(edge * bars.year, observed, periods, trades)
    least = max(bars.min_periods, math.ceil(bars.min_trades / pace))
    return SampleSize(
        edge * bars.year, observed, periods, trades, least, max(bars.min_trades, math.ceil(least * pace))
    )


def in_words(needed: SampleSize, bars: Thresholds) -> str:
    """What it would take to decide, in days and trades of sealed data."""
    least = ""
    if needed.least is not None:
        trades = f"{needed.least_trades:,} trades"
        least = f"about {bars.days(needed.least)} of sealed data ({trades}) are the least that can be judged; "
    whose = "the edge of its sealed part, if real" if needed.observed else "a good edge"
    return (
        f"{least}{whose} (a Sharpe ratio of {needed.edge:.1f} a year) is shown with probability {bars.power:.0%} by "
        f"about {bars.days(needed.periods)} ({needed.trades:,} trades) of sealed data"
    )


def _sentence(decisive: FinalistRuling | None, findings: Sequence[FinalistRuling], bars: Thresholds) -> str:
    """One sentence for a reader who knows no statistics."""
    if decisive is None:
        return "Nothing is shown either way: the search named no finalist, so nothing was put to the test."
    survivors = [f.finalist for f in findings if f.answer is VerdictAnswer.SURVIVES]
    chance = f"fewer than {100 * bars.alpha:.2g}% of searches through pure noise get this far"
    if len(survivors) == 1:
        return f"{survivors[0]} survives: {decisive.text}; {chance}."
    if survivors:
        text = decisive.text.replace("it earned", "they earned")
        return f"{len(survivors)} of {len(findings)} finalists survive ({', '.join(survivors)}): {text}; {chance}."
    if decisive.answer is VerdictAnswer.DOES_NOT_SURVIVE:
        return f"Nothing that was tried survives; the best finalist was {decisive.finalist}: {decisive.text}."
    sample = "" if decisive.needed is None else f"; {in_words(decisive.needed, bars)}"
    return f"Nothing is shown either way; the best finalist was {decisive.finalist}: {decisive.text}{sample}."
