"""verdict_text owns how the judge's figures are named, rounded and explained to a reader who knows no statistics."""

from __future__ import annotations

from collections.abc import Iterable

from maestro_engine.inference.evaluation import verdict as rules
from maestro_engine.inference.evaluation.evidence import CandidateStats, OpenEvidence
from maestro_engine.inference.statistics.sharpe import Deflated, annualise, minimum_track_record, psr
from maestro_engine.inference.statistics.standards import DAY_MS, Thresholds, VerdictAnswer
from maestro_protocol.messages.campaign import Figure, LooksCounted, Verdict

DIGITS = 6
"""Significant digits that are kept: more would differ between machines that sum in another order."""


def rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.{DIGITS}g}")


def all_rounded(values: Iterable[float | None]) -> tuple[float, ...]:
    return tuple(float(f"{value:.{DIGITS}g}") for value in values if value is not None)


def after_looks(verdict: Verdict, looks: LooksCounted | None) -> Verdict:
    """*verdict* whose first sentence says that its bars were looked at before, where they were."""
    if looks is None or not looks.earlier:
        return verdict
    return verdict.model_copy(update={"sentence": _in_first_sentence(verdict.sentence, looks.in_words())})


def unopened(verdict: Verdict, looks: LooksCounted | None, reason: str) -> Verdict:
    """*verdict*, of the open part alone, as the answer of a campaign whose sealed part was not opened."""
    text = f"Not enough evidence: the sealed part was not opened ({reason})"
    return verdict.model_copy(
        update={
            "word": VerdictAnswer.NOT_ENOUGH_EVIDENCE.value,
            "sentence": f"{text}; {looks.in_words()}." if looks is not None and looks.earlier else f"{text}.",
            "finalists": tuple(finalist.model_copy(update={"survives": None}) for finalist in verdict.finalists),
            "sample_needed": "",
        }
    )


def _in_first_sentence(text: str, more: str) -> str:
    first, stop, rest = text.partition(". ")
    return f"{first.removesuffix('.')}; {more}.{' ' if stop else ''}{rest}"


def of_search(kept: OpenEvidence, per_year: float) -> tuple[Figure, ...]:
    """The figures of the search as a whole."""
    overfitting = kept.overfitting
    best = max((s for s in kept.trial_sharpes.tolist() if s == s), default=None)
    return (
        Figure(
            name="variants proposed",
            value=float(kept.counted),
            passes=None,
            threshold="–",
            about="everything anybody proposed counts, the rejected and killed too",
        ),
        Figure(
            name="effective independent trials",
            value=rounded(kept.effective_count),
            passes=None,
            threshold="–",
            about="variants that trade alike are one try, not many",
        ),
        Figure(
            name="best trial's Sharpe, open part",
            value=rounded(annualise(best, per_year)),
            passes=None if best is None or kept.expected_maximum is None else best > kept.expected_maximum,
            threshold=_above(annualise(kept.expected_maximum, per_year)),
            about="wanted: more than the best of as many tries on pure noise would show",
        ),
        Figure(
            name="probability of backtest overfitting",
            value=None if overfitting is None else rounded(overfitting.pbo),
            passes=None if overfitting is None else overfitting.pbo < 0.5,
            threshold="< 0.5",
            about="how often the best on one half of the data is below average on the other",
        ),
        Figure(
            name="chance that the search's choice loses",
            value=None if overfitting is None else rounded(overfitting.loss),
            passes=None if overfitting is None else overfitting.loss < 0.5,
            threshold="< 0.5",
            about="over all halves of the open part: the best on one half loses on the other",
        ),
    )


def of_finalist(
    item: CandidateStats, sealed: CandidateStats | None, finding: rules.FinalistRuling, bars: Thresholds
) -> tuple[Figure, ...]:
    """The figures of one finalist, those of the sealed part last."""
    return (*_open_figures(item, bars), *_sealed_figures(sealed, bars), _ruling(finding, bars))


