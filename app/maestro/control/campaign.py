"""campaign owns the campaign from its first segment to its verdict."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import cast

from maestro.control.authorship import Turn, thinking, turns_of
from maestro.control.context import Desk, share
from maestro.control.openings import SealedPart, look_of, uncounted
from maestro.control.record.ledger import distinct, of_what_was_tried
from maestro.control.record.standings import leaderboard
from maestro.control.segment import Segment, goal_of
from maestro_protocol.base import money
from maestro_protocol.config import RunConfig
from maestro_protocol.messages.campaign import CampaignFinished, Exhibits, LooksCounted, Memory, Verdict
from maestro_protocol.messages.plan import ModelCalled, Nomination, Nominee, OnePagePlan, RoleFellBack
from maestro_protocol.messages.report import Briefing, Metrics, SegmentFinished
from maestro_protocol.ports import Evidence, Judge

PAGE_EVERY = 2
"""Segments between two one-page plans."""


class Campaign:
    """Runs, or walks again, one campaign."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self._refused = ""
        """What a gate refused at the end."""
        self.finalists: list[RunConfig] = []
        """Who was named for the sealed part, the best first; nobody where standing aside is best."""
        self.best: RunConfig | None = None
        """The best of all that ran, whether it was named or not; null before the end, or where nothing ran."""

    async def run(self) -> CampaignFinished:
        """The finished campaign. Raises MaestroError; whatever was finished by then is kept."""
        desk = self.desk
        desk.steps.say(desk.config)
        desk.steps.keep(desk.root)
        await desk.steps.flush()
        desk.folder.campaign(desk.config)
        desk.folder.root(desk.root)
        for number, tests in enumerate(share(desk.config.tests, desk.config.segments), start=1):
            if tests == 0 or desk.config.only_segment not in (None, number):
                continue
            await Segment(desk, number, tests).run()
            if number % PAGE_EVERY == 0:
                await self._page(number, tests)
            await desk.steps.flush()
            desk.folder.journal(desk.steps.lines(desk.folder.exported))
        return await self._finish()

    async def _page(self, number: int, tests: int) -> None:
        desk = self.desk
        goal = goal_of(number, desk.config.segments)
        answer = await desk.steps.ask(desk.briefing("maestro", "OnePagePlan", number, goal, tests))
        desk.folder.page(number, cast("OnePagePlan", answer.body))

    async def _nominate(self) -> Nomination:
        """The critic's word on who is worth the sealed data; what it names and never ran, or failed, is nobody."""
        desk = self.desk
        last = desk.config.only_segment or min(desk.config.segments, desk.config.tests)
        goal, tests = goal_of(last, desk.config.segments), len(desk.tests)
        briefing = desk.briefing("critic", "Nomination", last, goal, tests, **desk.seen())
        answer = cast("Nomination", (await desk.steps.ask(briefing)).body)
        named = [self._named(nominee) for nominee in answer.finalists]
        self.finalists = distinct(config for config in named if config is not None)
        self.best = None if answer.best is None else self._named(answer.best)
        return answer

    def _named(self, nominee: Nominee) -> RunConfig | None:
        known = self.desk.observations.of_run(nominee.run_id)
        return None if known is None or known.fate != "finished" else known.origin

    async def _finish(self) -> CampaignFinished:
        desk = self.desk
        verdict = await self._verdict(await self._nominate())
        pool = desk.runner.pool
        tests = desk.tests
        turns = turns_of(desk.steps.told(Briefing, ModelCalled, RoleFellBack))
        whole = pool([test.whole for test in tests]) if tests else None
        finished = CampaignFinished(
            status="finished",
            tests=len(tests),
            trades=desk.trades,
            total_pnl=sum((test.whole.total_pnl for test in tests), money(0)),
            train=pool([test.train for test in tests]) if tests else None,
            validation=pool([test.validation for test in tests]) if tests else None,
            whole=whole,
            mean_maxdd=whole and whole.maxdd,
            mean_sharpe=whole and whole.sharpe,
            verdict=verdict,
            memory=tuple(self._memory(turns)),
            thinking=thinking(desk.config.brains, turns),
            refused=self._refused,
        )
        desk.steps.say(finished)
        await desk.steps.flush()
        desk.folder.leaderboard(leaderboard(tests, desk.runner))
        desk.folder.metrics(finished)
        desk.folder.journal(desk.steps.lines(desk.folder.exported))
        desk.folder.sync()
        return finished

    def _memory(self, turns: Sequence[Turn]) -> Iterator[Memory]:
        """Validation results before and after the end of each model's knowledge, apart.

        Of the segments in which that model answered: what rules proposed in its place, it cannot have remembered.
        """
        desk = self.desk
        windows = {window.index: window for window in desk.runner.windows}
        ends = [said.body for said in desk.steps.told(SegmentFinished)]
        ran = {
            end.segment: [test.test_id for test in end.results] for end in ends if isinstance(end, SegmentFinished)
        }
        for choice in desk.config.brains:
            if choice.knows_until is None or choice.model is None:
                continue
            answered = {turn.segment for turn in turns if turn.role == choice.role and turn.by_model}
            if not answered:
                continue
            counted = {test for segment in answered for test in ran.get(segment, ())}
            before: list[Metrics] = []
            after: list[Metrics] = []
            for test in desk.tests:
                if test.test_id not in counted:
                    continue
                window = windows[test.window]
                share = (window.val_start - window.first) / (window.end - window.first)
                begins = window.first_ms + share * (window.end_ms - window.first_ms)
                (before if begins <= choice.knows_until else after).append(test.validation)
            yield Memory(
                role=choice.role,
                model=choice.model,
                knows_until=choice.knows_until,
                before=desk.runner.pool(before) if before else None,
                after=desk.runner.pool(after) if after else None,
            )

    async def _verdict(self, nomination: Nomination) -> Verdict | None:
        """Weigh the open part, journal the opening of the sealed part, then open it: in that order."""
        desk = self.desk
        if desk.judge is None:
            return None
        last = desk.config.only_segment or min(desk.config.segments, desk.config.tests)
        desk.watch(last, goal_of(last, desk.config.segments), "weighing the evidence")
        trials = desk.ledger.ran()
        evidence = await asyncio.to_thread(desk.judge.assess, trials, self.finalists, desk.ledger.distinct)
        if self.finalists:
            verdict, exhibits = await self._ruled(desk.judge, evidence)
        else:
            verdict, exhibits = await asyncio.to_thread(desk.judge.rule_unopened, evidence, None, nomination.reason)
        verdict = of_what_was_tried(verdict, sorted(set(desk.runner.methods()) - desk.ledger.methods()))
        desk.steps.say(verdict)
        desk.folder.exhibits(exhibits)
        return verdict

    async def _ruled(self, judge: Judge, evidence: Evidence) -> tuple[Verdict, Exhibits]:
        """The ruling after the sealed part was opened; where there is none, or a gate says no, without it."""
        desk, finalists, policy = self.desk, evidence.finalists, self.desk.config.openings
        looks: LooksCounted | None = None
        if finalists and judge.sealed[1]:
            look = look_of(desk.config, finalists)
            if policy is None:  # asked for before looks were counted: told as it was, and counted for others
                desk.steps.say(uncounted(judge, finalists))
                await desk.steps.flush(opened=desk.openings.claim(judge.sealed_bars(), look, None))
            else:
                part = SealedPart(desk.steps, desk.openings, policy, judge, finalists, look)
                looks, refused = await part.open(desk.config)
                if refused is not None:
                    self._refused = f"opening the sealed data was {refused.answer}"
                    return await asyncio.to_thread(judge.rule_unopened, evidence, looks, self._refused)
        return await asyncio.to_thread(judge.open_and_rule, evidence, 1, looks)
