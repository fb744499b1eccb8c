"""durable_run owns durable execution: what a campaign said and did is in the journal before anyone acts on it.

The campaign is ordinary code that says, asks and runs through here. Started again after a crash it walks the same
path; as long as the journal holds the next step, the step is read instead of done: no test runs twice, no role is
asked twice. Where the code and the journal differ, it stops.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import TypeVar

from maestro.control.record.journal import RecordedJournal
from maestro.control.record.journal_hash import timeless
from maestro_protocol.base import money
from maestro_protocol.config import RunConfig
from maestro_protocol.envelope import Envelope
from maestro_protocol.errors import AgentError, BudgetExceeded, JournalMismatch, StoreError
from maestro_protocol.ids import CampaignId, MessageId, message_id
from maestro_protocol.messages import Message
from maestro_protocol.messages.events import BatchFinished
from maestro_protocol.messages.gate import GateDecided, GateRequest
from maestro_protocol.messages.plan import RoleFellBack
from maestro_protocol.messages.report import Briefing
from maestro_protocol.messages.sealed import Claim
from maestro_protocol.ports import Bus, Clock, Gate, Runner, Store, Stored, Subscription, TestOutcome
from maestro_protocol.schema import canonical

M = TypeVar("M", bound=Message)

MoreBudget = Callable[[MessageId, RoleFellBack], Awaitable[None]]
ON_THE_WAY = ("ModelCalled", "RoleFellBack")
"""What a role may say before its answer."""
REPLIES = "control"
"""The topic on which roles answer."""


class Steps:
    """One campaign's path, walked or walked again."""

    def __init__(
        self, campaign: CampaignId, store: Store, bus: Bus, runner: Runner, clock: Clock, gate: Gate
    ) -> None:
        self.campaign = campaign
        self._store = store
        self._bus = bus
        self._runner = runner
        self._clock = clock
        self._gate = gate
        self._past = RecordedJournal()
        self._place = 0
        self._pending: list[Envelope] = []
        self._templates: list[RunConfig] = []
        self._replies: Subscription | None = None
        self.answer_seconds = 1_800.0
        self.more_budget: MoreBudget | None = None
        """Asks the owner for more once the budget is used up; raises where the answer is no."""

    async def open(self) -> None:
        """Read what the journal holds of the campaign, and listen for replies."""
        self._past = RecordedJournal(await self._store.records(self.campaign))
        self._replies = await self._bus.subscribe(REPLIES, f"campaign.{self.campaign}")

    @property
    def walking_again(self) -> bool:
        return self._place < len(self._past)

    def say(self, body: Message, sender: str = "control", because: MessageId | None = None) -> None:
        """Journal *body*. It is durable before the next thing that acts: an ask, a run, the end."""
        if self.walking_again and self._past.says(self._place, body):
            self._place += 1
        else:
            self._take(body, sender, "campaign", because)

    def _take(self, body: Message, sender: str, topic: str, because: MessageId | None) -> Envelope:
        if self.walking_again:
            past = self._past[self._place]
            if past.body != body and timeless(past.body) != timeless(body):
                raise JournalMismatch(
                    f"{self.campaign}: the journal has a {past.body.type} as {past.id} where this run says "
                    f"a {body.type}; the data, the code or the settings have changed since"
                )
            self._place += 1
            return past
        seq = self._place + 1 + len(self._pending)
        envelope = Envelope(
            id=message_id(seq),
            seq=seq,
            time=self._clock.now_ms(),
            campaign=self.campaign,
            sender=sender,
            topic=topic,
            causation=because,
            body=body,
        )
        self._pending.append(envelope)
        return envelope

    def go_on_after_the_end(self) -> None:
        """Say what follows a finished campaign instead of walking it again."""
        self._place = len(self._past)

    def now_ms(self) -> int:
        """The clock, for what only tells when: it is left out of every comparison."""
        return self._clock.now_ms()

    def past(self, *kinds: type[Message]) -> list[Envelope]:
        """The journal so far, what is still to be walked again included; of *kinds* alone where any are named."""
        return self._past.of(kinds, 0, len(self._past))

    def told(self, *kinds: type[Message], after: int = 0) -> list[Envelope]:
        """The journal up to where the campaign stands, beyond its first *after* messages; of *kinds* alone."""
        return self._past.of(kinds, after, self._place)

    @property
    def place(self) -> int:
        """How many messages were told up to where the campaign stands."""
        return self._place

    def lines(self, after: int) -> Iterator[str]:
        """The journal as JSON, beyond its first *after* messages."""
        return self._past.lines(after)

    def keep(self, template: RunConfig) -> None:
        """Store a run that no test is, but tests descend from, with what is said next; once, however often kept."""
        self._templates.append(template)

    @property
    def coming(self) -> Message | None:
        """The next message of a path that is walked again; null where it was walked no further."""
        return self._past[self._place].body if self.walking_again else None

    async def resolve(self, kind: type[M], find: Callable[[], Awaitable[M]]) -> M:
        """What *find* finds of the world when this step is first taken: said then, later read from the journal."""
        if not self.walking_again:
            found = await find()
            self.say(found)
            return found
        past = self.coming
        if not isinstance(past, kind):
            raise JournalMismatch(
                f"{self.campaign}: the journal goes on without a {kind.__name__} where this run says one"
            )
        self._place += 1
        return past

    def withdraw(self) -> None:
        """Unsay what was said since the last flush."""
        self._pending.clear()

    async def flush(self, results: Sequence[Stored] = (), opened: Claim | None = None) -> None:
        """Make what was said durable, with the runs, results and look it speaks of, in one transaction."""
        if self._pending:
            await self._store.commit(self.campaign, self._pending, results, self._templates, opened)
            self._past.extend(self._pending)
            self._place = len(self._past)
            self._pending, self._templates = [], []

    async def gate(self, request: GateRequest, because: MessageId | None = None) -> GateDecided:
        """People's answer to *request*. It waits with everything saved; left and resumed, it is the same gate."""
        asked = self._take(request, "control", "campaign", because)
        if self.walking_again:
            past = self._past[self._place].body
            if not isinstance(past, GateDecided) or past.gate_id != request.gate_id:
                raise JournalMismatch(f"{self.campaign}: {asked.id} asks a gate, and the journal has no answer to it")
            self._place += 1
            return past
        await self.flush()
        put = asked.body
        assert isinstance(put, GateRequest)
        decided = await self._gate.ask(put)
        self.say(decided, sender="gate", because=because or asked.id)
        await self.flush()
        return decided

    async def ask(self, briefing: Briefing, because: MessageId | None = None) -> Envelope:
        """The role's answer. Everything it reports on the way (calls, fallbacks) is journalled with it."""
        asked = self._take(briefing, "control", f"agent.{briefing.role}", because)
        if not self.walking_again:
            await self.flush()
        for attempt in itertools.count(1):
            if self.walking_again:
                said = self._recorded_turn(asked, briefing)
            else:
                said = await self._turn(asked, briefing, attempt)
            if said.body.type == briefing.wants:
                return said
            await self._more_budget(asked, said)
        raise AssertionError("unreachable")

    async def _turn(self, asked: Envelope, briefing: Briefing, attempt: int) -> Envelope:
        """Publish the question; the last of what the role says to it: its answer, or that its budget is used up."""
        question = asked.model_copy(update={"id": question_id(asked.id, attempt)})
        await self._bus.publish(question)
        try:
            async with asyncio.timeout(self.answer_seconds):
                replies = await self._collect(question, briefing.wants)
        except TimeoutError:
            raise AgentError(
                f"{briefing.role}: no answer in {self.answer_seconds:g} s; is its agent running? "
                "The campaign is kept and can be resumed"
            ) from None
        taken = [self._take(reply.body, reply.sender, REPLIES, asked.id) for reply in replies]
        await self.flush()
        return taken[-1]

    async def _more_budget(self, asked: Envelope, exhausted: Envelope) -> None:
        assert isinstance(exhausted.body, RoleFellBack)
        if self.more_budget is None:
            raise BudgetExceeded(f"{exhausted.body.role}: {exhausted.body.reason}")
        await self.more_budget(asked.id, exhausted.body)

    def _recorded_turn(self, asked: Envelope, briefing: Briefing) -> Envelope:
        while self.walking_again:
            past = self._past[self._place]
            if past.causation != asked.id:
                break
            self._place += 1
            if past.body.type == briefing.wants or used_up(past.body):
                return past
        raise JournalMismatch(
            f"{self.campaign}: {asked.id} asks {briefing.role}, and the journal has no answer to it"
        )

    async def _collect(self, asked: Envelope, wants: str) -> list[Envelope]:
        assert self._replies is not None
        replies: list[Envelope] = []
        async for reply in self._replies:
            if reply.causation != asked.id or reply.body.type not in (wants, *ON_THE_WAY):
                continue  # who answers says nothing else: an approval, say, comes from no role
            replies.append(reply)
            if reply.body.type == wants:
                return replies
            if isinstance(reply.body, RoleFellBack) and reply.body.brain == "offline":
                raise AgentError(f"{reply.body.role}: it could not answer: {reply.body.reason}")
            if used_up(reply.body):
                return replies
        raise AgentError("the bus was closed before the answer came; the campaign is kept and can be resumed")

    async def run(self, configs: Sequence[RunConfig], segment: int, batch: int) -> Sequence[TestOutcome]:
        """The outcomes of *configs*, computed and kept, or read back where they were kept before."""
        if self.walking_again:
            past = self._past[self._place].body
            if isinstance(past, BatchFinished) and past.tests == tuple(config.run_id for config in configs):
                stored = await self._store.results(self.campaign, past.tests)
                if [item.config for item in stored] == list(configs):
                    outcomes = [item.outcome for item in stored]
                    self._hold(past, _finished(outcomes, segment, batch))
                    self._place += 1
                    return outcomes
            raise JournalMismatch(f"{self.campaign}: batch {batch} of segment {segment} is not what the journal has")
        outcomes = await asyncio.to_thread(self._runner.run, configs)
        self.say(_finished(outcomes, segment, batch))
        await self.flush([Stored(c.run_id, c, outcome) for c, outcome in zip(configs, outcomes, strict=True)])
        return outcomes

    def _hold(self, recorded: BatchFinished, stored: BatchFinished) -> None:
        """Raise StoreError where the store's results of a batch are not those that the journal speaks of."""
        if recorded.reports is None:
            stored = stored.model_copy(update={"reports": None})
        if stored != recorded:
            raise StoreError(
                f"{self.campaign}: the results kept of {recorded.tests[0]} to {recorded.tests[-1]} are not those "
                "that the journal has the digest of: they were altered since; restore the database from a copy"
            )


def question_id(asked: MessageId, attempt: int) -> MessageId:
    """The id under which a briefing travels: its own, and with the number of the attempt from the second on."""
    return asked if attempt == 1 else f"{asked}.{attempt}"


def used_up(body: Message) -> bool:
    """Whether a role says that it may ask no model any more."""
    return isinstance(body, RoleFellBack) and body.brain == "budget"


def _finished(outcomes: Sequence[TestOutcome], segment: int, batch: int) -> BatchFinished:
    digest, reports = hashlib.sha256(), hashlib.sha256()
    for outcome in outcomes:
        digest.update(outcome.trades_jsonl)
        digest.update(outcome.scores_jsonl)
        reports.update(canonical(outcome.report))
        reports.update("".join(f"{tuple(episode)}\n" for episode in outcome.episodes).encode())
    return BatchFinished(
        segment=segment,
        batch=batch,
        tests=tuple(outcome.report.test_id for outcome in outcomes),
        trades=sum(outcome.n_trades for outcome in outcomes),
        total_pnl=sum((outcome.report.whole.total_pnl for outcome in outcomes), money(0)),
        digest=digest.hexdigest(),
        reports=reports.hexdigest(),
    )
