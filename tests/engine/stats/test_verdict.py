"""The verdict: each rule by hand, Holm against its paper's arithmetic, calibration and power by simulation."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maestro_engine.inference.evaluation.verdict import Ruling, combined_p, decide, holm
from maestro_engine.inference.statistics.bootstrap import positive_mean_p, sharpe_upper
from maestro_engine.inference.statistics.effective import effective_trials
from maestro_engine.inference.statistics.null import null_test
from maestro_engine.inference.statistics.pbo import pbo
from maestro_engine.inference.statistics.sharpe import deflated_sharpe, moments, sharpe, sharpes
from maestro_engine.inference.statistics.standards import FinalistEvidence, Reason, Search, Thresholds, VerdictAnswer
from maestro_protocol.errors import UsageError

STRONG = FinalistEvidence(
    finalist="A",
    sealed_periods=100,
    sealed_trades=200,
    sealed_sharpe=0.35,
    sealed_p=0.0004,
    null_p=1 / 201,
    research_periods=400,
    dsr=0.99,
    research_trades=800,
    research_sharpe=0.3,
    research_null_p=1 / 201,
    upper=0.4,
)
LOST = replace(STRONG, finalist="B", sealed_p=0.9, null_p=0.9, sealed_sharpe=-0.1, research_sharpe=-0.1, upper=0.02)
QUIET = Search(0.1, 0.1)


def one(evidence: FinalistEvidence, search: Search = QUIET) -> Ruling:
    return decide([evidence], search)


def test_a_proven_finalist_survives_in_plain_words() -> None:
    verdict = decide([STRONG, LOST], QUIET)
    assert verdict.answer is VerdictAnswer.SURVIVES
    assert verdict.decisive is not None
    assert verdict.decisive.reason is Reason.PROVEN
    assert verdict.sentence == (
        "A survives: it earned money on the data that were searched, and again on data the search never saw, more "
        "than luck or random entries explain; fewer than 5% of searches through pure noise get this far."
    )
    assert [f.answer for f in verdict.findings] == [VerdictAnswer.SURVIVES, VerdictAnswer.DOES_NOT_SURVIVE]


@pytest.mark.parametrize(
    ("change", "answer", "reason"),
    [
        ({"sealed_trades": 12}, VerdictAnswer.NOT_ENOUGH_EVIDENCE, Reason.THIN),
        (
            {"sealed_trades": 0, "sealed_sharpe": None, "sealed_p": None},
            VerdictAnswer.NOT_ENOUGH_EVIDENCE,
            Reason.THIN,
        ),
        ({"sealed_periods": 29}, VerdictAnswer.NOT_ENOUGH_EVIDENCE, Reason.THIN),
        ({"null_p": None}, VerdictAnswer.NOT_ENOUGH_EVIDENCE, Reason.MISSING),
        ({"sealed_p": None, "sealed_sharpe": None}, VerdictAnswer.NOT_ENOUGH_EVIDENCE, Reason.MISSING),
        ({"sealed_sharpe": -0.01, "sealed_p": 0.6, "null_p": 0.4}, VerdictAnswer.NOT_ENOUGH_EVIDENCE, Reason.LOST),
        ({"null_p": 0.6}, VerdictAnswer.NOT_ENOUGH_EVIDENCE, Reason.RANDOM),
        ({"research_null_p": 0.6}, VerdictAnswer.NOT_ENOUGH_EVIDENCE, Reason.RANDOM),
        ({"research_sharpe": -0.3, "dsr": 0.0}, VerdictAnswer.NOT_ENOUGH_EVIDENCE, Reason.LOST_OPEN),
        ({"research_sharpe": None, "dsr": None}, VerdictAnswer.NOT_ENOUGH_EVIDENCE, Reason.LOST_OPEN),
        ({"dsr": 0.4}, VerdictAnswer.NOT_ENOUGH_EVIDENCE, Reason.LUCK),
        ({"sealed_sharpe": 0.14, "sealed_p": 0.08}, VerdictAnswer.NOT_ENOUGH_EVIDENCE, Reason.UNPROVEN),
        ({"null_p": 0.2}, VerdictAnswer.NOT_ENOUGH_EVIDENCE, Reason.UNPROVEN),
        ({"upper": 0.02, "null_p": 0.2}, VerdictAnswer.DOES_NOT_SURVIVE, Reason.NOT_WORTH_IT),
        ({"upper": 0.02, "sealed_trades": 12, "null_p": 0.2}, VerdictAnswer.DOES_NOT_SURVIVE, Reason.NOT_WORTH_IT),
        ({"upper": 0.02, "research_sharpe": -0.1}, VerdictAnswer.DOES_NOT_SURVIVE, Reason.NOT_WORTH_IT),
        ({"upper": 0.02}, VerdictAnswer.SURVIVES, Reason.PROVEN),
        ({"upper": None}, VerdictAnswer.SURVIVES, Reason.PROVEN),
        ({"dsr": None}, VerdictAnswer.SURVIVES, Reason.PROVEN),
        ({"dsr": 0.5}, VerdictAnswer.SURVIVES, Reason.PROVEN),
    ],
)
def test_each_rule_decides(change: dict[str, float | None], answer: VerdictAnswer, reason: Reason) -> None:
    verdict = one(replace(STRONG, **change))
    assert verdict.decisive is not None
    assert (verdict.answer, verdict.decisive.reason) == (answer, reason)


@given(
    st.builds(
        FinalistEvidence,
        finalist=st.just("A"),
        sealed_periods=st.integers(0, 500),
        sealed_trades=st.integers(0, 500),
        sealed_sharpe=st.none() | st.floats(-1, 1),
        sealed_p=st.none() | st.floats(0.0005, 1),
        null_p=st.none() | st.floats(1 / 201, 1),
        research_periods=st.integers(2, 500),
        dsr=st.none() | st.floats(0, 1),
        research_trades=st.integers(0, 500),
        research_sharpe=st.none() | st.floats(-1, 1),
        research_null_p=st.none() | st.floats(1 / 201, 1),
        upper=st.none() | st.floats(-1, 2),
    )
)
def test_what_earned_in_one_part_alone_never_survives_and_what_earned_in_both_is_not_flatly_denied(
    e: FinalistEvidence,
) -> None:
    answer = one(e).answer
    if answer is VerdictAnswer.SURVIVES:
        assert e.earned_open
        assert e.earned_sealed
    if answer is VerdictAnswer.DOES_NOT_SURVIVE:
        assert e.upper is not None
        assert e.upper * Thresholds().year < Thresholds().worth
        assert not (e.earned_open and e.earned_sealed and e.null_p is not None and e.null_p <= 0.05)


def test_an_edge_in_the_sealed_part_alone_is_told_with_both_halves() -> None:
    verdict = one(replace(STRONG, research_sharpe=-0.3, dsr=0.0, research_pnl=-21_500.2, sealed_pnl=9_000.0))
    assert verdict.sentence == (
        "Nothing is shown either way; the best finalist was A: it lost 21,500 USD on the data that were searched "
        "but earned 9,000 USD on those "
        "the search never saw: what the search did not find cannot survive it."
    )


def test_evidence_against_is_told_with_its_bound() -> None:
    """By hand: an upper bound of -0.03 a day is -0.57 a year, told as -0.5."""
    verdict = decide([replace(LOST, upper=-0.03), replace(LOST, finalist="C", upper=-0.04)], QUIET)
    assert verdict.answer is VerdictAnswer.DOES_NOT_SURVIVE
    assert "over all 500 days its Sharpe ratio is, with 95 % confidence, below -0.5 a year" in verdict.sentence
    assert decide([replace(LOST, upper=-0.03), STRONG], QUIET).answer is VerdictAnswer.SURVIVES
    open_one = replace(LOST, upper=0.1)
    assert decide([replace(LOST, upper=-0.03), open_one], QUIET).answer is VerdictAnswer.NOT_ENOUGH_EVIDENCE


def test_overfitting_stands_in_the_way_only_when_the_chosen_lose() -> None:
    """PBO of a half with rare losses is many trials sharing one edge, not a bad choice."""
    assert one(STRONG, Search(0.7, 0.7)).answer is VerdictAnswer.NOT_ENOUGH_EVIDENCE
    assert one(STRONG, Search(0.7, 0.05)).answer is VerdictAnswer.SURVIVES
    assert one(STRONG, Search(None, None)).answer is VerdictAnswer.SURVIVES


def test_what_is_missing_is_said_with_a_sample() -> None:
    """By hand: Sharpe 0.14, level 0.04, power 0.8: 1 + (1 + 0.0098) ((1.7507 + 0.8416) / 0.14)^2 = 348 periods.

    Where no edge was observed, 2 a year: 2 / sqrt(365) = 0.1047 a day, 1 + (1 + 0.0055) (2.5923 / 0.1047)^2 = 618.
    """
    verdict = one(replace(STRONG, sealed_sharpe=0.14, sealed_p=0.08))
    assert verdict.needed == (
        "the edge of its sealed part, if real (a Sharpe ratio of 2.7 a year) is shown with probability 80% by about "
        "348 days (696 trades) of sealed data"
    )
    assert verdict.needed in verdict.sentence
    thin = one(replace(STRONG, sealed_trades=10))
    assert thin.needed == (
        "about 300 days of sealed data (30 trades) are the least that can be judged; a good edge (a Sharpe ratio of "
        "2.0 a year) is shown with probability 80% by about 618 days (62 trades) of sealed data"
    )
    assert one(STRONG).needed == ""


def test_periods_are_told_with_their_length() -> None:
    hours = Thresholds(period_ms=4 * 3_600_000)
    verdict = decide([replace(STRONG, sealed_periods=20)], QUIET, hours)
    assert "at least 30 trades and 30 periods of 4 hours are needed" in verdict.sentence
    assert "periods" not in one(replace(STRONG, sealed_periods=20)).sentence


def test_without_a_finalist_nothing_is_shown_either_way() -> None:
    verdict = decide([], QUIET)
    assert verdict.answer is VerdictAnswer.NOT_ENOUGH_EVIDENCE
    assert verdict.decisive is None


def test_both_doors_by_hand() -> None:
    """Sealed door 0.02 / 0.8. Joint: (sqrt(400) z(0.99) + sqrt(100) z(0.98)) / sqrt(500) = 2.999, p 0.00135 / 0.2."""
    e = replace(STRONG, sealed_p=0.02, null_p=0.02)
    assert combined_p(replace(e, dsr=None), Thresholds()) == pytest.approx(0.025)
    assert combined_p(e, Thresholds()) == pytest.approx(0.00135 / 0.2, rel=0.02)
    unconfirmed = replace(e, null_p=0.06)  # by random entries, so only the sealed door is open
    assert combined_p(unconfirmed, Thresholds()) == pytest.approx(0.06)
    with pytest.raises(UsageError, match="alpha"):
        Thresholds(alpha=0.0)


def test_holm_by_hand() -> None:
    """0.01, 0.04, 0.03, 0.005 of Holm's procedure: 0.03, 0.06, 0.06, 0.02."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_holm_is_between_the_raw_and_bonferronis(ps: list[float]) -> None:
    adjusted = holm(ps)
    for p, a in zip(ps, adjusted, strict=True):
        assert p <= a <= min(1.0, p * len(ps))
    for (p, a), (q, b) in itertools.combinations(zip(ps, adjusted, strict=True), 2):
        assert (p < q) <= (a <= b)


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1), st.floats(0, 0.2))
def test_better_evidence_never_gives_a_worse_p(sealed: float, null: float, dsr: float, better: float) -> None:
    e = replace(STRONG, sealed_p=sealed, null_p=null, dsr=dsr)
    p = combined_p(e, Thresholds())
    assert p is not None
    for up in (
        replace(e, sealed_p=max(0.0, sealed - better)),
        replace(e, null_p=max(0.0, null - better)),
        replace(e, dsr=min(1.0, dsr + better)),
    ):
        assert (combined_p(up, Thresholds()) or 0.0) <= p + 1e-12


