"""gate owns the question a human answers: bound to the hash of what is approved, with an end."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from maestro_protocol.base import Frozen, Line, Text, UtcMs
from maestro_protocol.ids import Id, RunId

Risk = Literal["low", "medium", "high"]
GateAnswer = Literal["approved", "rejected", "expired"]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class GateRequest(Frozen):
    """Somebody must say yes. Silence until ``expires_at`` means no; so does any change of what is bound."""

    type: Literal["GateRequest"] = "GateRequest"
    gate_id: Id
    action: Line
    summary: Text
    risk: Risk
    bound_to: Digest
    """SHA-256 of exactly what is approved: the plan, the config, the patch."""
    run: RunId | None = None
    needs: Annotated[int, Field(ge=1, le=9)] = 1
    """How many different people must approve."""
    may_decide: tuple[Line, ...] = ()
    """Who may; empty means the owner of the machine."""
    owner: Annotated[Line | None, Field(exclude_if=lambda owner: owner is None)] = None
    """Who that was when the question was put into the store, which writes it: others that reach it are not."""
    asked_at: UtcMs
    expires_at: UtcMs


class GateVote(Frozen):
    """One person's answer, from one place."""

    type: Literal["GateVote"] = "GateVote"
    gate_id: Id
    bound_to: Digest
    approve: bool
    who: Line
    where: Line
    at: UtcMs
    reason: Line = ""


class GateDecided(Frozen):
    """The one outcome of a gate."""

    type: Literal["GateDecided"] = "GateDecided"
    gate_id: Id
    answer: GateAnswer
    by: tuple[Line, ...]
    at: UtcMs
    reason: Line