def _open_figures(item: CandidateStats, bars: Thresholds) -> tuple[Figure, ...]:
    m, per_year = item.moments, bars.year**2
    probable = record = None
    if m.sharpe is not None and m.skewness is not None and m.kurtosis is not None:
        probable = psr(m.sharpe, m.n, 0.0, m.skewness, m.kurtosis)
        record = minimum_track_record(m.sharpe, 0.0, 0.95, m.skewness, m.kurtosis)
    deflated = item.deflated
    value = None if deflated is None else deflated.value
    null = item.null.test
    return (
        _figure("Sharpe, open part", annualise(m.sharpe, per_year), None, "–", "annualised, after all costs"),
        _figure(
            "probability that it is above 0",
            probable,
            _reaches(probable, 0.95),
            ">= 0.95",
            "as if it were the only try",
        ),
        _figure(
            "deflated Sharpe ratio",
            value,
            _reaches(value, bars.luck),
            f">= {bars.luck:g}",
            "the same, after paying for every try of the search" if value is not None else _why(deflated),
        ),
        _figure(
            "deflated, by the spread of the trials",
            item.published,
            None,
            "–",
            "the published formula; here the spread is mostly that of costs",
        ),
        _figure(
            "p against random entries, open part",
            None if null is None else null.p,
            None if null is None else null.p <= 0.5,
            "<= 0.5",
            "random agents with the same exits and exposure that did as well",
        ),
        _figure(
            "minimum track record, days",
            None if record is None else record * bars.period_ms / DAY_MS,
            None if record is None else m.n >= record,
            f"<= {m.n * bars.period_ms / DAY_MS:g}",
            "length at which its Sharpe would be believed, were it the only try",
        ),
    )


def _sealed_figures(sealed: CandidateStats | None, bars: Thresholds) -> tuple[Figure, ...]:
    if sealed is None:
        return (_figure("sealed part", None, None, "–", "no part of the data was sealed"),)
    per_year = bars.year**2
    bounds, null = sealed.intervals, sealed.null.test
    low = None if bounds is None else bounds.sharpe.low
    return (
        _figure(
            "trades, sealed part",
            float(sealed.trades),
            sealed.trades >= bars.min_trades,
            f">= {bars.min_trades}",
            "fewer prove nothing",
        ),
        _figure(
            "Sharpe, sealed part",
            annualise(sealed.moments.sharpe, per_year),
            None if sealed.moments.sharpe is None else sealed.moments.sharpe > 0,
            "> 0",
            "on data that nothing of the search has touched",
        ),
        _figure(
            "its lower 95 % bound",
            annualise(low, per_year),
            _reaches(low, 0.0),
            ">= 0",
            "by block bootstrap, two-sided",
        ),
        _figure(
            "p of no edge, sealed part",
            None if bounds is None else bounds.p,
            None if bounds is None else bounds.p <= 0.05,
            "<= 0.05",
            "the largest of three: block bootstrap, Student's t, and 1 less PSR",
        ),
        _figure(
            "p against random entries, sealed part",
            None if null is None else null.p,
            None if null is None else null.p <= 0.05,
            "<= 0.05",
            "random agents with the same exits and exposure that did as well",
        ),
    )


def _ruling(finding: rules.FinalistRuling, bars: Thresholds) -> Figure:
    proven = None if finding.adjusted_p is None else finding.adjusted_p <= bars.alpha
    about = f"{finding.answer}: {finding.text}"
    return _figure("p, corrected for all finalists", finding.adjusted_p, proven, f"<= {bars.alpha:.2g}", about)


def _figure(name: str, value: float | None, passes: bool | None, threshold: str, about: str) -> Figure:
    return Figure(name=name, value=rounded(value), passes=passes, threshold=threshold, about=about[:300])


def _reaches(value: float | None, line: float) -> bool | None:
    return None if value is None else value >= line


def _above(value: float | None) -> str:
    return "–" if value is None else f"> {value:.2f}"


def _why(deflated: Deflated | None) -> str:
    return (deflated.reason if deflated is not None else "") or "undefined"
