"""judge owns the answer to "did anything survive?": it weighs the open part, then opens the sealed part, once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import numpy as np

from maestro_engine.backtest import BatchResult
from maestro_engine.data.bars import Floats
from maestro_engine.data.fingerprints import sealed_bars
from maestro_engine.inference.evaluation import verdict as rules
from maestro_engine.inference.evaluation import verdict_text
from maestro_engine.inference.evaluation.evidence import CandidateStats, Null, OpenEvidence
from maestro_engine.inference.evaluation.period import EvaluationPeriod
from maestro_engine.inference.evaluation.tearsheet import PartRun, tear_sheets
from maestro_engine.inference.statistics import standards
from maestro_engine.inference.statistics.bootstrap import intervals, sharpe_upper
from maestro_engine.inference.statistics.effective import effective_trials
from maestro_engine.inference.statistics.null import null_test
from maestro_engine.inference.statistics.pbo import pbo
from maestro_engine.inference.statistics.sharpe import (
    Deflated,
    annualise,
    deflated_sharpe,
    expected_maximum_sharpe,
    moments,
    psr,
    sharpe,
    sharpes,
)
from maestro_engine.inference.statistics.standards import Search, Thresholds, VerdictAnswer
from maestro_engine.metrics.calculator import YEAR_MS, MetricsCalculator
from maestro_protocol.config import RunConfig
from maestro_protocol.errors import UsageError
from maestro_protocol.messages.campaign import Curve, Exhibits, Finalist, Histogram, LooksCounted, NullModel, Verdict
from maestro_protocol.messages.sealed import SealedBars
from maestro_protocol.ports import FINALISTS, Evidence

RANDOM_AGENTS = 200
BINS = 40
TRADE = ("entry_bar", "side", "exit_bar", "exit")
"""What makes two trades the same."""


class CampaignJudge:
    """Judges by the open and the sealed stretch of one data set."""

    def __init__(
        self, opened: EvaluationPeriod, hidden: EvaluationPeriod | None, figures: MetricsCalculator, seed: int
    ) -> None:
        self._open = opened
        self._hidden = hidden
        self._figures = figures
        self._seed = seed

    @property
    def sealed(self) -> tuple[int, int]:
        return (self._hidden.first, self._hidden.end - self._hidden.first) if self._hidden else (0, 0)

    def sealed_bars(self) -> SealedBars:
        if self._hidden is None:
            raise UsageError("judge: nothing is sealed")
        return sealed_bars(self._hidden.bars, self._hidden.first, self._hidden.end)

    @property
    def _per_year(self) -> float:
        return YEAR_MS / (self._open.period_bars * self._open.bars.step_ms)

    @property
    def _standards(self) -> Thresholds:
        return Thresholds(period_ms=self._open.period_bars * self._open.bars.step_ms)

    def assess(
        self, trials: Sequence[RunConfig], finalists: Sequence[RunConfig], counted: int, most: int = FINALISTS
    ) -> Evidence:
        matrix = self._open.pnl(self._open.run(trials)) if trials else np.zeros((self._open.periods, 0))
        with ThreadPoolExecutor(self._open.jobs) as pool:
            independent = pool.submit(effective_trials, matrix, self._seed) if trials else None
            overfitted = pool.submit(pbo, matrix) if len(trials) > 1 else None
            weighing = self._weigh(self._open, finalists, self._seed, pool, most)
            kept = OpenEvidence(
                ran=len(trials),
                counted=counted,
                effective=None if independent is None else independent.result(),
                expected_maximum=None,
                overfitting=None if overfitted is None else overfitted.result(),
                trial_sharpes=sharpes(matrix),
                finalists=(),
            )
            best = _best_of_noise(len(matrix), kept.effective_count)
            kept = replace(kept, expected_maximum=best)
            weighed = tuple(self._deflate(item, kept) for item in weighing)
        kept = replace(kept, finalists=weighed)
        return Evidence(trials=counted, finalists=tuple(item.config for item in weighed), kept=kept)

    def open_and_rule(
        self, evidence: Evidence, opening: int, looks: LooksCounted | None = None
    ) -> tuple[Verdict, Exhibits]:
        bars = self._standards if looks is None else replace(self._standards, alpha=looks.alpha)
        verdict, exhibits = self._rule(evidence, opening, self._hidden, bars)
        return verdict_text.after_looks(verdict, looks), exhibits

    def rule_unopened(self, evidence: Evidence, looks: LooksCounted | None, reason: str) -> tuple[Verdict, Exhibits]:
        bars = self._standards if looks is None else replace(self._standards, alpha=looks.alpha)
        verdict, exhibits = self._rule(evidence, 1, None, bars)
        return verdict_text.unopened(verdict, looks, reason), exhibits

    def _rule(
        self, evidence: Evidence, opening: int, hidden: EvaluationPeriod | None, bars: Thresholds
    ) -> tuple[Verdict, Exhibits]:
        if not isinstance(evidence.kept, OpenEvidence):
            raise UsageError("judge: this evidence was weighed by another judge")
        kept = evidence.kept
        hidden = hidden if evidence.finalists else None
        seed = self._seed + opening
        with ThreadPoolExecutor(self._open.jobs) as pool:
            weighed = list(self._weigh(hidden, evidence.finalists, seed, pool)) if hidden else []
            bounds = pool.map(partial(intervals, seed=seed), [item.pnl for item in weighed])
            both = [_pnl_of(item, weighed[place] if weighed else None) for place, item in enumerate(kept.finalists)]
            uppers = list(pool.map(partial(sharpe_upper, seed=seed), both))
            sealed = [replace(item, intervals=bound) for item, bound in zip(weighed, bounds, strict=True)]
        research = [
            _evidence(item, sealed[place] if sealed else None, uppers[place])
            for place, item in enumerate(kept.finalists)
        ]
        overfitting = kept.overfitting
        search = Search(
            None if overfitting is None else overfitting.pbo, None if overfitting is None else overfitting.loss
        )
        ruled = rules.decide(research, search, bars)
        return self._verdict(kept, sealed, ruled, bars), self._exhibits(kept, sealed)

    def _weigh(
        self,
        stretch: EvaluationPeriod,
        configs: Sequence[RunConfig],
        seed: int,
        pool: Executor,
        most: int | None = None,
    ) -> Iterable[CandidateStats]:
        """Each of *configs*, computed by *pool* in the meantime; where there is a *most*, those that differ alone."""
        if not configs:
            return ()
        result = stretch.run(configs, keep_trades=True)
        pnl = stretch.pnl(result)
        places = range(len(configs)) if most is None else _distinct(result, pnl)[:most]
        alone = replace(stretch, jobs=1)  # the finalists are what the threads share

        def one(place: int) -> CandidateStats:
            return self._one(alone, result, pnl[:, place], place, configs[place], seed)

        return pool.map(one, places)

    def _one(
        self, stretch: EvaluationPeriod, result: BatchResult, pnl: Floats, place: int, config: RunConfig, seed: int
    ) -> CandidateStats:
        trades = result.trades(place)
        random = (
            stretch.random(config, trades, RANDOM_AGENTS, seed * 1_000 + place)
            if len(trades)
            else np.zeros((stretch.periods, 0))
        )
        observed = sharpe(pnl)
        values = np.nan_to_num(sharpes(random))
        test = null_test(observed, values) if observed is not None and len(values) else None
        return CandidateStats(
            config=config,
            metrics=self._figures.window_metrics(result, place),
            pnl=pnl,
            moments=moments(pnl),
            null=Null(observed, values, test),
            trades=len(trades),
            records=trades,
        )

    def _deflate(self, item: CandidateStats, kept: OpenEvidence) -> CandidateStats:
        m, best = item.moments, kept.expected_maximum
        if m.sharpe is None or m.skewness is None or m.kurtosis is None:
            return replace(item, deflated=Deflated(None, best, "its results do not vary"))
        published = None
        if kept.effective is not None and kept.effective_count is not None:
            by_spread = deflated_sharpe(
                m.sharpe, m.n, kept.effective.variance, kept.effective_count, m.skewness, m.kurtosis
            )
            published = by_spread.value
        if best is None:
            reason = "one effective trial: nothing was selected, so there is nothing to deflate"
            return replace(item, deflated=Deflated(None, None, reason))
        value = psr(m.sharpe, m.n, best, m.skewness, m.kurtosis)
        return replace(item, deflated=Deflated(value, best), published=published)

    def _verdict(
        self, kept: OpenEvidence, sealed: Sequence[CandidateStats], ruled: rules.Ruling, bars: Thresholds
    ) -> Verdict:
        finalists = tuple(
            Finalist(
                run_id=item.config.run_id,
                methods=item.config.methods,
                params=item.config.params,
                open_part=item.metrics,
                holdout=sealed[place].metrics if sealed else None,
                figures=verdict_text.of_finalist(
                    item, sealed[place] if sealed else None, ruled.findings[place], bars
                ),
                survives=_survives(ruled.findings[place].answer),
            )
            for place, item in enumerate(kept.finalists)
        )
        count = kept.effective_count
        return Verdict(
            word=ruled.answer.value,
            sentence=ruled.sentence,
            trials=kept.counted,
            effective_trials=verdict_text.rounded(count),
            finalists=finalists,
            figures=verdict_text.of_search(kept, self._per_year),
            sample_needed=ruled.needed,
        )

    def _exhibits(self, kept: OpenEvidence, sealed: Sequence[CandidateStats]) -> Exhibits:
        known = kept.trial_sharpes[~np.isnan(kept.trial_sharpes)]
        return Exhibits(
            trial_sharpes=verdict_text.all_rounded(
                annualise(value, self._per_year) for value in np.sort(known).tolist()
            ),
            expected_maximum=verdict_text.rounded(annualise(kept.expected_maximum, self._per_year)),
            pbo_logits=None if kept.overfitting is None else _histogram(kept.overfitting.logits),
            nulls=tuple(
                NullModel(
                    run_id=item.config.run_id,
                    observed=verdict_text.rounded(annualise(item.null.observed, self._per_year)),
                    values=verdict_text.all_rounded(
                        annualise(value, self._per_year) for value in np.sort(item.null.values).tolist()
                    ),
                )
                for item in kept.finalists
            ),
            curves=tuple(
                self._curve(item, sealed[place] if sealed else None) for place, item in enumerate(kept.finalists)
            ),
            tear_sheets=tear_sheets(
                [(item.config, self._parts(place, item, sealed)) for place, item in enumerate(kept.finalists)],
                self._per_year,
            ),
        )

    def _parts(self, place: int, item: CandidateStats, sealed: Sequence[CandidateStats]) -> list[PartRun]:
        """A finalist's trades over the open part and, where it was opened, over the sealed one."""
        opened = PartRun("open", self._open, item.records)
        if not sealed or self._hidden is None:
            return [opened]
        return [opened, PartRun("sealed", self._hidden, sealed[place].records)]

    def _curve(self, item: CandidateStats, sealed: CandidateStats | None) -> Curve:
        pnl = _pnl_of(item, sealed)
        bars = self._open.bars
        return Curve(
            run_id=item.config.run_id,
            start_ms=int(bars.open_time[self._open.first]),
            period_ms=self._open.period_bars * bars.step_ms,
            pnl=tuple(np.round(pnl, 2).tolist()),
            sealed_from=len(item.pnl),
        )


