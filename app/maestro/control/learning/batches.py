"""batches owns the learning part of a segment: run a batch, read the scores, patch what is left, judge the patch."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from maestro.control import gatekeeping, patcher
from maestro.control.desk import Desk
from maestro.control.learning import measure
from maestro.control.learning.analyzer import Analyzer
from maestro.control.learning.lineup import Candidate, LineUp
from maestro_protocol.config import RunConfig
from maestro_protocol.errors import GateRefused, UsageError
from maestro_protocol.ids import MessageId, segment_run, test_run, test_span
from maestro_protocol.messages.plan import Goal, MetricChange, PatchApplied, PlanEvent
from maestro_protocol.messages.report import Alert, TestReport
from maestro_protocol.messages.rules import Rule
from maestro_protocol.patch import Patch
from maestro_protocol.ports import TestOutcome
from maestro_protocol.space import ParameterSpace
from maestro_protocol.values import Change

Draft = Callable[[LineUp, Candidate], Awaitable[None]]


@dataclass(frozen=True)
class OnTrial:
    """A patch whose worth is not known yet: the template without it, and what was asked."""

    without: RunConfig
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
        self._desk.folder.template(self._segment, template)

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
        """Critic asks, strategist has the last word; what they agree on is applied to the tests that are left."""
        desk = self._desk
        more = {"alerts": alerts, "current": desk.standings.report(self._template.run_id)}
        briefing = desk.briefing("critic", "PlanEvent", self._segment, self._goal, self._tests, **more)
        asked = await desk.steps.ask(briefing)
        event = asked.body
        assert isinstance(event, PlanEvent)
        if event.action == "keep":
            return
        briefing = desk.briefing(
            "strategist", "PlanEvent", self._segment, self._goal, self._tests, asked=event, **more
        )
        answer = await desk.steps.ask(briefing, because=asked.id)
        final = answer.body
        assert isinstance(final, PlanEvent)
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
        desk = self._desk
        reach = test_span(self._segment, first_left, self._tests)
        run_id = segment_run(self._segment, self._variation, self._patches + 1)
        space = desk.space(self._template.methods)
        try:
            if self._patches >= desk.config.policies.max_patches_per_segment:
                raise UsageError(f"{self._patches} patches are the most a variation gets")
            patched = patcher.apply_changes(self._template, event.change, space, run_id, because, event.reason)
            desk.runner.check(patched)
            await self._permission(patched, event, space, because)
        except (UsageError, GateRefused) as error:
            desk.patches_refused += 1
            values = self._template.values() | {change.parameter: change.new for change in event.change}
            methods = self._template.methods
            desk.steps.say(desk.ledger.refuse(run_id, self._segment, "critic", methods, values, str(error)))
            desk.notes.extend(f"refused: {_step(change)} ({error})" for change in event.change)
            self._say(event.change, "apply", "refused", reach, str(error), "the tests go on as they are", because)
            return
        self._on_trial = OnTrial(self._template, event.change, because)
        self._patches += 1
        desk.patches_applied += 1
        self._say(
            event.change, "apply", "applied", reach, event.reason, "measured on the next batch, paired", because
        )
        self._adopt(patched)

    async def _permission(
        self, patched: RunConfig, event: PlanEvent, space: ParameterSpace, because: MessageId
    ) -> None:
        """Ask the owner where the policy says so. Raises GateRefused."""
        desk = self._desk
        policy = desk.config.gates
        risk = gatekeeping.risk_of(event.change, self._template, space, policy)
        if policy.classes.of(risk).needs == 0:
            return
        now = desk.steps.now_ms()
        request = gatekeeping.patch_request(patched, risk, policy, event.reason, now, desk.config.campaign)
        decided = await desk.steps.gate(request, because)
        if decided.answer != "approved":
            raise GateRefused(f"the patch was {decided.answer}: {decided.reason}")

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
            self._say(trial.changes, "measure", "kept", reach, words, "the patch stands", trial.asked, change)
            return
        record = desk.ledger.count(self._template, self._segment, "critic", "reverted", words)
        if record is not None:
            desk.steps.say(record)
        desk.standings.settle(self._template.run_id, "reverted")
        desk.notes.extend(f"reverted: {_step(c)} ({words})" for c in trial.changes)
        self._say(trial.changes, "revert", "reverted", reach, words, "tests go on without it", trial.asked, change)
        self._adopt(trial.without)

    def _say(
        self,
        changes: Sequence[Change],
        action: str,
        status: str,
        reach: str,
        reason: str,
        next_step: str,
        because: MessageId,
        measured: MetricChange | None = None,
    ) -> None:
        values = self._template.values()
        for change in changes:
            old = change.old if change.old is not None else values.get(change.parameter, 0)
            self._desk.steps.say(
                PatchApplied.model_validate(
                    {
                        "agent": "maestro",
                        "turn": self._desk.turn,
                        "action": action,
                        "patch": Patch(
                            parameter=change.parameter,
                            old_value=old,
                            new_value=change.new,
                            reason=reason[:300],
                            applied_at=None if status == "refused" else self._desk.steps.now_ms(),
                        ),
                        "applied_to": reach,
                        "metrics_after_patch": () if measured is None else (measured,),
                        "status": status,
                        "reason": reason[:300],
                        "next_step": next_step,
                    }
                ),
                sender="maestro",
                because=because,
            )


def _step(change: Change) -> str:
    return f"{change.parameter} {change.old} -> {change.new}"


def _in_words(change: MetricChange) -> str:
    if change.before is None or change.after is None:
        return f"{change.metric}: no window could be compared"
    p_value = "undefined" if change.p_value is None else f"{change.p_value:.3f}"
    return (
        f"{change.metric} {change.before:.2f} -> {change.after:.2f} on the same {change.windows} windows, "
        f"sign-flip p = {p_value}"
    )
