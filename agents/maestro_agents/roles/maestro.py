"""maestro owns the frame: the rounds of a segment and their tests, and the page after every two segments."""

from __future__ import annotations

from maestro_agents.roles.base import Answer, Question, RoleRules, briefed
from maestro_agents.roles.evidence import FAILED, merit, misses, ranked, used_methods
from maestro_agents.roles.search_space import Field
from maestro_agents.search import rounds_of
from maestro_agents.search.view import SearchView
from maestro_protocol.messages.plan import (
    Allotment,
    HealthCheck,
    MetricName,
    OnePagePlan,
    Responsibility,
    Role,
    SegmentPlan,
)
from maestro_protocol.messages.report import Briefing, VariationReport

RESPONSIBLE: dict[MetricName, Role] = {
    "hit": "critic",
    "payoff": "critic",
    "maxdd": "critic",
    "blunders_per_100": "implementer",
    "high_vol_share": "strategist",
    "score": "strategist",
    "total_pnl": "maestro",
}


def segment_plan(briefing: Briefing) -> SegmentPlan:
    """Every method, and the rounds that the segment's tests are spent in, by its goal."""
    view = SearchView(briefing)
    return SegmentPlan(
        agent="maestro",
        turn=briefing.turn,
        segment=briefing.segment,
        goal=briefing.goal,
        tests=briefing.tests,
        methods=briefing.methods[:64],
        ranges=(),
        reason=_reason(view),
        allocation=allocation(briefing),
    )


def allocation(briefing: Briefing) -> tuple[Allotment, ...]:
    """The segment's tests over the race's rounds: as even as whole tests can be, none without any."""
    rounds = rounds_of(briefing.goal, briefing.segment, briefing.segments)
    ends = [round(briefing.tests * sum(r.share for r in rounds[: place + 1])) for place in range(len(rounds))]
    counts = [end - start for start, end in zip([0, *ends], ends, strict=False)]
    return tuple(
        Allotment(kind=each.kind, tests=count, leaders=each.leaders)
        for each, count in zip(rounds, counts, strict=True)
        if count > 0
    )


def complete(question: Question, answer: Answer) -> Answer:
    """A model's plan with the rounds that it left to the search."""
    if isinstance(question, Briefing) and isinstance(answer, SegmentPlan) and not answer.allocation:
        return answer.model_copy(update={"allocation": allocation(question)})
    return answer


def _reason(view: SearchView) -> str:
    briefing = view.briefing
    goal = briefing.goal.replace("_", " ")
    best = next(iter(view.ranking), None)
    if best is None:
        return f"Goal {goal}: no results yet, so every method gets its turn: {', '.join(briefing.methods)}."
    return (
        f"Goal {goal}: {len(view.runs)} variants on {len(view.race.windows)} common windows so far; "
        f"{view.runs[best.variant]} ({', '.join(best.variant.methods)}) leads with {best.net:.0f} USD a day "
        f"expected, +- {best.noise:.0f}, costs of {best.costs:.0f} taken off; leaders are looked at on all windows."
    )


def one_page_plan(briefing: Briefing) -> OnePagePlan:
    """Routines in force, one role per metric, and whether the search is in good health."""
    field = Field(briefing)
    leaders = ranked(field)
    return OnePagePlan(
        agent="maestro",
        turn=briefing.turn,
        after_segment=briefing.segment,
        routines=_routines(briefing),
        responsible=tuple(
            Responsibility(metric=t.metric, role=RESPONSIBLE.get(t.metric, "critic")) for t in briefing.targets[:12]
        ),
        health_checks=_health(briefing, field, leaders),
        focus=_focus(briefing, leaders),
    )


def _routines(briefing: Briefing) -> tuple[str, ...]:
    return (
        f"every variation pays its way: take-profit at least {Field(briefing).floor():.0f} USD",
        "the critic looks every 10 episodes and asks for one change at a time",
        "every patch is measured on the same windows and reverted when it does not help",
        "nothing in history is run again outside walk-forward",
        *(f"noted: {note}"[:300] for note in briefing.notes[:8]),
    )


def _health(briefing: Briefing, field: Field, leaders: list[VariationReport]) -> tuple[HealthCheck, ...]:
    trades = sum(report.metrics.n_trades for report in briefing.history)
    failed = sum(report.fate in FAILED for report in briefing.history)
    earning = [report for report in leaders if merit(report.metrics, field.cost) > 0]
    return (
        HealthCheck(
            name="trades enough to judge",
            ok=trades >= 100,
            detail=f"{trades} trades in {len(briefing.history)} results",
        ),
        HealthCheck(
            name="most variations live", ok=2 * failed <= len(briefing.history), detail=f"{failed} ended early"
        ),
        HealthCheck(
            name="something earns after doubt", ok=bool(earning), detail=f"{len(earning)} results do, costs included"
        ),
        _methods_tried(briefing, field),
    )


def _methods_tried(briefing: Briefing, field: Field) -> HealthCheck:
    """Well when every method ran in a test; those that did not are named."""
    tried = used_methods(field) if briefing.tried is None else set(briefing.tried)
    untried = [method for method in briefing.methods if method not in tried]
    counted = f"{len(briefing.methods) - len(untried)} of {len(briefing.methods)} methods tried"
    detail = f"{counted}; not yet: {', '.join(untried)}" if untried else counted
    return HealthCheck(name="every method tried", ok=not untried, detail=detail[:300])


def _focus(briefing: Briefing, leaders: list[VariationReport]) -> str:
    if not leaders:
        return "Get a first result that stands."
    missed = misses(leaders[0].metrics, briefing.targets)
    if not missed:
        return f"{leaders[0].run_id} meets every target on the training part: now try to prove it wrong."
    worst = max(missed, key=lambda name: missed[name])
    return f"{leaders[0].run_id} leads and misses {worst} by {missed[worst]:.0%}: that first."


RULES = RoleRules(
    name="maestro",
    duty="scopes segments and keeps the campaign's routines",
    rules={"SegmentPlan": briefed(segment_plan), "OnePagePlan": briefed(one_page_plan)},
    completions={"SegmentPlan": complete},
)
