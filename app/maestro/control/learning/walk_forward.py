"""walk_forward owns the segment that chooses on each window's train part and is judged on its validation part.

What a window chooses from, and by, ended before its validation part begins. The search before this segment has seen
every open window, so nothing that it found may be chosen from: the pool is what was proposed before anything ran,
every method's defaults, and lots drawn from the seed. Of the pool, those compete in a window that did best in windows
which ended before it begins, and the window's own train part chooses among them.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence

from maestro.control import patcher
from maestro.control.context import Desk
from maestro.control.learning.batches import keep_batch
from maestro.control.record.ledger import distinct
from maestro.control.record.standings import by_value
from maestro_protocol.config import RunConfig
from maestro_protocol.errors import UsageError
from maestro_protocol.ids import MessageId, test_run
from maestro_protocol.messages.campaign import WindowPlan
from maestro_protocol.messages.report import TestReport
from maestro_protocol.space import ParameterSpec, Value

POOL = 24
"""Configurations to choose from, those that were proposed before anything ran among them."""
CANDIDATES = 12
"""Configurations that compete on each window's train part."""
DRAWS = 50
"""Lots drawn for a method before it is left with fewer."""


class WalkForward:
    """One segment of walk-forward tests: the second time through the windows, the runner-up of each is tested."""

    def __init__(self, desk: Desk, segment: int, tests: int, schedule: patcher.Schedule, planned: MessageId) -> None:
        """*planned* is the segment's plan, by which lots are drawn: who asks why a value is one is told of it."""
        self._desk = desk
        self._planned = planned
        self._segment = segment
        self._tests = tests
        self._schedule = schedule

    async def run(self) -> list[TestReport]:
        pool = self._pool()
        order = self._ranked(pool)
        tests = {number: self._test(number, order) for number in range(1, self._tests + 1)}
        used = {config.parent_run for config in tests.values()}
        origins = {config.run_id: config for config in pool if config.run_id in used}
        for config in origins.values():
            self._desk.keep(self._segment, config)
        results: list[TestReport] = []
        size = self._desk.config.batch
        for batch, first in enumerate(range(1, self._tests + 1, size), start=1):
            numbers = range(first, min(first + size, self._tests + 1))
            configs = [tests[number] for number in numbers]
            outcomes = await self._desk.steps.run(configs, self._segment, batch)
            keep_batch(self._desk, self._segment, list(numbers), configs, outcomes)
            reports = [outcome.report for outcome in outcomes]
            for report, config in zip(reports, configs, strict=True):
                self._desk.standings.add(origins[str(config.parent_run)], self._segment, [report])
            results.extend(reports)
            self._desk.watch(self._segment, "walk_forward")
        return results

    def _pool(self) -> list[RunConfig]:
        """What no result has had a part in, under names of this segment."""
        known = distinct([*self._desk.unseen, *self._drawn()])[:POOL]
        return [
            config.model_copy(update={"run_id": f"seg{self._segment}-c{place:02d}", "window": None})
            for place, config in enumerate(known, start=1)
        ]

    def _drawn(self) -> Iterator[RunConfig]:
        """Each method's defaults, then lots of each in turn."""
        lots = [self._lots(method) for method in self._desk.runner.methods()]
        for row in itertools.zip_longest(*lots):
            yield from (config for config in row if config is not None)

    def _lots(self, method: str) -> Iterator[RunConfig]:
        desk = self._desk
        space = desk.space((method,))
        for number in range(DRAWS):
            key = (desk.config.seed, self._segment, method, number)
            values = {spec.name: _lot(spec, key) for spec in space.specs} if number else space.defaults()
            config = patcher.derive(desk.root, f"seg{self._segment}", (method,), values, space, self._planned)
            try:
                desk.runner.check(config)
            except UsageError:  # the lots break a rule between parameters
                continue
            yield config

    def _test(self, number: int, order: dict[int, list[RunConfig]]) -> RunConfig:
        window, lap = self._schedule.window(number)
        ranked = order[window.index]
        return patcher.for_test(ranked[lap % len(ranked)], test_run(self._segment, number), window)

    def _ranked(self, pool: Sequence[RunConfig]) -> dict[int, list[RunConfig]]:
        """The candidates of each window that will be tested, best first by its train part."""
        windows = {w.index: w for w, _ in map(self._schedule.window, range(1, self._tests + 1))}
        trials = [patcher.for_test(config, config.run_id, w) for w in windows.values() for config in pool]
        reports = iter(self._desk.runner.compare(trials))
        tried = {index: {config.run_id: next(reports) for config in pool} for index in windows}
        order: dict[int, list[RunConfig]] = {}
        for index, window in windows.items():
            past = [tried[other.index] for other in windows.values() if other.end <= window.first]
            earned = {c.run_id: math.fsum(float(one[c.run_id].whole.total_pnl) for one in past) for c in pool}
            train = {c.run_id: by_value(tried[index][c.run_id].train.sharpe) for c in pool}
            best = sorted(pool, key=lambda config: -earned[config.run_id])[:CANDIDATES]
            order[index] = sorted(best, key=lambda config: (-train[config.run_id], config.run_id))
        return order


def _lot(spec: ParameterSpec, key: tuple[object, ...]) -> Value:
    """A number between the parameter's bounds; switches and votes stay as they are, one method has nobody to ask."""
    if spec.kind == "bool" or spec.unit == "votes":
        return spec.default
    return spec.clip(spec.low + patcher.draw(*key, spec.name) * (spec.high - spec.low))


def efficiency(results: Sequence[TestReport], windows: WindowPlan) -> float | None:
    """Walk-forward efficiency: PnL per day on validation over PnL per day on train; null unless train made money."""
    train = sum(float(test.train.total_pnl) for test in results) / windows.train_days
    validation = sum(float(test.validation.total_pnl) for test in results) / windows.validation_days
    return validation / train if train > 0 else None
