"""authorship owns who answered each turn of a campaign: a role's model, or the rules that took the turn for it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from maestro_protocol.envelope import Envelope
from maestro_protocol.messages.campaign import BrainChoice, RoleTurns
from maestro_protocol.messages.plan import ModelCalled, RoleFellBack, RoleName
from maestro_protocol.messages.report import Briefing


class Turn(NamedTuple):
    """One question to a role, and whether its model's answer was the one taken."""

    role: RoleName
    segment: int
    by_model: bool


def turns_of(journal: Iterable[Envelope]) -> list[Turn]:
    """The turns that *journal* tells of, in order.

    A model answered a turn in which it was called and its rules did not step in; a budget that was used up on the way
    ends no turn by itself.
    """
    asked: dict[tuple[str, int], tuple[RoleName, int]] = {}
    called: set[tuple[str, int]] = set()
    fell: set[tuple[str, int]] = set()
    for envelope in journal:
        body = envelope.body
        if isinstance(body, Briefing):
            asked[body.role, body.turn] = (body.role, body.segment)
        elif isinstance(body, ModelCalled):
            called.add((body.role, body.turn))
        elif isinstance(body, RoleFellBack) and body.brain != "budget":
            fell.add((body.role, body.turn))
    return [Turn(*who, by_model=key in called and key not in fell) for key, who in asked.items()]


def thinking(brains: Sequence[BrainChoice], turns: Collection[Turn]) -> tuple[RoleTurns, ...]:
    """How many turns the model of each role answered and how many its rules, for the roles that have one."""
    return tuple(
        RoleTurns(
            role=choice.role,
            model=choice.model or choice.brain,
            by_model=sum(turn.by_model for turn in turns if turn.role == choice.role),
            by_rules=sum(not turn.by_model for turn in turns if turn.role == choice.role),
        )
        for choice in brains
        if not choice.by_rules
    )
