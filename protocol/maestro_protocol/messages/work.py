"""work owns work orders: a task spec that is complete when it is created, and who got it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from maestro_protocol.base import Frozen, Line, Text
from maestro_protocol.ids import Id
from maestro_protocol.messages.gate import Risk
from maestro_protocol.messages.plan import Role

Lines = Annotated[tuple[Line, ...], Field(max_length=30)]


class Blocked(Frozen):
    """What a task waits for: a person, a role or a resource, and why."""

    by: Line
    why: Line


class TaskSpec(Frozen):
    """A work order. Nothing is added to it when it is dispatched."""

    type: Literal["TaskSpec"] = "TaskSpec"
    task_id: Id
    objective: Line
    context: Text
    workspace: Line
    files: Lines
    acceptance_criteria: Annotated[Lines, Field(min_length=1)]
    constraints: Lines
    execution_plan: Lines
    verification_checks: Lines
    qa_guidance: Text
    rollback: Line
    risk: Risk
    phase: Literal["planning", "implementation"]
    assignee: Role | None = None
    blocked: Blocked | None = None


class TaskAssigned(Frozen):
    """The Dispatcher routed a task, unchanged."""

    type: Literal["TaskAssigned"] = "TaskAssigned"
    task_id: Id
    assignee: Role
    reason: Line