def _distinct(result: BatchResult, pnl: Floats) -> list[int]:
    """The first place of all that make the same trades, those that earned before those that did not.

    What did not earn on the open part cannot survive, and each finalist costs the others power.
    """
    first: dict[bytes, int] = {}
    for place in range(len(result)):
        trades = result.trades(place)
        first.setdefault(b"".join(trades[name].tobytes() for name in TRADE), place)
    earned = pnl.sum(axis=0) > 0.0
    return sorted(first.values(), key=lambda place: (not earned[place], place))


def _best_of_noise(periods: int, count: float | None) -> float | None:
    """Sharpe per period that the best of *count* independent trials without skill is expected to show.

    Without skill a trial's Sharpe is at most 0 and differs from it by sampling error, of variance
    ``1 / (periods - 1)`` (Lo 2002). The published formula puts the observed variance over the trials in its place;
    here that variance is mostly the spread of trading costs, and of the very edge that is to be judged.
    """
    return None if count is None or count <= 1 else expected_maximum_sharpe(1.0 / (periods - 1), count)


def _survives(answer: VerdictAnswer) -> bool | None:
    return None if answer is VerdictAnswer.NOT_ENOUGH_EVIDENCE else answer is VerdictAnswer.SURVIVES


def _pnl_of(item: CandidateStats, sealed: CandidateStats | None) -> Floats:
    """A finalist's PnL per period over both parts."""
    return item.pnl if sealed is None else np.concatenate([item.pnl, sealed.pnl])


