"""batches owns the tests of a segment: run a batch, read the scores, patch a leader, judge the patch, end a loser."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from maestro.control import patcher
from maestro.control.context import Desk
from maestro.control.learning import measure
from maestro.control.learning.analyzer import Analyzer
from maestro.control.learning.patching import Changing, step
from maestro.control.learning.variation_queue import PlannedTest, VariantRun
from maestro.control.record.observations import VariantRecord
from maestro_protocol.config import RunConfig
from maestro_protocol.ids import MessageId, RunId, segment_run, test_run, test_span
from maestro_protocol.messages.plan import Goal, MetricChange, PlanEvent
from maestro_protocol.messages.report import Alert, TestReport
from maestro_protocol.messages.rules import Rule
from maestro_protocol.ports import TestOutcome
from maestro_protocol.values import Change

LEADING = 5
"""A patch is worth its tests on variants of which no more than so many have a higher mean."""
LEAST_PAIRS = 2
"""Windows that a variant was on before a change of it can be measured."""


@dataclass(frozen=True)
class PendingPatch:
    """A patch whose worth is not known yet: the variant with it, the one without, what was asked."""

    patched: VariantRun
    without: VariantRecord
    changes: tuple[Change, ...]
    asked: MessageId


@dataclass
class Watched:
    """What the analyzer has seen of one variant."""

    analyzer: Analyzer
    alerts: tuple[Alert, ...] = ()
    tests: int = 0
    spent: bool = False
    """Whether a change of it was asked about already."""


def keep_batch(
    desk: Desk, segment: int, numbers: Sequence[int], configs: Sequence[RunConfig], outcomes: Sequence[TestOutcome]
) -> None:
    """Count and keep what a batch left: the ledger, the tests so far, the files."""
    for config, outcome in zip(configs, outcomes, strict=True):
        record = desk.ledger.count(config, segment, "implementer", "run")
        if record is not None:
            desk.steps.say(record)
        desk.tests.append(outcome.report)
        desk.trades += outcome.n_trades
        desk.episodes += len(outcome.episodes)
    desk.folder.tests(segment, list(zip(numbers, configs, outcomes, strict=True)))


@dataclass
class TestBatches:
    """The tests of one segment that learns while it runs."""

    __test__ = False  # not a pytest class

    desk: Desk
    segment: int
    goal: Goal
    tests: int
    results: list[TestReport] = field(default_factory=list[TestReport])
    _queue: list[PlannedTest] = field(default_factory=list[PlannedTest])
    _batch: int = 0
    _patches: int = 0
    _measured: int = 0
    _pending: PendingPatch | None = None
    _watched: dict[RunId, Watched] = field(default_factory=dict[RunId, Watched])

    def __post_init__(self) -> None:
        self._changing = Changing(self.desk, self.segment, self.goal, self.tests)

    async def run(self, planned: Sequence[PlannedTest]) -> int:
        """Run *planned*, and in place of its last what patches put first; how many tests ran."""
        before = len(self.results)
        self._queue = list(planned)
        while self._queue:
            size = self.desk.config.batch
            batch, self._queue = self._queue[:size], self._queue[size:]
            await self._run_batch(batch)
            self.desk.watch(self.segment, self.goal)
        return len(self.results) - before

    async def _run_batch(self, batch: Sequence[PlannedTest]) -> None:
        desk = self.desk
        self._batch += 1
        first = len(self.results) + 1
        numbers = list(range(first, first + len(batch)))
        configs = [self._config(number, test) for number, test in zip(numbers, batch, strict=True)]
        outcomes = await desk.steps.run(configs, self.segment, self._batch)
        keep_batch(desk, self.segment, numbers, configs, outcomes)
        self.results.extend(outcome.report for outcome in outcomes)
        seen: dict[RunId, VariantRun] = {}
        for test, outcome in zip(batch, outcomes, strict=True):
            variant = test.variant
            origin = _started(variant)
            desk.observations.add(origin, outcome.report, by_lot=variant.by_lot)
            desk.standings.add(origin, self.segment, [outcome.report])
            self._feed(origin, outcome)
            seen[origin.run_id] = variant
        if self._pending is not None and not self._left(self._pending.patched):
            self._judge(self._pending)
            self._pending = None
        await self._learn(seen)

    def _config(self, number: int, test: PlannedTest) -> RunConfig:
        variant, name = test.variant, test_run(self.segment, number)
        if variant.origin is not None:
            return patcher.for_test(variant.origin, name, test.window)
        space = self.desk.space(variant.methods)
        made = patcher.derive(variant.parent, name, variant.methods, variant.values, space, variant.because)
        variant.origin = made
        return made.model_copy(update={"window": test.window})

    def _feed(self, origin: RunConfig, outcome: TestOutcome) -> None:
        desk = self.desk
        watched = self._watched.get(origin.run_id)
        if watched is None:
            policies = desk.config.policies
            analyzer = Analyzer(
                desk.config.rules.rules, policies, policies.policy(desk.config.policy), desk.statistics
            )
            watched = self._watched[origin.run_id] = Watched(analyzer)
        space = desk.space(origin.methods)

        def suggest(rule: Rule) -> tuple[Change, ...]:
            return patcher.suggested(rule, origin, space)

        found = watched.analyzer.feed(outcome.report.test_id, outcome.episodes, suggest)
        watched.alerts = found or watched.alerts
        watched.tests += 1

    def _left(self, variant: VariantRun) -> list[PlannedTest]:
        return [test for test in self._queue if test.variant is variant]

    async def _learn(self, seen: dict[RunId, VariantRun]) -> None:
        """Ask about the variant of this batch that loses beyond doubt, or about the best one off its targets."""
        for variant in seen.values():
            watched = self._watched[_started(variant).run_id]
            losing = watched.analyzer.losing() if self._may_end(variant, watched) else None
            if losing is not None:
                watched.spent = True
                await self._consider(variant, (losing,))
                return
        candidates = [variant for variant in seen.values() if self._may_patch(variant)]
        if candidates:
            best = min(candidates, key=lambda variant: self.desk.observations.place(self._record(variant)))
            watched = self._watched[_started(best).run_id]
            watched.spent = True
            await self._consider(best, watched.alerts)

    def _record(self, variant: VariantRun) -> VariantRecord:
        known = self.desk.observations.record(variant.methods, variant.values)
        assert known is not None
        return known

    def _may_end(self, variant: VariantRun, watched: Watched) -> bool:
        enough = watched.tests >= self.desk.config.policies.kill.min_tests
        return enough and not watched.spent and bool(self._left(variant))

    def _may_patch(self, variant: VariantRun) -> bool:
        """Whether a change of it can be measured in this round: on its windows, in place of the last tests."""
        watched, record = self._watched[_started(variant).run_id], self._record(variant)
        pairs = len(record.reports)
        return (
            bool(watched.alerts)
            and not watched.spent
            and self._pending is None
            and self._patches < self.desk.config.policies.max_patches_per_segment
            and LEAST_PAIRS <= pairs <= len(self._queue)
            and not self._left(variant)
            and self.desk.observations.place(record) < LEADING
        )

    async def _consider(self, variant: VariantRun, alerts: tuple[Alert, ...]) -> None:
        """What critic and strategist agree on is done to the tests that are left."""
        answer = await self._changing.agreed(alerts, _started(variant))
        final = None if answer is None else answer.body
        if answer is None or not isinstance(final, PlanEvent):
            return
        if final.action == "kill":
            self._kill(variant, final)
        elif final.action == "adjust" and final.change and self._may_still(variant):
            await self._patch(variant, final, answer.id)

    def _may_still(self, variant: VariantRun) -> bool:
        return not self._left(variant) and len(self._record(variant).reports) <= len(self._queue)

    def _kill(self, variant: VariantRun, event: PlanEvent) -> None:
        desk, origin = self.desk, _started(variant)
        self._record(variant).fate = "killed"
        desk.standings.settle(origin.run_id, "killed")
        record = desk.ledger.count(origin, self.segment, "strategist", "killed", event.reason)
        if record is not None:
            desk.steps.say(record)
        desk.notes.append(f"killed: {origin.run_id} ({event.reason})")
        self._queue = [test for test in self._queue if test.variant is not variant]

    async def _patch(self, variant: VariantRun, event: PlanEvent, because: MessageId) -> None:
        """Put the patched variant on the windows of the one without, in place of the last tests of the round."""
        desk, origin, without = self.desk, _started(variant), self._record(variant)
        first, pairs = len(self.results) + 1, len(without.reports)
        reach = test_span(self.segment, first, first + pairs - 1)
        self._changing.approved = variant.approved
        run_id = segment_run(self.segment, 1, self._patches + 1)
        known = desk.observations.record(
            origin.methods, origin.values() | {change.parameter: change.new for change in event.change}
        )
        refused = None if known is None else f"with it, it is {known.origin.run_id}, which ran"
        patched = await self._changing.patched(origin, event, because, run_id, reach, refused)
        if patched is None:
            return
        self._patches += 1
        changed = VariantRun(
            origin, patched.methods, patched.values(), because, False, None, patched, self._changing.approved
        )
        desk.keep(self.segment, patched)
        windows = {window.index: window for window in desk.windows}
        tests = [PlannedTest(changed, windows[report.window]) for report in without.reports]
        self._queue = tests + self._queue[: len(self._queue) - pairs]
        changes = patcher.with_old(event.change, origin)
        self._pending = PendingPatch(changed, without, changes, because)
        next_step = "measured on the windows of the variant without it, paired"
        self._changing.tell(origin, event.change, "applied", reach, event.reason, next_step, because)

    def _judge(self, pending: PendingPatch) -> None:
        """Compare the tests with the patch to those of the variant without it on the same windows."""
        desk, origin = self.desk, _started(pending.patched)
        with_it = self._record(pending.patched)
        shared = {report.window: report for report in with_it.reports}
        pairs = [(shared[r.window], r) for r in pending.without.reports if r.window in shared]
        self._measured += 1
        change, helps = measure.paired(
            [after for after, _ in pairs],
            [before for _, before in pairs],
            measure.window_groups_of(
                [w for after, _ in pairs for w in desk.windows if w.index == after.window], desk.config.windows
            ),
            desk.config.policies.measure,
            desk.statistics,
            desk.config.seed * 1_000 + self.segment * 100 + self._measured,
            least=min(desk.config.policies.measure.min_windows, len(desk.windows)),
        )
        words = _in_words(change)
        first = len(self.results) + 1
        reach = test_span(self.segment, first, first + len(self._queue) - 1) if self._queue else "no test is left"
        if helps:
            tell = "the patch stands"
            self._changing.tell(origin, pending.changes, "kept", reach, words, tell, pending.asked, change)
            return
        record = desk.ledger.count(origin, self.segment, "critic", "reverted", words)
        if record is not None:
            desk.steps.say(record)
        with_it.fate = "reverted"
        desk.standings.settle(origin.run_id, "reverted")
        desk.notes.extend(f"reverted: {step(c)} ({words})" for c in pending.changes)
        tell = "tests go on without it"
        self._changing.tell(origin, pending.changes, "reverted", reach, words, tell, pending.asked, change)


def _started(variant: VariantRun) -> RunConfig:
    assert variant.origin is not None
    return variant.origin


def _in_words(change: MetricChange) -> str:
    if change.before is None or change.after is None:
        return f"{change.metric}: no window could be compared"
    p_value = "undefined" if change.p_value is None else f"{change.p_value:.3f}"
    return (
        f"{change.metric} {change.before:.2f} -> {change.after:.2f} on the same {change.windows} windows, "
        f"sign-flip p = {p_value}"
    )