def campaign(
    seed: int, edge: float, research: int = 200, sealed: int = 50, cost: float = 0.0, found: bool = True
) -> Ruling:
    """A whole search in small: 10 families of 10 correlated trials with fat, skewed daily PnL; one has the edge.

    The five best in research become finalists and meet sealed days and 200 random agents. Where the edge is not
    *found*, all have it, and in the sealed days alone.
    """
    rng = np.random.default_rng(seed)
    days = research + sealed
    shared = np.repeat(rng.standard_t(5, size=(days, 10)), 10, axis=1)
    own = rng.exponential(size=(days, 100)) - 1.0
    x = (shared * math.sqrt(0.6) + own) / math.sqrt(2.0)
    x -= cost
    if found:
        x[:, :10] += edge
    else:
        x[research:] += edge
    past, future = x[:research], x[research:]
    effective, overfit = effective_trials(past), pbo(past, blocks=8)
    assert effective is not None
    assert overfit is not None
    finalists = []
    for i in np.argsort(-sharpes(past))[:5]:
        m, after = moments(past[:, i]), sharpe(future[:, i])
        assert m.sharpe is not None
        assert m.skewness is not None
        assert m.kurtosis is not None
        assert after is not None
        dsr = deflated_sharpe(
            m.sharpe, research, effective.variance, effective.effective, m.skewness, m.kurtosis
        ).value
        random = null_test(after, rng.normal(size=200) / math.sqrt(sealed)).p
        before = null_test(m.sharpe, rng.normal(size=200) / math.sqrt(research)).p
        finalists.append(
            FinalistEvidence(
                finalist=str(i),
                sealed_periods=sealed,
                sealed_trades=4 * sealed,
                sealed_sharpe=after,
                sealed_p=positive_mean_p(future[:, i]),
                null_p=random,
                research_periods=research,
                dsr=dsr,
                research_trades=4 * research,
                research_sharpe=m.sharpe,
                research_null_p=before,
                upper=sharpe_upper(x[:, i]),
            )
        )
    return decide(finalists, Search(overfit.pbo, overfit.loss))


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_noise_seldom_survives_and_costs_get_a_clear_no() -> None:
    """Calibration: of 100 searches through noise at most 5 % survive; noise that pays costs is mostly denied."""
    answers = [campaign(seed, edge=0.0).answer for seed in range(100)]
    assert answers.count(VerdictAnswer.SURVIVES) <= 100 * 0.05
    paying = [campaign(seed, edge=0.0, cost=0.4).answer for seed in range(20)]
    assert paying.count(VerdictAnswer.DOES_NOT_SURVIVE) >= 15


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_an_edge_in_the_sealed_part_alone_never_survives() -> None:
    answers = [campaign(2000 + seed, edge=0.5, found=False, cost=0.2).answer for seed in range(30)]
    assert answers.count(VerdictAnswer.SURVIVES) == 0


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_planted_edge_is_found() -> None:
    """Power: a daily Sharpe near 0.5 in one family of ten survives in most of 40 searches."""
    answers = [campaign(1000 + seed, edge=0.5).answer for seed in range(40)]
    assert answers.count(VerdictAnswer.SURVIVES) >= 30
