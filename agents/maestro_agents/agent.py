"""agent owns one role at work: a question in, its answer out, whatever becomes of its model on the way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from maestro_agents.brains.base import BrainReply, BrainRequest
from maestro_agents.conversation import Conversation
from maestro_agents.paid_calls import Caller
from maestro_agents.reply import CutShort, Unusable, answer_in
from maestro_agents.roles.base import Answer, Question, RoleRules, turn_of, wanted
from maestro_protocol.envelope import Envelope
from maestro_protocol.errors import AgentError, BrainError, BudgetExceeded, ConfigError
from maestro_protocol.ids import CampaignId
from maestro_protocol.messages import Message
from maestro_protocol.messages.plan import ModelCalled, RoleFellBack, RoleName
from maestro_protocol.messages.report import Briefing
from maestro_protocol.messages.work import TaskSpec
from maestro_protocol.ports import Clock

REPAIRS = 2
"""Times a model is shown what is wrong with its answer before the offline rules take the turn."""
NO_ANSWER = ("offline", "budget")
"""A RoleFellBack with one of these brains ends the turn without an answer."""
WhenExhausted = Literal["stop", "offline"]


@dataclass(frozen=True, slots=True)
class Thinking:
    """What a role needs to ask a model: a line to one, and the words to ask in."""

    caller: Caller
    conversation: Conversation
    when_exhausted: WhenExhausted = "stop"


class Agent:
    """One role. Without *thinking* it answers by its offline rules alone."""

    def __init__(self, rules: RoleRules, *, clock: Clock, thinking: Thinking | None = None) -> None:
        self.rules = rules
        self.clock = clock
        self._thinking = thinking

    @property
    def role(self) -> RoleName:
        return self.rules.name

    async def handle(self, envelope: Envelope) -> Sequence[Message]:
        """What the role says to a briefing (or, the dispatcher, to a work order), its answer last.

        Before it: a ModelCalled for each answered request, and a RoleFellBack where the rules had to answer.
        Raises :class:`AgentError` when the role cannot be asked that.
        """
        question = envelope.body
        if not isinstance(question, Briefing | TaskSpec):
            raise AgentError(f"{self.role}: {question.type} is neither a briefing nor a work order")
        if isinstance(question, Briefing) and question.role != self.role:
            raise AgentError(f"{self.role}: the briefing is for {question.role}")
        if self._thinking is None:
            return [self.rules.offline(question)]
        self.rules.rule(wanted(question))
        return await _Turn(self.rules, self._thinking, envelope.campaign, question).messages()

    async def close(self) -> None:
        """Let go of the model's connections."""
        if self._thinking is not None:
            await self._thinking.caller.close()


class _Turn:
    """One question put to a model, with repairs, and to the rules when that fails."""

    def __init__(self, rules: RoleRules, thinking: Thinking, campaign: CampaignId, question: Question) -> None:
        self._rules = rules
        self._thinking = thinking
        self._campaign = campaign
        self._question = question
        self._calls: list[ModelCalled] = []
        self._repairs = 0

    async def messages(self) -> list[Message]:
        try:
            answer = self._rules.completed(self._question, await self._answer())
            return [*self._calls, answer]
        except (Unusable, BrainError, ConfigError) as error:
            return [*self._calls, self._fell_back(self._thinking.caller.provider, error), self._by_rules()]
        except BudgetExceeded as error:
            if self._thinking.when_exhausted == "stop":
                stopped = self._fell_back("budget", error)
                return [*self._calls, stopped.model_copy(update={"limit": error.limit, "needed": error.needed})]
            return [*self._calls, self._fell_back(self._thinking.caller.provider, error), self._by_rules()]

    async def _answer(self) -> Answer:
        conversation = self._thinking.conversation
        request = conversation.opening(self._question, self._rules.name)
        while True:
            reply = await self._ask(request)
            try:
                return answer_in(reply, self._question, self._rules.name)
            except Unusable as error:
                if self._repairs == REPAIRS:
                    raise
                self._repairs += 1
                cut = isinstance(error, CutShort)
                request = (
                    conversation.longer(request) if cut else conversation.repair(request, reply.text, error.found)
                )

    async def _ask(self, request: BrainRequest) -> BrainReply:
        caller = self._thinking.caller
        try:
            answered = await caller.ask(self._campaign, turn_of(self._question), request)
        except BudgetExceeded as error:
            larger = request.max_tokens > self._thinking.conversation.max_tokens
            if larger or self._thinking.when_exhausted == "offline":
                await caller.refused(self._campaign, request, str(error))
            if larger:  # nobody is asked for more money so that an answer may be longer
                raise BrainError(str(error)) from None
            raise
        self._calls.append(answered.called)
        return answered.reply

    def _by_rules(self) -> Answer:
        return self._rules.offline(self._question)

    def _fell_back(self, brain: str, why: Exception) -> RoleFellBack:
        return RoleFellBack(
            role=self._rules.name,
            turn=turn_of(self._question),
            brain=brain,
            reason=str(why)[:4_000],
            repairs=self._repairs,
        )
