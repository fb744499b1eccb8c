"""segment owns one segment of a campaign: plan, proposal, critique, quick test, draft, then tests in batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, cast

from maestro.control import patcher
from maestro.control.candidate import Candidate
from maestro.control.context import Desk
from maestro.control.learning.batches import Batches
from maestro.control.learning.variation_queue import LineUp
from maestro.control.learning.walk_forward import WalkForward, efficiency
from maestro.control.record.standings import by_value
from maestro_protocol.config import RunConfig
from maestro_protocol.envelope import Envelope
from maestro_protocol.errors import UsageError
from maestro_protocol.ids import MessageId
from maestro_protocol.messages.plan import (
    Advice,
    AskedAt,
    Critique,
    Goal,
    PlanEvent,
    Proposal,
    QuickTest,
    RoleName,
    RunConfigDraft,
    SegmentPlan,
)
from maestro_protocol.messages.report import SegmentFinished, TestReport

MAX_PROPOSALS = 2
"""Proposals a segment asks for before it runs what there is."""


def goal_of(segment: int, segments: int) -> Goal:
    """What the *segment*-th of *segments* is for; of five: explore twice, new methods, walk forward, ensemble."""
    if segments < 3:
        return "explore"
    if segment == segments:
        return "ensemble"
    if segment == segments - 1:
        return "walk_forward"
    return "new_methods" if segment == segments - 2 and segments >= 4 else "explore"


class Segment:
    """Runs one segment to its end."""

    def __init__(self, desk: Desk, number: int, tests: int) -> None:
        self.desk = desk
        self.number = number
        self.tests = tests
        self.goal: Goal = goal_of(number, desk.config.segments)
        self.schedule = patcher.Schedule(desk.config.seed, number, desk.runner.windows)

    async def run(self) -> SegmentFinished:
        plan, planned = await self._plan()
        lineup, critique = await self._line_up(plan)
        if not self.desk.tests:
            self.desk.unseen.extend(lineup.configs())
        before = (self.desk.patches_applied, self.desk.patches_refused)
        if self.goal == "walk_forward":
            results = await WalkForward(self.desk, self.number, self.tests, self.schedule, planned).run()
        else:
            self._quick_test(lineup, critique.quick_test)
            batches = Batches(self.desk, self.number, self.goal, self.tests, self.schedule, lineup, self.draft)
            results = await batches.run()
        if self.goal == "walk_forward" and self.desk.config.only_segment is None:
            lineup.carry()
        else:
            lineup.leave()
        finished = self._finish(results, before)
        self.desk.folder.results(self.number, finished)
        return finished

    async def _advised(self, when: AskedAt, **told: object) -> dict[str, object]:
        """*told*, and what the roles from outside that are asked *when* say of it, each by itself."""
        answers = [await self._ask(role, "Advice", **told) for role in self.desk.advisors.get(when, ())]
        return told | ({"advice": tuple(cast("Advice", answer.body) for answer in answers)} if answers else {})

    async def _ask(self, role: RoleName, wants: str, **more: object) -> Envelope:
        briefing = self.desk.briefing(role, wants, self.number, self.goal, self.tests, **more)
        return await self.desk.steps.ask(briefing)

    async def _plan(self) -> tuple[SegmentPlan, MessageId]:
        answer = await self._ask("maestro", "SegmentPlan", **await self._advised("before_plan"))
        plan = cast("SegmentPlan", answer.body)
        self.desk.folder.plan(self.number, plan)
        self.desk.watch(self.number, self.goal, "planned")
        return plan, answer.id

    async def _line_up(self, plan: SegmentPlan) -> tuple[LineUp, Critique]:
        """Proposals until the critic takes one, or the last one all the same: a segment has to run something."""
        lineup = LineUp(self.desk, self.number, plan)
        for attempt in range(MAX_PROPOSALS):
            asked = await self._ask("strategist", "Proposal", plan=plan)
            proposal = cast("Proposal", asked.body)
            lineup.take(proposal, asked.id)
            offered = await self._advised("after_proposal", plan=plan, proposal=proposal)
            judged = await self._ask("critic", "Critique", **offered)
            critique = cast("Critique", judged.body)
            lineup.judge(critique)
            if critique.verdict != "rejected" and critique.chosen is not None:
                lineup.choose(critique.chosen, critique.proposed_change, judged.id)
                break
            lineup.reject(critique, last=attempt + 1 == MAX_PROPOSALS)
        lineup.settle()
        return lineup, critique  # pyright: ignore[reportPossiblyUnboundVariable] # MAX_PROPOSALS >= 1

    def _quick_test(self, lineup: LineUp, quick: QuickTest) -> None:
        """Run the chosen variation on a few windows; one that falls short goes to the end of the line."""
        tried: list[tuple[float, Candidate]] = []
        for candidate in lineup.candidates():
            value, passes = self._quick_result(candidate.config, quick)
            shown = "undefined" if value is None else f"{value:.4g}"
            self._note(
                "keep" if passes else "kill",
                f"quick test of {candidate.name[:80]}: {'passed' if passes else 'failed'}",
                f"{quick.metric} {shown} over {quick.tests} windows, wanted {quick.op} {quick.value:g}",
                applies_to=candidate.name,
            )
            if passes:
                lineup.start(candidate)
                return
            tried.append((by_value(value), candidate))
            lineup.count(candidate, "quick_test_failed")
        if tried:
            nearest = max(tried, key=lambda item: item[0])[1]
            lineup.start(nearest)
            self._note(
                "keep",
                f"{nearest.name[:80]} runs all the same: a segment has to run something",
                f"all {len(tried)} variations failed the quick test, and it came nearest",
                applies_to=nearest.name,
            )

    def _quick_result(self, config: RunConfig, quick: QuickTest) -> tuple[float | None, bool]:
        configs = [
            patcher.for_test(config, f"quick{test:02d}", self.schedule.window(test)[0])
            for test in range(1, quick.tests + 1)
        ]
        pooled = self.desk.runner.pool([report.train for report in self.desk.runner.compare(configs)])
        raw = getattr(pooled, quick.metric)
        value = None if raw is None else float(raw)
        reached = value is not None and (value >= quick.value if quick.op == ">=" else value <= quick.value)
        return value, reached

    async def draft(self, lineup: LineUp, candidate: Candidate) -> None:
        """Let the implementer make *candidate* concrete; what does not hold is refused and the variation stands."""
        told = {"plan": lineup.plan, "proposal": candidate.proposal, "critique": candidate.critique}
        answer = await self._ask("implementer", "RunConfigDraft", **await self._advised("after_critique", **told))
        draft = cast("RunConfigDraft", answer.body)
        try:
            candidate.adopt(draft, answer.id, self.desk.space(candidate.config.methods), self.desk.runner)
        except UsageError as error:
            self._note("keep", "draft refused; the variation runs as proposed", str(error)[:4000], because=answer.id)

    def _note(
        self,
        action: Literal["keep", "kill"],
        reason: str,
        evidence: str,
        applies_to: str | None = None,
        because: MessageId | None = None,
    ) -> None:
        """Say what control itself decided, and on what evidence; nothing is changed by it."""
        event = PlanEvent(
            agent="control",
            turn=self.desk.turn,
            episode_id=None,
            action=action,
            change=(),
            reason=reason,
            evidence=evidence,
            applies_to=applies_to,
        )
        self.desk.steps.say(event, because=because)

    def _finish(self, results: Sequence[TestReport], before: tuple[int, int]) -> SegmentFinished:
        desk = self.desk
        pool = desk.runner.pool
        finished = SegmentFinished(
            segment=self.number,
            goal=self.goal,
            tests=len(results),
            variations=tuple(desk.standings.of_segment(self.number, "train")),
            patches_applied=desk.patches_applied - before[0],
            patches_refused=desk.patches_refused - before[1],
            train=pool([test.train for test in results]),
            validation=pool([test.validation for test in results]),
            whole=pool([test.whole for test in results]),
            walk_forward_efficiency=efficiency(results, desk.config.windows) if self.goal == "walk_forward" else None,
            results=tuple(results),
        )
        desk.steps.say(finished)
        return finished
