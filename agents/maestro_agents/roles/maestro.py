"""maestro owns the frame: the methods and ranges of a segment, and the page after every two segments."""

from __future__ import annotations

import math

from maestro_agents.roles.base import RoleRules, briefed
from maestro_agents.roles.evidence import FAILED, merit, misses, ranked, used_methods
from maestro_agents.roles.search_space import QUORUM, TAKE_PROFIT, Field, ordered_pairs
from maestro_protocol.messages.plan import (
    HealthCheck,
    MetricName,
    OnePagePlan,
    Range,
    Responsibility,
    Role,
    SegmentPlan,
)
from maestro_protocol.messages.report import Briefing, VariationReport
from maestro_protocol.space import ParameterSpec

REACH = {"explore": 0.35, "new_methods": 0.35, "walk_forward": 0.05, "ensemble": 0.15}
"""How far a segment may go beyond the values of the best results, in shares of a parameter's bounds."""
LEADERS = 3
"""Results around which ranges are drawn."""
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
    """Methods for the segment's goal, and ranges around the best results so far."""
    field = Field(briefing)
    leaders = ranked(field)[:LEADERS]
    methods = _methods(briefing, field, leaders)
    ranges = _ranges(field, leaders, methods)
    return SegmentPlan(
        agent="maestro",
        turn=briefing.turn,
        segment=briefing.segment,
        goal=briefing.goal,
        tests=briefing.tests,
        methods=methods,
        ranges=ranges,
        reason=_reason(briefing, field, leaders, methods),
    )


def _methods(briefing: Briefing, field: Field, leaders: list[VariationReport]) -> tuple[str, ...]:
    used, offered = used_methods(field), briefing.methods
    if briefing.goal == "new_methods":
        return tuple(m for m in offered if m not in used) or offered
    if briefing.goal == "walk_forward":
        return tuple(m for m in offered if any(m in report.methods for report in leaders)) or offered
    if briefing.goal == "ensemble":
        return _ensemble(field) or offered
    if leaders:
        return tuple(m for m in offered if m in used)
    # something must be left to try when the segment for new methods comes
    return offered if briefing.segments < 3 else offered[: math.ceil(len(offered) / 2)]


def _ensemble(field: Field) -> tuple[str, ...]:
    """At least two methods: all whose best result is no worse than the typical one, never fewer than the best two."""
    best: dict[str, float] = {}
    for report in ranked(field):
        for method in report.methods:
            best.setdefault(method, merit(report.metrics, field.cost))
    order = sorted(best, key=lambda method: (-best[method], method))
    line = sorted(best.values())[len(best) // 2] if best else 0.0
    kept = [m for i, m in enumerate(order) if i < 2 or best[m] >= line]
    if len(kept) < 2:
        kept += [m for m in field.briefing.methods if m not in kept][: 2 - len(kept)]
    return tuple(m for m in field.briefing.methods if m in kept)[:8]


def _ranges(field: Field, leaders: list[VariationReport], methods: tuple[str, ...]) -> tuple[Range, ...]:
    """A range for every number, such that something coherent lies inside: the quorum and crossed pairs stay free."""
    found = {s.name: _range(s, field, leaders) for s in field.own(methods) if s.kind != "bool" and s.name != QUORUM}
    for fast, slow in ordered_pairs(found):
        if found[fast].low >= found[slow].high:
            del found[fast], found[slow]
    return tuple(found.values())[:64]


def _range(spec: ParameterSpec, field: Field, leaders: list[VariationReport]) -> Range:
    """From the lowest to the highest value among the leaders, and the goal's reach beyond, on the grid."""
    ideas = [field.ran(report) for report in leaders]
    values = [float(idea.values[spec.name]) for idea in ideas if spec.name in idea.values] or [float(spec.default)]
    reach = REACH[field.briefing.goal] * (spec.high - spec.low)
    low, high = min(values) - reach, max(values) + reach
    if spec.name == TAKE_PROFIT:  # room above the costs, whatever the leaders did
        high = max(high, field.floor() + spec.step)
    return Range(parameter=spec.name, low=float(spec.clip(low)), high=float(spec.clip(high)))


def _reason(briefing: Briefing, field: Field, leaders: list[VariationReport], methods: tuple[str, ...]) -> str:
    goal = briefing.goal.replace("_", " ")
    if not leaders:
        return f"Goal {goal}: no results yet, so the ranges lie around the defaults of {', '.join(methods)}."
    best = leaders[0]
    return (
        f"Goal {goal} with {', '.join(methods)}: ranges around the best {len(leaders)} results; {best.run_id} "
        f"({', '.join(best.methods)}) leads with {merit(best.metrics, field.cost):.2f} USD a trade after doubt "
        f"over {best.metrics.n_trades} trades, costs of {field.cost:.2f} USD a round trip included."
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
)
