"""base owns what a role is: what it can be asked, the type it answers with, its prompt and its offline rules."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import get_args

from maestro_protocol.errors import AgentError
from maestro_protocol.messages.plan import (
    Advice,
    Critique,
    Nomination,
    OnePagePlan,
    PlanEvent,
    Proposal,
    RoleName,
    RunConfigDraft,
    SegmentPlan,
)
from maestro_protocol.messages.report import Briefing
from maestro_protocol.messages.work import TaskAssigned, TaskSpec

Question = Briefing | TaskSpec
Answer = (
    SegmentPlan | Proposal | Critique | RunConfigDraft | PlanEvent | OnePagePlan | Nomination | TaskAssigned | Advice
)

Completion = Callable[["Question", "Answer"], "Answer"]
"""``complete(question, answer)``: the same answer with what its author left open."""
ANSWER_TYPES: Mapping[str, type[Answer]] = {kind.__name__: kind for kind in get_args(Answer)}


@dataclass(frozen=True, slots=True)
class RoleRules:
    """One role: its offline rule for each thing it can be asked for, by the wire name of the answer.

    A rule is deterministic: the same question gives the same answer, in any process.
    """

    name: RoleName
    duty: str
    rules: Mapping[str, Callable[[Question], Answer]]
    completions: Mapping[str, Completion] = field(default_factory=dict[str, "Completion"])
    """What is added to a model's answer where it left it to the search."""

    def offline(self, question: Question) -> Answer:
        """The answer by rules. Raises :class:`AgentError` when this role cannot be asked that."""
        return self.rule(wanted(question))(question)

    def completed(self, question: Question, answer: Answer) -> Answer:
        """*answer*, a model's, with what it left to the search filled in."""
        complete = self.completions.get(wanted(question))
        return answer if complete is None else complete(question, answer)

    def rule(self, wants: str) -> Callable[[Question], Answer]:
        if wants not in self.rules:
            raise AgentError(f"{self.name}: cannot answer with {wants}; it gives {', '.join(self.rules)}")
        return self.rules[wants]


def wanted(question: Question) -> str:
    """Wire name of the message that answers *question*."""
    return question.wants if isinstance(question, Briefing) else TaskAssigned.__name__


def turn_of(question: Question) -> int:
    """The question's turn; a work order has none and counts as 0."""
    return question.turn if isinstance(question, Briefing) else 0


def briefed(rule: Callable[[Briefing], Answer]) -> Callable[[Question], Answer]:
    """A rule over briefings as a rule over questions."""

    def answer(question: Question) -> Answer:
        if not isinstance(question, Briefing):
            raise AgentError(f"a {question.type} is not a briefing; send it to the dispatcher")
        return rule(question)

    return answer