def _evidence(item: CandidateStats, sealed: CandidateStats | None, upper: float | None) -> standards.FinalistEvidence:
    return standards.FinalistEvidence(
        finalist=item.config.run_id,
        sealed_periods=0 if sealed is None else len(sealed.pnl),
        sealed_trades=0 if sealed is None else sealed.trades,
        sealed_sharpe=None if sealed is None else sealed.moments.sharpe,
        sealed_p=None if sealed is None or sealed.intervals is None else sealed.intervals.p,
        null_p=None if sealed is None or sealed.null.test is None else sealed.null.test.p,
        research_periods=len(item.pnl),
        dsr=None if item.deflated is None else item.deflated.value,
        research_trades=item.trades,
        research_sharpe=item.moments.sharpe,
        research_null_p=None if item.null.test is None else item.null.test.p,
        upper=upper,
        research_pnl=float(item.metrics.total_pnl),
        sealed_pnl=None if sealed is None else float(sealed.metrics.total_pnl),
    )


def _histogram(values: Floats) -> Histogram | None:
    finite = values[np.isfinite(values)]
    if not len(finite):
        return None
    counts, edges = np.histogram(finite, bins=BINS)
    return Histogram(edges=verdict_text.all_rounded(edges.tolist()), counts=tuple(counts.tolist()))
