"""session_chain owns a chain of sessions: one runs, agents read its report, what they agree on runs next.

A chain is kept like a campaign: a session is a segment of one test, so journal, lineage, gates and report are the
same. What a patch is worth cannot be measured on the same windows twice here; the sessions that follow tell.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import cast

from maestro.control import patcher
from maestro.control.campaign import PAGE_EVERY
from maestro.control.context import SEALED_TRADES, Desk
from maestro.control.learning.analyzer import Analyzer
from maestro.control.learning.batches import keep_batch
from maestro.control.learning.patching import Changing, step
from maestro.control.record.standings import leaderboard
from maestro_protocol.base import money
from maestro_protocol.config import RunConfig, stretch_of
from maestro_protocol.ids import segment_run, test_run
from maestro_protocol.messages.campaign import CampaignFinished
from maestro_protocol.messages.plan import Goal, OnePagePlan, PlanEvent
from maestro_protocol.messages.report import Alert, SegmentFinished
from maestro_protocol.messages.rules import Rule
from maestro_protocol.ports import Sequential, Statistics, TestOutcome
from maestro_protocol.values import Change

GOAL: Goal = "explore"
ERROR_RATE = 0.05
"""Of the words about a chain's worth, however often they are read."""
LEAST_EPISODES = 20


class Rounds:
    """Walks, or walks again, one chain. *root* is what the owner asked for, before any agent."""

    def __init__(self, desk: Desk, root: RunConfig, stopped: Callable[[], str | None] = lambda: None) -> None:
        """*stopped* says why nobody shall be asked, nor a further round begin; None: it may go on."""
        self.desk, self._stopped = desk, stopped
        desk.root = root
        self.finished = False
        """Whether no further round will ever be."""
        self.left = False
        """Whether it was stopped before the agents had planned the next round."""
        self._asking: asyncio.Future[bool] | None = None
        self.changes: list[str] = []
        """What the next round does otherwise than the last one that ran."""
        self._worth = Worth(desk.statistics)
        self._changing = Changing(desk, 1, GOAL, 1, root.values())
        self._adopt(root.model_copy(update={"run_id": segment_run(1), "parent_run": root.run_id}), 1)

    async def run(self, rounds: int) -> RunConfig:
        """So many rounds; the config of the next one. The chain is finished where no further one is to come."""
        desk = self.desk
        desk.steps.say(desk.config)
        desk.steps.keep(desk.root)
        await desk.steps.flush()
        desk.folder.campaign(desk.config)
        desk.folder.root(desk.root)
        for number in range(1, rounds + 1):
            goes_on = await self._round(number)
            await desk.steps.flush()
            desk.folder.journal(desk.steps.lines(desk.folder.exported))
            if self.left:
                break
            if not goes_on or number == desk.config.segments:
                await self._finish("" if goes_on else f"stopped by the agents after {number} sessions; ")
                break
            if self._stopped() is not None:
                break
        return planned(self._template, len(desk.tests) + 1)

    def leave(self) -> None:
        """Wait for no agent and at no gate any more: gone on with, the chain asks the same again."""
        if self._asking is not None:
            self._asking.cancel()

    async def _unless_stopped(self, asking: Coroutine[None, None, bool]) -> bool:
        """What *asking* agents and people comes to; a chain that is stopped leaves it."""
        if self._stopped() is None:
            self._asking = asyncio.ensure_future(asking)
            try:
                return await self._asking
            except asyncio.CancelledError:
                if self._stopped() is None:
                    raise
            finally:
                self._asking = None
        else:
            asking.close()
        self.left = True
        return True

    async def _round(self, number: int) -> bool:
        """One session and what the agents make of it; False where they want no further one.

        After the last session nobody is asked: there is none to plan.
        """
        desk = self.desk
        config = planned(self._template, number)
        self.changes = []
        desk.watch(number, GOAL, "begins")
        outcomes = await desk.steps.run([config], number, 1)
        keep_batch(desk, number, [1], [config], outcomes)
        outcome = outcomes[0]
        desk.standings.add(self._template, number, [outcome.report])
        desk.notional = notional_of(outcome) or desk.notional
        for episode in outcome.episodes:
            self._worth.add(episode.total_pnl / 1e6, episode.n_trades)
        if number == desk.config.segments:
            self._tell(number, outcome, (desk.patches_applied, desk.patches_refused))
            return True
        return await self._unless_stopped(self._planned(number, outcome))

    async def _planned(self, number: int, outcome: TestOutcome) -> bool:
        """Ask the agents about the session just ended; False where they want no further one."""
        desk = self.desk
        before = (desk.patches_applied, desk.patches_refused)
        goes_on = await self._learn(number, outcome)
        self._tell(number, outcome, before)
        if goes_on and number % PAGE_EVERY == 0:
            answer = await desk.steps.ask(desk.briefing("maestro", "OnePagePlan", number, GOAL, 1))
            desk.folder.page(number, cast("OnePagePlan", answer.body))
        return goes_on

    def _tell(self, number: int, outcome: TestOutcome, before: tuple[int, int]) -> None:
        """Say how the round ended; *before* it so many patches had been applied and refused."""
        desk = self.desk
        finished = SegmentFinished(
            segment=number,
            goal=GOAL,
            tests=1,
            variations=tuple(desk.standings.of_segment(number, "train")),
            patches_applied=desk.patches_applied - before[0],
            patches_refused=desk.patches_refused - before[1],
            train=outcome.report.train,
            validation=outcome.report.validation,
            whole=outcome.report.whole,
            results=(outcome.report,),
        )
        desk.steps.say(finished)
        desk.folder.results(number, finished)
        desk.watch(number, GOAL, self._worth.words())

    async def _learn(self, number: int, outcome: TestOutcome) -> bool:
        """Let the agents look at the report; what they agree on is the next session's."""
        desk, template = self.desk, self._template
        alerts: tuple[Alert, ...] = self._analyzer.feed(outcome.report.test_id, outcome.episodes, self._suggest)
        mine = sum(test.parent_run == template.run_id for test in desk.tests)
        losing = self._analyzer.losing() if mine >= desk.config.policies.kill.min_tests else None
        changing = self._changing
        changing.segment = number
        answer = await changing.agreed((*alerts, *((losing,) if losing else ())), template)
        event = None if answer is None else answer.body
        if answer is None or not isinstance(event, PlanEvent):
            return True
        if event.action == "kill":
            desk.standings.settle(template.run_id, "killed")
            record = desk.ledger.count(template, number, "strategist", "killed", event.reason)
            if record is not None:
                desk.steps.say(record)
            return False
        if event.action == "adjust" and event.change:
            run_id, reach = segment_run(number + 1), test_run(number + 1, 1)
            patched = await changing.patched(template, event, answer.id, run_id, reach)
            if patched is not None:
                next_step = "the next session trades by it"
                changing.tell(template, event.change, "applied", reach, event.reason, next_step, answer.id)
                self.changes = [step(change) for change in event.change]
                self._adopt(patched, number + 1)
        return True

    def _suggest(self, rule: Rule) -> tuple[Change, ...]:
        return patcher.suggested(rule, self._template, self.desk.space(self._template.methods))

    def _adopt(self, template: RunConfig, number: int) -> None:
        config = self.desk.config
        self._template = template
        self._analyzer = Analyzer(
            config.rules.rules, config.policies, config.policies.policy(config.policy), self.desk.statistics
        )
        self.desk.keep(number, template)

    async def _finish(self, why: str) -> None:
        desk = self.desk
        pool = desk.runner.pool
        whole = pool([test.whole for test in desk.tests])
        finished = CampaignFinished(
            status="finished",
            tests=len(desk.tests),
            trades=desk.trades,
            total_pnl=sum((test.whole.total_pnl for test in desk.tests), money(0)),
            train=pool([test.train for test in desk.tests]),
            validation=None,
            whole=whole,
            mean_maxdd=whole.maxdd,
            mean_sharpe=whole.sharpe,
            reason=f"{why}{self._worth.words()}",
        )
        self.finished = True
        desk.steps.say(finished)
        await desk.steps.flush()
        desk.folder.leaderboard(leaderboard(desk.tests, desk.runner))
        desk.folder.metrics(finished)
        desk.folder.journal(desk.steps.lines(desk.folder.exported))
        desk.folder.sync()

    @property
    def words(self) -> str:
        """What may be said of the chain so far."""
        return self._worth.words()


