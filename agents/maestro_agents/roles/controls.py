"""controls owns the roles of an ablation: a critic without doubts, a strategist by lot, a maestro that shares evenly.

A campaign run with them instead of the real ones says what the debate, and what the proposals, are worth.
"""

from __future__ import annotations

from collections.abc import Mapping

from maestro_agents.roles.base import RoleRules, briefed
from maestro_agents.roles.critic import FINALISTS, nominee
from maestro_agents.roles.maestro import one_page_plan, segment_plan
from maestro_agents.roles.search_space import Field
from maestro_agents.search import Chance
from maestro_agents.search.race import LEADERS
from maestro_agents.search.view import SearchView
from maestro_protocol.messages.plan import (
    Allotment,
    Critique,
    Nomination,
    PlanEvent,
    Proposal,
    QuickTest,
    Region,
    Role,
    RoundKind,
    SegmentPlan,
    Variation,
)
from maestro_protocol.messages.report import Briefing
from maestro_protocol.values import as_params

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


def by_mean(briefing: Briefing) -> Nomination:
    """The best plain means, whatever their noise: nobody stands aside."""
    view = SearchView(briefing)
    ranked = sorted(view.ranking, key=lambda estimate: -estimate.raw)
    best = [nominee(estimate, view) for estimate in ranked[:FINALISTS]]
    return Nomination(
        agent="critic",
        turn=briefing.turn,
        finalists=tuple(best),
        best=best[0] if best else None,
        reason="control: the best plain means",
    )


def by_lot(briefing: Briefing) -> Proposal:
    """Three variations drawn wide, whatever the round is for; the rest of their shares is drawn wide too."""
    field, view = Field(briefing), SearchView(briefing)
    chance = Chance(briefing.seed, "lots", briefing.data.digest, briefing.turn)
    variations: list[Variation] = []
    for number in range(3):
        methods = tuple(field.methods[number::3]) or (chance.one_of(field.methods),)
        drawn = view.space.draw((chance.one_of(methods),), chance)
        variations.append(
            Variation(
                name=f"lot {number}",
                methods=drawn.methods,
                params=as_params(drawn.params),
                rationale="control: drawn by lot",
                region=Region(kind="explore"),
            )
        )
    return Proposal(
        agent="strategist",
        turn=briefing.turn,
        proposal="control: drawn by lot",
        short_plan=(),
        expected_metrics=(),
        next_step="control: run the first",
        variations=tuple(variations),
    )


def flat(briefing: Briefing) -> SegmentPlan:
    """One round, in which every variant is tested on every window: no race."""
    plan = segment_plan(briefing)
    kind: RoundKind = "explore" if briefing.segment < briefing.segments / 2 else "neighbours"
    whole = Allotment(kind=kind, tests=briefing.tests, leaders=LEADERS, first_look=max(1, len(briefing.windows)))
    return plan.model_copy(update={"allocation": (whole,), "reason": "control: every variant on every window"})


SILENT: Mapping[str, RoleRules] = {
    "critic": RoleRules(
        "critic",
        "objects to nothing: the control of an ablation",
        {
            "Critique": briefed(accept),
            "PlanEvent": briefed(lambda briefing: _keep("critic", briefing)),
            "Nomination": briefed(by_mean),
        },
    ),
    "maestro": RoleRules(
        "maestro",
        "shares tests out evenly: the control of an ablation",
        {"SegmentPlan": briefed(flat), "OnePagePlan": briefed(one_page_plan)},
    ),
}
RANDOM: Mapping[str, RoleRules] = {
    "strategist": RoleRules(
        "strategist",
        "draws lots: the control of an ablation",
        {"Proposal": briefed(by_lot), "PlanEvent": briefed(lambda briefing: _keep("strategist", briefing))},
    )
}
