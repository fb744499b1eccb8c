"""controls owns the roles of an ablation: a critic that never objects, and a strategist that draws lots.

A campaign run with them instead of the real ones says what the debate, and what the proposals, are worth.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping

from maestro_agents.roles.base import RoleRules, briefed
from maestro_agents.roles.search_space import Field
from maestro_protocol.messages.plan import Critique, PlanEvent, Proposal, QuickTest, Role, Variation
from maestro_protocol.messages.report import Briefing
from maestro_protocol.space import ParameterSpec, Value

ANYTHING = QuickTest(tests=1, metric="maxdd", op=">=", value=-1e12)
"""A quick test that nothing fails."""


def accept(briefing: Briefing) -> Critique:
    """The first variation, as it is."""
    return Critique(
        agent="critic",
        turn=briefing.turn,
        verdict="approved",
        analysis=(),
        chosen=0,
        proposed_change=(),
        targets=briefing.targets,
        quick_test=ANYTHING,
        next_step="control: the first variation, without a debate",
    )


def _keep(role: Role, briefing: Briefing) -> PlanEvent:
    return PlanEvent(
        agent=role,
        turn=briefing.turn,
        episode_id=None,
        action="keep",
        change=(),
        reason="control: nothing is changed",
        evidence="",
    )


def lots(briefing: Briefing) -> Iterator[float]:
    """Numbers in [0, 1) that depend on the campaign's seed and the turn alone."""
    count = 0
    while True:
        text = f"lots/{briefing.seed}/{briefing.data.digest}/{briefing.turn}/{count}"
        yield int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "big") / 2**56
        count += 1


def by_lot(briefing: Briefing) -> Proposal:
    """Three variations with methods and every parameter drawn from all that is allowed."""
    field = Field(briefing)
    draw = lots(briefing)
    return Proposal(
        agent="strategist",
        turn=briefing.turn,
        proposal="control: drawn by lot",
        short_plan=(),
        expected_metrics=(),
        next_step="control: run the first",
        variations=tuple(_variation(number, field, draw) for number in range(3)),
    )


def _variation(number: int, field: Field, draw: Iterator[float]) -> Variation:
    methods = (field.methods[int(next(draw) * len(field.methods))],)
    values = {spec.name: _value(spec, next(draw)) for spec in field.own(methods) if field.usable(spec)}
    return field.variation(f"lot {number}", field.idea(methods, values, costs=False), "control: drawn by lot")


def _value(spec: ParameterSpec, lot: float) -> Value:
    if spec.kind == "bool":
        return lot < 0.5
    return spec.clip(spec.low + lot * (spec.high - spec.low))


SILENT: Mapping[str, RoleRules] = {
    "critic": RoleRules(
        "critic",
        "objects to nothing: the control of an ablation",
        {"Critique": briefed(accept), "PlanEvent": briefed(lambda briefing: _keep("critic", briefing))},
    ),
}
RANDOM: Mapping[str, RoleRules] = {
    "strategist": RoleRules(
        "strategist",
        "draws lots: the control of an ablation",
        {"Proposal": briefed(by_lot), "PlanEvent": briefed(lambda briefing: _keep("strategist", briefing))},
    )
}
