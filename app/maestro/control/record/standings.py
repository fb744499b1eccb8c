"""standings owns the comparison of what ran: pooled reports of configurations, their order, the leaderboard."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from maestro_protocol.config import Phase, RunConfig
from maestro_protocol.messages.report import Metrics, TestReport, VariationReport
from maestro_protocol.ports import Runner

LEADERBOARD = (
    "rank", "test_id", "segment", "parent_run", "methods", "window", "total_pnl", "train_pnl", "validation_pnl",
    "n_trades", "hit", "payoff", "maxdd", "blunders", "sharpe", "profit_factor", "expectancy", "exposure",
    "train_sharpe", "validation_sharpe", "train_score", "validation_score", "score", "params",
)  # fmt: skip


def by_value(value: float | None) -> float:
    """Sort key: the undefined comes last."""
    return -math.inf if value is None else value


@dataclass
class Entry:
    """One configuration that ran as itself or with jitter, and its tests."""

    config: RunConfig
    segment: int
    tests: list[TestReport] = field(default_factory=list[TestReport])
    fate: str = "finished"
    pooled: dict[Phase, tuple[int, Metrics]] = field(default_factory=dict[Phase, tuple[int, Metrics]])
    """Figures of each phase, and of how many tests: they are asked for far more often than a test is added."""


class Standings:
    """Every configuration's tests so far."""

    def __init__(
        self, pool: Callable[[Sequence[Metrics]], Metrics], days: Mapping[Phase, float], pace: float = 0.0
    ) -> None:
        """*days*: length of each phase of a window; *pace*: trades a day below which nothing can be judged."""
        self._pool = pool
        self._days = days
        self._pace = pace
        self._entries: dict[str, Entry] = {}

    def add(self, config: RunConfig, segment: int, tests: Iterable[TestReport]) -> None:
        self._entries.setdefault(config.run_id, Entry(config, segment)).tests.extend(tests)

    def settle(self, run_id: str, fate: str) -> None:
        if run_id in self._entries:
            self._entries[run_id].fate = fate

    def config(self, run_id: str) -> RunConfig:
        return self._entries[run_id].config

    def _figures(self, entry: Entry, phase: Phase) -> Metrics:
        count, figures = entry.pooled.get(phase, (0, None))
        if figures is None or count != len(entry.tests):
            figures = self._pool([getattr(test, phase) for test in entry.tests])
            entry.pooled[phase] = len(entry.tests), figures
        return figures

    def report(self, run_id: str, phase: Phase = "train") -> VariationReport:
        entry = self._entries[run_id]
        return VariationReport(
            run_id=run_id,
            segment=entry.segment,
            methods=entry.config.methods,
            params=entry.config.params,
            tests=len(entry.tests),
            phase=phase,
            metrics=self._figures(entry, phase),
            fate=entry.fate,  # pyright: ignore[reportArgumentType] # a closed set, checked by the model
        )

    def ranked(self, phase: Phase = "train", minimum: int = 1) -> list[VariationReport]:
        """Reports of all configurations with at least *minimum* tests: those that trade often enough first, each
        part by mean Sharpe. What trades too rarely cannot be judged in the end, however well it looks."""
        reports = [self.report(run, phase) for run, entry in self._entries.items() if len(entry.tests) >= minimum]
        return sorted(reports, key=lambda r: (not self._often_enough(r), -by_value(r.metrics.sharpe), r.run_id))

    def _often_enough(self, report: VariationReport) -> bool:
        days = report.tests * self._days[report.phase]
        return report.metrics.n_trades >= self._pace * days

    def of_segment(self, segment: int, phase: Phase) -> list[VariationReport]:
        return [report for report in self.ranked(phase) if report.segment == segment]


def leaderboard(tests: Iterable[TestReport], runner: Runner) -> list[dict[str, object]]:
    """One row a test, best validation Sharpe first; money to the micro-dollar, so the column sums to the total."""
    ranked = sorted(tests, key=lambda t: (-by_value(t.validation.sharpe), -by_value(t.train.sharpe), t.test_id))
    defaults = {name: runner.space(name) for name in {test.methods for test in ranked}}
    return [_row(rank, test, defaults[test.methods].defaults()) for rank, test in enumerate(ranked, start=1)]


def _row(rank: int, test: TestReport, defaults: dict[str, int | float | bool]) -> dict[str, object]:
    whole = test.whole
    return {
        "rank": rank,
        "test_id": test.test_id,
        "segment": test.test_id.split("_")[0].removeprefix("seg"),
        "parent_run": test.parent_run,
        "methods": "+".join(test.methods),
        "window": test.window,
        "total_pnl": whole.total_pnl,
        "train_pnl": test.train.total_pnl,
        "validation_pnl": test.validation.total_pnl,
        "n_trades": whole.n_trades,
        "hit": whole.hit,
        "payoff": whole.payoff,
        "maxdd": whole.maxdd,
        "blunders": whole.blunders,
        "sharpe": whole.sharpe,
        "profit_factor": whole.profit_factor,
        "expectancy": whole.expectancy,
        "exposure": whole.exposure,
        "train_sharpe": test.train.sharpe,
        "validation_sharpe": test.validation.sharpe,
        "train_score": test.train.score,
        "validation_score": test.validation.score,
        "score": whole.score,
        **whole.extra,
        "params": " ".join(f"{p.name}={p.value}" for p in test.params if defaults.get(p.name) != p.value),
    }
