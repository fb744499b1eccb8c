"""walk_forward owns the segment that chooses on each window's train part and is judged on its validation part."""

from __future__ import annotations

from collections.abc import Sequence

from maestro.control import patcher
from maestro.control.desk import Desk
from maestro.control.learning.batches import keep_batch
from maestro.control.record.ledger import distinct
from maestro.control.record.standings import by_value
from maestro_protocol.config import RunConfig
from maestro_protocol.ids import test_run
from maestro_protocol.messages.campaign import WindowPlan
from maestro_protocol.messages.report import TestReport

CANDIDATES = 12
"""Configurations that compete on each window's train part."""


class WalkForward:
    """One segment of walk-forward tests: the second time through the windows, the runner-up of each is tested."""

    def __init__(self, desk: Desk, segment: int, tests: int, schedule: patcher.Schedule) -> None:
        self._desk = desk
        self._segment = segment
        self._tests = tests
        self._schedule = schedule
        self._order: dict[int, list[RunConfig]] = {}

    async def run(self, proposed: Sequence[RunConfig]) -> list[TestReport]:
        candidates = self._candidates(proposed)
        for config in candidates:
            self._desk.keep(self._segment, config)
        self._rank(candidates)
        results: list[TestReport] = []
        size = self._desk.config.batch
        for batch, first in enumerate(range(1, self._tests + 1, size), start=1):
            numbers = range(first, min(first + size, self._tests + 1))
            configs = [self._test(number, candidates) for number in numbers]
            outcomes = await self._desk.steps.run(configs, self._segment, batch)
            keep_batch(self._desk, self._segment, list(numbers), configs, outcomes)
            reports = [outcome.report for outcome in outcomes]
            for report, config in zip(reports, configs, strict=True):
                origin = next(c for c in candidates if c.run_id == config.parent_run)
                self._desk.standings.add(origin, self._segment, [report])
            results.extend(reports)
            self._desk.watch(self._segment, "walk_forward")
        return results

    def _candidates(self, proposed: Sequence[RunConfig]) -> list[RunConfig]:
        standings = self._desk.standings
        known = [standings.config(report.run_id) for report in standings.ranked("train")]
        again = [
            config.model_copy(update={"parent_run": config.run_id, "changes_from_parent": ()}) for config in known
        ]
        return [
            config.model_copy(update={"run_id": f"seg{self._segment}-c{place:02d}", "window": None})
            for place, config in enumerate(distinct([*again, *proposed])[:CANDIDATES], start=1)
        ]

    def _test(self, number: int, candidates: Sequence[RunConfig]) -> RunConfig:
        window, lap = self._schedule.window(number)
        order = self._order[window.index]
        return patcher.for_test(order[lap % len(order)], test_run(self._segment, number), window)

    def _rank(self, candidates: Sequence[RunConfig]) -> None:
        """Order the candidates on each window that will be tested, by its train part alone, best Sharpe first."""
        windows = {w.index: w for w, _ in map(self._schedule.window, range(1, self._tests + 1))}
        trials = [patcher.for_test(config, config.run_id, w) for w in windows.values() for config in candidates]
        reports = iter(self._desk.runner.compare(trials))
        for index in windows:
            ranked = sorted(
                ((next(reports), config) for config in candidates),
                key=lambda pair: (-by_value(pair[0].train.sharpe), pair[1].run_id),
            )
            self._order[index] = [config for _, config in ranked]


def efficiency(results: Sequence[TestReport], windows: WindowPlan) -> float | None:
    """Walk-forward efficiency: PnL per day on validation over PnL per day on train; null unless train made money."""
    train = sum(float(test.train.total_pnl) for test in results) / windows.train_days
    validation = sum(float(test.validation.total_pnl) for test in results) / windows.validation_days
    return validation / train if train > 0 else None
