"""conversation owns the words a model is asked in: the prompts of a question, and the round that mends an answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from maestro_agents.answer_schema import answer_schema
from maestro_agents.brains.base import BrainRequest, ChatMessage
from maestro_agents.prompt_context import shown, system_template
from maestro_agents.roles.base import Question, wanted
from maestro_prompts.render import PromptFault, Prompts
from maestro_protocol.errors import BrainError, ConfigError
from maestro_protocol.messages.plan import RoleName

ECHO = 8_000
"""Characters of a broken answer that its author is shown again."""
GROWTH = 2
MOST_TOKENS = 64_000
"""The longest answer that is ever asked for, thoughts included."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """How one role puts its questions: which model, how long, how warm, from which templates."""

    prompts: Prompts
    model: str
    max_tokens: int
    temperature: float | None
    blind: bool = False

    def opening(self, question: Question, role: RoleName) -> BrainRequest:
        """The first request of a turn. Raises :class:`ConfigError` when a template does not render."""
        wants = wanted(question)
        context = shown(question, role, blind=self.blind)
        try:
            system = self.prompts.render(system_template(role), context)
            turn = self.prompts.render(f"turn_{wants}.md.j2", context)
        except PromptFault as error:
            raise ConfigError(str(error)) from None
        return BrainRequest(
            model=self.model,
            system=system,
            messages=(ChatMessage(role="user", text=turn),),
            answer=wants,
            json_schema=answer_schema(wants),
            max_tokens=self.max_tokens,
            temperature=self.temperature,
        )

    def longer(self, request: BrainRequest) -> BrainRequest:
        """*request* with room for a longer answer: a model that thinks first may have used all of it up.

        Raises :class:`BrainError` where it has the most already.
        """
        if request.max_tokens >= MOST_TOKENS:
            raise BrainError(f"{request.model}: the answer was cut at its limit of {request.max_tokens} tokens")
        return request.model_copy(update={"max_tokens": min(GROWTH * request.max_tokens, MOST_TOKENS)})

    def repair(self, request: BrainRequest, answer: str, found: Sequence[str]) -> BrainRequest:
        """*request* continued by its broken answer and what is wrong with it.

        All rounds stay in it: the same mistake made twice is another request, not one that was answered already.
        """
        try:
            told = self.prompts.render("repair.md.j2", {"problems": list(found)})
        except PromptFault as error:
            raise ConfigError(str(error)) from None
        said = ChatMessage(role="assistant", text=answer[:ECHO].strip() or "(empty)")
        mend = ChatMessage(role="user", text=told)
        return request.model_copy(update={"messages": (*request.messages, said, mend)})