class Worth:
    """What the results of sessions prove, by anytime-valid tests: reading them often raises no error rate."""

    def __init__(self, statistics: Statistics) -> None:
        self.trades, self.episodes = 0, 0
        self._earns = self._test(statistics, below=False)
        self._loses = self._test(statistics, below=True)
        self._proven = ""

    def _test(self, statistics: Statistics, *, below: bool) -> Sequential:
        return statistics.sequential(0.0, below=below, alpha=ERROR_RATE / 2, min_n=LEAST_EPISODES)

    def add(self, pnl: float, trades: int) -> None:
        """One episode: PnL in USD after costs, and how many trades ended in it."""
        self.trades += trades
        self.episodes += 1
        earns, loses = self._earns.update(pnl), self._loses.update(pnl)
        if not self._proven and (earns.rejects or loses.rejects):
            self._proven = "earns" if earns.rejects else "loses"

    def words(self) -> str:
        """One sentence that claims no more than was shown."""
        counted = f"{self.trades} trade{'' if self.trades == 1 else 's'}"
        if self.trades < SEALED_TRADES:
            return f"{counted}, not enough evidence ({SEALED_TRADES} are the least)"
        if not self._proven:
            return f"{counted} in {self.episodes} episodes: neither an edge nor a loss is shown"
        return f"{counted} in {self.episodes} episodes: on average it {self._proven} money, error rate {ERROR_RATE:g}"


def planned(template: RunConfig, number: int) -> RunConfig:
    """The *number*-th round by *template*: it begins where the last one ended, its chance is its own."""
    return patcher.for_round(template, test_run(number, 1), stretch_of(template.data, number), number - 1)


def notional_of(outcome: TestOutcome) -> float | None:
    """USD of the session's last position, when it was entered; None without a trade."""
    lines = outcome.trades_jsonl.splitlines()
    last = json.loads(lines[-1]) if lines else None
    return None if last is None else float(last["entry"]) * float(last["qty"])
