"""segment owns one segment of a campaign: its plan, and rounds of proposal, critique, draft and tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, cast

from maestro.control.context import Desk
from maestro.control.learning.batches import TestBatches
from maestro.control.learning.variation_queue import RoundVariations
from maestro.control.record.observations import VariantRecord
from maestro_protocol.config import WindowRef
from maestro_protocol.envelope import Envelope
from maestro_protocol.ids import MessageId
from maestro_protocol.messages.plan import (
    Advice,
    Allotment,
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
"""Proposals a round asks for before the implementer draws by itself."""
ROUNDS = 3
"""That a segment has at the most, by the rules."""
PROPOSED = ("explore", "neighbours", "untried")
"""Rounds that are for new variants."""


def goal_of(segment: int, segments: int) -> Goal:
    """What the *segment*-th of *segments* is for; of five: explore twice, new methods, walk forward, ensemble."""
    if segments < 3:
        return "explore"
    if segment == segments:
        return "ensemble"
    if segment == segments - 1:
        return "walk_forward"
    return "new_methods" if segment == segments - 2 and segments >= 4 else "explore"


def _within(plan: SegmentPlan, tests: int) -> tuple[Allotment, ...]:
    """The plan's rounds, as far as the segment's tests go; one that explores where it has none."""
    left, rounds = tests, list[Allotment]()
    for each in plan.allocation:
        if left > 0:
            rounds.append(each.model_copy(update={"tests": min(each.tests, left)}))
            left -= each.tests
    if not rounds:
        return (Allotment(kind="explore", tests=tests),)
    last = rounds[-1]
    return (*rounds[:-1], last.model_copy(update={"tests": last.tests + max(0, left)}))


class Segment:
    """Runs one segment to its end."""

    def __init__(self, desk: Desk, number: int, tests: int) -> None:
        self.desk = desk
        self.number = number
        self.tests = tests
        self.goal: Goal = goal_of(number, desk.config.segments)
        self.batches = TestBatches(desk, number, self.goal, tests)
        self._named = 0
        self._walked: list[tuple[VariantRecord, int]] = []
        """What the past chose, and the window after it."""

    async def run(self) -> SegmentFinished:
        plan = await self._plan()
        before = (self.desk.patches_applied, self.desk.patches_refused)
        rounds = _within(plan, self.tests)
        for place, allotment in enumerate(rounds):
            spent = len(self.batches.results)
            left = sum(each.tests for each in rounds[: place + 1]) - spent
            if left > 0:
                await self._round(plan, place, allotment, left)
        finished = self._finish(self.batches.results, before)
        self.desk.folder.results(self.number, finished)
        return finished

    async def _advised(self, when: AskedAt, **told: object) -> dict[str, object]:
        """*told*, and what the roles from outside that are asked *when* say of it, each by itself."""
        answers = [await self._ask(role, "Advice", **told) for role in self.desk.advisors.get(when, ())]
        return told | ({"advice": tuple(cast("Advice", answer.body) for answer in answers)} if answers else {})

    async def _ask(self, role: RoleName, wants: str, **more: object) -> Envelope:
        told = self.desk.seen() | more
        return await self.desk.steps.ask(self.desk.briefing(role, wants, self.number, self.goal, self.tests, **told))

    async def _plan(self) -> SegmentPlan:
        answer = await self._ask("maestro", "SegmentPlan", **await self._advised("before_plan"))
        plan = cast("SegmentPlan", answer.body)
        self.desk.folder.plan(self.number, plan)
        self.desk.watch(self.number, self.goal, "planned")
        return plan

    async def _round(self, plan: SegmentPlan, place: int, allotment: Allotment, left: int) -> None:
        """Spend *left* tests: drafted, run, drafted again where something ended before its tests did."""
        by_lot = not self.desk.tests and allotment.kind == "explore"
        first = len(self.batches.results)
        asked: dict[str, object] = {"plan": plan, "round_number": place}
        variations = RoundVariations(self.desk, self.number, self._named)
        if allotment.kind in PROPOSED:
            await self._propose(variations, asked | {"round": allotment.model_copy(update={"tests": left})})
        while left > 0:
            asked["round"] = allotment.model_copy(update={"tests": left})
            said = {"proposal": variations.proposal, "critique": variations.critique}
            told = (
                asked | said
                if variations.critique is None
                else await self._advised("after_critique", **asked, **said)
            )
            drafted = await self._ask("implementer", "RunConfigDraft", **told)
            draft = cast("RunConfigDraft", drafted.body)
            tests = variations.planned(draft, drafted.id, left, by_lot=by_lot)
            if tests:
                left -= await self.batches.run(tests)
            if allotment.kind == "walk_forward":
                self._walked.extend(variations.known(draft))
                break
            if not tests:
                if variations.proposal is None:
                    break  # nothing new is left
                variations.proposal = variations.critique = None  # none of it holds: the rules draw by themselves
        if variations.critique is not None:
            self._quick_test(variations.critique.quick_test, self.batches.results[first:])
        variations.leave()
        self._named = variations.named

    async def _propose(self, variations: RoundVariations, asked: dict[str, object]) -> None:
        """Proposals until the critic takes one; after the last one the implementer draws by itself."""
        for _ in range(MAX_PROPOSALS):
            answer = await self._ask("strategist", "Proposal", **asked)
            proposal = cast("Proposal", answer.body)
            variations.take(proposal, answer.id)
            offered = await self._advised("after_proposal", **asked, proposal=proposal)
            judged = await self._ask("critic", "Critique", **offered)
            critique = cast("Critique", judged.body)
            if critique.verdict != "rejected" and critique.chosen is not None:
                variations.choose(critique, critique.proposed_change, judged.id)
                return
            variations.reject(critique)

    def _quick_test(self, quick: QuickTest, results: Sequence[TestReport]) -> None:
        """Variants whose first windows fall short are not gone on with, unless all do: a segment runs something."""
        keys = dict.fromkeys((report.methods, report.params) for report in results)
        found = [self.desk.observations.record(m, {p.name: p.value for p in params}) for m, params in keys]
        records = [record for record in found if record is not None and record.fate == "finished"]
        failed = [record for record in records if not self._passes(record, quick)]
        spared = len(failed) == len(records)
        for record in failed if not spared else ():
            record.fate = "quick_test_failed"
            counted = self.desk.ledger.count(record.origin, self.number, "critic", "quick_test_failed")
            if counted is not None:
                self.desk.steps.say(counted)
        wanted = f"{quick.metric} {quick.op} {quick.value:g} on their first {quick.tests} windows, training part"
        on = "; all fell short, so all go on" if spared and failed else ""
        self._note("keep", f"quick test: {len(records) - len(failed)} of {len(records)} variants passed", wanted + on)

    def _passes(self, record: VariantRecord, quick: QuickTest) -> bool:
        pooled = self.desk.runner.pool([report.train for report in record.reports[: quick.tests]])
        raw = getattr(pooled, quick.metric)
        if raw is None:
            return False
        return float(raw) >= quick.value if quick.op == ">=" else float(raw) <= quick.value

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
            walk_forward_efficiency=efficiency(self._walked, self.desk.windows),
            results=tuple(results),
        )
        desk.steps.say(finished)
        return finished


def efficiency(walked: Sequence[tuple[VariantRecord, int]], windows: Sequence[WindowRef]) -> float | None:
    """Walk-forward efficiency: PnL a day on the windows after the choice over PnL a day on those before it.

    Of every variant that the past chose, with the window it was chosen for. Null unless the past made money.
    """
    order = [window.index for window in windows]
    after, before = list[float](), list[float]()
    for record, window in walked:
        own = {r.window: float(r.whole.total_pnl) / (r.days or 1.0) for r in record.reports}
        past = [own[index] for index in order[: order.index(window)] if index in own]
        if window in own and past:
            after.append(own[window])
            before.append(sum(past) / len(past))
    earned = sum(before)
    return sum(after) / earned if earned > 0 else None
