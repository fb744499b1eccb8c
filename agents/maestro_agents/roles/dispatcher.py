"""dispatcher owns routing: a finished work order goes to one role, unchanged."""

from __future__ import annotations

from maestro_agents.roles.base import Question, RoleRules
from maestro_protocol.errors import AgentError
from maestro_protocol.messages.plan import Role
from maestro_protocol.messages.work import TaskAssigned, TaskSpec


def assignment(question: Question) -> TaskAssigned:
    """Who gets the task. Raises :class:`AgentError` for a blocked one: only a person lifts a block."""
    if not isinstance(question, TaskSpec):
        raise AgentError("dispatcher: routes work orders (TaskSpec) only")
    if question.blocked is not None:
        raise AgentError(f"{question.task_id}: blocked by {question.blocked.by}; a person must lift it first")
    assignee, reason = _route(question)
    return TaskAssigned(task_id=question.task_id, assignee=assignee, reason=reason)


def _route(task: TaskSpec) -> tuple[Role, str]:
    if task.assignee is not None:
        return task.assignee, "the order names its assignee"
    if task.phase == "implementation":
        return "implementer", "an approved plan is implemented by the implementer"
    if task.risk == "high":
        return "maestro", "planning at high risk belongs to maestro"
    return "strategist", "planning belongs to the strategist"


RULES = RoleRules(
    name="dispatcher",
    duty="routes a finished work order to one role without adding to it",
    rules={"TaskAssigned": assignment},
)
