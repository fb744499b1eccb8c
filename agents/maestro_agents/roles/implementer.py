"""implementer owns the step from an idea to something that runs: complete parameters, and their jitter."""

from __future__ import annotations

from maestro_agents.roles.base import RoleRules, briefed
from maestro_agents.roles.evidence import ranked
from maestro_agents.roles.search_space import TAKE_PROFIT, Field, Idea
from maestro_protocol.errors import AgentError
from maestro_protocol.messages.plan import Jitter, RunConfigDraft
from maestro_protocol.messages.report import Briefing
from maestro_protocol.space import ParameterSpec
from maestro_protocol.values import as_params

WANDERING = ("x_atr", "usd", "z", "ratio")
"""Units of exits and gate thresholds. Lengths and switches stay as chosen: they make another strategy."""
STEPS = {"explore": 2, "new_methods": 1, "walk_forward": 0, "ensemble": 1}


def draft(briefing: Briefing) -> RunConfigDraft:
    """The chosen variation with the critic's changes, every parameter named and inside its bounds."""
    field = Field(briefing)
    chosen, why = _chosen(briefing, field)
    idea = field.idea(chosen.methods, chosen.values, costs=False)  # the critic answers for the costs
    moved = sorted(name for name, value in idea.values.items() if value != chosen.values.get(name))
    fitted = f" Fitted to bounds: {', '.join(moved)}." if moved else ""
    return RunConfigDraft(
        agent="implementer",
        turn=briefing.turn,
        methods=idea.methods,
        params=as_params(idea.values),
        jitter=_jitter(idea, field),
        notes=f"{why}{fitted}",
    )


def _chosen(briefing: Briefing, field: Field) -> tuple[Idea, str]:
    proposal, critique = briefing.proposal, briefing.critique
    if proposal is not None and critique is not None and critique.chosen is not None:
        idea = field.proposed(proposal.variations[critique.chosen])
        changes = {c.parameter: c.new for c in critique.proposed_change if c.parameter in idea.values}
        return Idea(idea.methods, {**idea.values, **changes}), f"Variation {critique.chosen} as the critic chose it."
    for report in ranked(field):
        if set(report.methods) <= set(field.methods):
            return field.ran(report), f"Nothing was chosen: {report.run_id}, the best of history, runs again."
    if not field.methods:
        raise AgentError("implementer: the briefing offers no method")
    return field.idea(
        field.methods[:1], {}
    ), f"Nothing was chosen and nothing is known: defaults of {field.methods[0]}."


def _jitter(idea: Idea, field: Field) -> tuple[Jitter, ...]:
    wide = STEPS[field.briefing.goal]
    found: list[Jitter] = []
    for spec in field.own(idea.methods):
        if spec.kind != "bool" and spec.unit in WANDERING and idea.in_force(spec.name):
            steps = min(wide, _room(spec, float(idea.values[spec.name]), field))
            if steps > 0:
                found.append(Jitter(parameter=spec.name, steps=steps))
    return tuple(found[:16])


def _room(spec: ParameterSpec, value: float, field: Field) -> int:
    """Whole steps between *value* and the nearer end of its span; a take-profit keeps above its costs."""
    low, high = field.span(spec.name)
    if spec.name == TAKE_PROFIT:
        low = max(low, min(field.floor(), value))
    return int(min(value - low, high - value) / spec.step + 1e-9)


RULES = RoleRules(
    name="implementer",
    duty="turns the chosen variation into complete, validated parameters",
    rules={"RunConfigDraft": briefed(draft)},
)
