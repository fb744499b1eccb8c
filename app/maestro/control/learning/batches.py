"""batches owns the learning part of a segment: run a batch, read the scores, patch what is left, judge the patch."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from maestro.control import patcher
from maestro.control.candidate import Candidate
from maestro.control.context import Desk
from maestro.control.learning import measure
from maestro.control.learning.analyzer import Analyzer
from maestro.control.learning.patching import Changing, step
from maestro.control.learning.variation_queue import LineUp
from maestro_protocol.config import RunConfig
from maestro_protocol.errors import UsageError
from maestro_protocol.ids import MessageId, segment_run, test_run, test_span
from maestro_protocol.messages.plan import Goal, MetricChange, PlanEvent
from maestro_protocol.messages.report import Alert, TestReport
from maestro_protocol.messages.rules import Rule
from maestro_protocol.ports import TestOutcome
from maestro_protocol.space import Value
from maestro_protocol.values import Change

Draft = Callable[[LineUp, Candidate], Awaitable[None]]


@dataclass(frozen=True)
class OnTrial:
    """A patch whose worth is not known yet: the template without it, what was approved then, and what was asked."""

    without: RunConfig
    approved: Mapping[str, Value]
    changes: tuple[Change, ...]
    asked: MessageId


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


class Batches:
    """The tests of one segment that learns while it runs."""

    def __init__(
        self,
        desk: Desk,
        segment: int,
        goal: Goal,
        tests: int,
        schedule: patcher.Schedule,
        lineup: LineUp,
        draft: Draft,
    ) -> None:
        self._desk = desk
        self._segment = segment
        self._goal: Goal = goal
        self._tests = tests
        self._schedule = schedule
        self._lineup = lineup
        self._draft = draft
        self._variation = 0
        self._patches = 0
        self._measured = 0
        self._on_trial: OnTrial | None = None
        self._changing = Changing(desk, segment, goal, tests)

    async def run(self) -> list[TestReport]:
        await self._next_variation()
        results: list[TestReport] = []
        size = self._desk.config.batch
        for batch, first in enumerate(range(1, self._tests + 1, size), start=1):
            numbers = range(first, min(first + size, self._tests + 1))
            configs = [self._test(number) for number in numbers]
            outcomes = await self._desk.steps.run(configs, self._segment, batch)
            keep_batch(self._desk, self._segment, list(numbers), configs, outcomes)
            results.extend(outcome.report for outcome in outcomes)
            self._desk.standings.add(self._template, self._segment, [outcome.report for outcome in outcomes])
            await self._learn(configs, outcomes, first_left=numbers[-1] + 1)
            self._desk.watch(self._segment, self._goal)
        return results

    def _test(self, number: int) -> RunConfig:
        """The *number*-th test: every second one strays from the template, so the search sees its surroundings."""
        window, _ = self._schedule.window(number)
        jitter = self._candidate.jitter if number % 2 == 0 else ()
        key = (self._desk.config.seed, self._segment, number)
        space = self._desk.space(self._template.methods)
        stray = patcher.strayed(self._template, jitter, space, key)
        config = patcher.for_test(
            self._template, test_run(self._segment, number), window, stray, self._candidate.drafted
        )
        try:
            self._desk.runner.check(config)
        except UsageError:  # jitter broke a rule between parameters: the test runs unjittered
            config = patcher.for_test(self._template, test_run(self._segment, number), window)
        return config

    async def _next_variation(self) -> bool:
        candidate = self._lineup.next()
        if candidate is None:
            return False
        self._variation += 1
        self._patches = 0
        self._candidate = candidate
        await self._draft(self._lineup, candidate)
        self._changing.approved = candidate.config.values()
        self._adopt(candidate.config)
        return True

    def _adopt(self, template: RunConfig) -> None:
        """Tests that have not started descend from *template* from now on."""
        self._template = template
        self._analyzer = Analyzer(
            self._desk.config.rules.rules,
            self._desk.config.policies,
            self._desk.config.policies.policy(self._desk.config.policy),
            self._desk.statistics,
        )
        self._desk.keep(self._segment, template)

    async def _learn(self, configs: Sequence[RunConfig], outcomes: Sequence[TestOutcome], first_left: int) -> None:
        template = self._template
        alerts: tuple[Alert, ...] = ()
        for outcome in outcomes:
            found = self._analyzer.feed(outcome.report.test_id, outcome.episodes, self._suggest)
            alerts = alerts or found
        if self._on_trial is not None:
            self._judge(self._on_trial, configs, outcomes, first_left)
            self._on_trial = None
        losing = self._losing()
        if losing is not None:
            alerts = (*alerts, losing)
        if alerts and first_left <= self._tests and self._template is template:
            await self._consider(alerts, first_left)

    def _suggest(self, rule: Rule) -> tuple[Change, ...]:
        return patcher.suggested(rule, self._template, self._desk.space(self._template.methods))

    def _losing(self) -> Alert | None:
        enough = sum(t.parent_run == self._template.run_id for t in self._desk.tests)
        return self._analyzer.losing() if enough >= self._desk.config.policies.kill.min_tests else None

    async def _consider(self, alerts: tuple[Alert, ...], first_left: int) -> None:
        """What critic and strategist agree on is applied to the tests that are left."""
        answer = await self._changing.agreed(alerts, self._template)
        final = None if answer is None else answer.body
        if answer is None or not isinstance(final, PlanEvent):
            return
        if final.action == "kill":
            await self._kill(final)
        elif final.action == "adjust" and final.change:
            await self._patch(final, answer.id, first_left)

    async def _kill(self, event: PlanEvent) -> None:
        desk = self._desk
        desk.standings.settle(self._template.run_id, "killed")
        record = desk.ledger.count(self._template, self._segment, "strategist", "killed", event.reason)
        if record is not None:
            desk.steps.say(record)
        desk.notes.append(f"killed: {self._template.run_id} ({event.reason})")
        if not await self._next_variation():
            desk.notes.append(f"segment {self._segment}: no variation is left; {self._template.run_id} runs on")

    async def _patch(self, event: PlanEvent, because: MessageId, first_left: int) -> None:
        reach = test_span(self._segment, first_left, self._tests)
        run_id = segment_run(self._segment, self._variation, self._patches + 1)
        most = self._desk.config.policies.max_patches_per_segment
        too_many = f"{self._patches} patches are the most a variation gets" if self._patches >= most else None
        approved = self._changing.approved
        patched = await self._changing.patched(self._template, event, because, run_id, reach, too_many)
        if patched is None:
            return
        self._on_trial = OnTrial(self._template, approved, patcher.with_old(event.change, self._template), because)
        self._patches += 1
        next_step = "measured on the next batch, paired"
        self._changing.tell(self._template, event.change, "applied", reach, event.reason, next_step, because)
        self._adopt(patched)

    def _judge(
        self, trial: OnTrial, configs: Sequence[RunConfig], outcomes: Sequence[TestOutcome], first_left: int
    ) -> None:
        """Compare the batch that ran with the patch to the same tests without it; what does not help is reverted."""
        desk = self._desk
        without = desk.runner.compare(measure.twins(configs, self._template, trial.without))
        self._measured += 1
        change, helps = measure.paired(
            [outcome.report for outcome in outcomes],
            without,
            measure.window_groups(configs, desk.config.windows),
            desk.config.policies.measure,
            desk.statistics,
            desk.config.seed * 1_000 + self._segment * 100 + self._measured,
        )
        words = _in_words(change)
        reach = test_span(self._segment, first_left, self._tests) if first_left <= self._tests else "no test is left"
        if helps:
            self._changing.tell(
                self._template, trial.changes, "kept", reach, words, "the patch stands", trial.asked, change
            )
            return
        record = desk.ledger.count(self._template, self._segment, "critic", "reverted", words)
        if record is not None:
            desk.steps.say(record)
        desk.standings.settle(self._template.run_id, "reverted")
        desk.notes.extend(f"reverted: {step(c)} ({words})" for c in trial.changes)
        self._changing.tell(
            self._template, trial.changes, "reverted", reach, words, "tests go on without it", trial.asked, change
        )
        self._changing.approved = trial.approved
        self._adopt(trial.without)


def _in_words(change: MetricChange) -> str:
    if change.before is None or change.after is None:
        return f"{change.metric}: no window could be compared"
    p_value = "undefined" if change.p_value is None else f"{change.p_value:.3f}"
    return (
        f"{change.metric} {change.before:.2f} -> {change.after:.2f} on the same {change.windows} windows, "
        f"sign-flip p = {p_value}"
    )
