"""The verdict: each rule by hand, Holm against its paper's arithmetic, calibration and power by simulation."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maestro_engine.stats.bootstrap import positive_mean_p
from maestro_engine.stats.effective import effective_trials
from maestro_engine.stats.null import null_test
from maestro_engine.stats.pbo import pbo
from maestro_engine.stats.sharpe import deflated_sharpe, moments, sharpe, sharpes
from maestro_engine.stats.verdict import (
    Answer,
    Evidence,
    Reason,
    Search,
    Thresholds,
    Verdict,
    combined_p,
    decide,
    holm,
)
from maestro_protocol.errors import UsageError

STRONG = Evidence("A", 100, 200, 0.35, 0.0004, 1 / 201, 400, 0.99)
QUIET = Search(0.1, 0.1)


def one(evidence: Evidence, search: Search = QUIET) -> Verdict:
    return decide([evidence], search)


def test_a_proven_finalist_survives_in_plain_words() -> None:
    verdict = decide([STRONG, replace(STRONG, finalist="B", sealed_p=0.9, null_p=0.9, sealed_sharpe=-0.1)], QUIET)
    assert verdict.answer is Answer.SURVIVES
    assert verdict.decisive is not None
    assert verdict.decisive.reason is Reason.PROVEN
    assert verdict.sentence == (
        "A survives: it earned money on data the search never saw, more than luck or random entries explain; "
        "fewer than 5% of searches through pure noise get this far."
    )
    assert [f.answer for f in verdict.findings] == [Answer.SURVIVES, Answer.DOES_NOT_SURVIVE]


@pytest.mark.parametrize(
    ("change", "answer", "reason"),
    [
        ({"sealed_trades": 12}, Answer.NOT_ENOUGH_EVIDENCE, Reason.THIN),
        ({"sealed_trades": 0, "sealed_sharpe": None, "sealed_p": None}, Answer.NOT_ENOUGH_EVIDENCE, Reason.THIN),
        ({"sealed_periods": 29}, Answer.NOT_ENOUGH_EVIDENCE, Reason.THIN),
        ({"null_p": None}, Answer.NOT_ENOUGH_EVIDENCE, Reason.MISSING),
        ({"sealed_p": None, "sealed_sharpe": None}, Answer.NOT_ENOUGH_EVIDENCE, Reason.MISSING),
        ({"sealed_sharpe": -0.01, "sealed_p": 0.6}, Answer.DOES_NOT_SURVIVE, Reason.LOST),
        ({"null_p": 0.6}, Answer.DOES_NOT_SURVIVE, Reason.RANDOM),
        ({"sealed_sharpe": 0.14, "sealed_p": 0.08, "dsr": 0.4}, Answer.DOES_NOT_SURVIVE, Reason.LUCK),
        ({"sealed_sharpe": 0.02, "sealed_p": 0.4}, Answer.DOES_NOT_SURVIVE, Reason.TOO_SMALL),
        ({"sealed_sharpe": 0.14, "sealed_p": 0.08}, Answer.NOT_ENOUGH_EVIDENCE, Reason.UNPROVEN),
        ({"null_p": 0.2}, Answer.NOT_ENOUGH_EVIDENCE, Reason.UNPROVEN),
        ({"dsr": None}, Answer.SURVIVES, Reason.PROVEN),
        ({"dsr": 0.1}, Answer.SURVIVES, Reason.PROVEN),
    ],
)
def test_each_rule_decides(change: dict[str, float | None], answer: Answer, reason: Reason) -> None:
    verdict = one(replace(STRONG, **change))
    assert verdict.decisive is not None
    assert (verdict.answer, verdict.decisive.reason) == (answer, reason)


def test_overfitting_vetoes_only_when_the_chosen_lose() -> None:
    """PBO of a half with rare losses is many trials sharing one edge, not a bad choice."""
    assert one(STRONG, Search(0.7, 0.7)).answer is Answer.DOES_NOT_SURVIVE
    assert one(STRONG, Search(0.7, 0.05)).answer is Answer.SURVIVES
    assert one(STRONG, Search(None, None)).answer is Answer.SURVIVES


def test_what_is_missing_is_said_with_a_sample() -> None:
    """By hand: Sharpe 0.14, level 0.04, power 0.8: 1 + (1 + 0.0098) ((1.7507 + 0.8416) / 0.14)^2 = 348 periods."""
    verdict = one(replace(STRONG, sealed_sharpe=0.14, sealed_p=0.08))
    assert verdict.decisive is not None
    assert (verdict.decisive.periods_needed, verdict.decisive.trades_needed) == (348, 696)
    assert "about 348 sealed periods (about 696 trades) would decide" in verdict.sentence
    thin = one(replace(STRONG, sealed_trades=10)).decisive
    assert thin is not None
    assert (thin.periods_needed, thin.trades_needed) == (300, 30)


def test_no_finalist_is_a_no() -> None:
    verdict = decide([], QUIET)
    assert verdict.answer is Answer.DOES_NOT_SURVIVE
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


def campaign(seed: int, edge: float, research: int = 200, sealed: int = 50) -> Verdict:
    """A whole search in small: 10 families of 10 correlated trials with fat, skewed daily PnL; one has the edge.

    The five best in research become finalists and meet sealed days and 200 random agents.
    """
    rng = np.random.default_rng(seed)
    days = research + sealed
    shared = np.repeat(rng.standard_t(5, size=(days, 10)), 10, axis=1)
    own = rng.exponential(size=(days, 100)) - 1.0
    x = (shared * math.sqrt(0.6) + own) / math.sqrt(2.0)
    x[:, :10] += edge
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
        finalists.append(
            Evidence(str(i), sealed, 4 * sealed, after, positive_mean_p(future[:, i]), random, research, dsr)
        )
    return decide(finalists, Search(overfit.pbo, overfit.loss))


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_noise_seldom_survives_and_is_mostly_told_off() -> None:
    """Calibration: of 200 searches through noise at most 5 % survive (binomial interval), most get a clear no."""
    answers = [campaign(seed, edge=0.0).answer for seed in range(200)]
    assert answers.count(Answer.SURVIVES) <= 200 * 0.05
    assert answers.count(Answer.DOES_NOT_SURVIVE) >= 120


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_planted_edge_is_found() -> None:
    """Power: a daily Sharpe near 0.5 in one family of ten survives in most of 60 searches."""
    answers = [campaign(1000 + seed, edge=0.5).answer for seed in range(60)]
    assert answers.count(Answer.SURVIVES) >= 45
