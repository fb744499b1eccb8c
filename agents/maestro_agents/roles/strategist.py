"""strategist owns where to look: three regions of variants for a round, and yes, better or stop to a change."""

from __future__ import annotations

from maestro_agents.roles.base import RoleRules, briefed
from maestro_agents.roles.changes import refined
from maestro_agents.roles.evidence import ranked, reading, turned_down
from maestro_agents.roles.regions import VARIATIONS, RegionIdea, three_regions
from maestro_agents.roles.search_space import Field
from maestro_agents.search.view import SearchView
from maestro_protocol.messages.plan import Expectation, PlanEvent, Proposal, Variation
from maestro_protocol.messages.report import Briefing, Metrics, VariationReport
from maestro_protocol.values import Change, as_mapping, as_params

HOPELESS_TRADES = 100
"""Trades after which a loss before costs is believed."""
EXPECTED = ("hit", "payoff", "maxdd", "score")


def proposal(briefing: Briefing) -> Proposal:
    """Three regions for the briefing's round: methods drawn wide, surroundings of leaders, what was never tried."""
    field, view = Field(briefing), SearchView(briefing)
    found = three_regions(view, field.methods)[:VARIATIONS]
    best = next(iter(ranked(field)), None)
    return Proposal(
        agent="strategist",
        turn=briefing.turn,
        proposal=_situation(view),
        short_plan=tuple(f"variation {i}: {idea.why}"[:300] for i, idea in enumerate(found)),
        expected_metrics=_expected(best.metrics if best else None, briefing),
        next_step="the critic picks one and sets its targets and quick test",
        variations=tuple(_variation(idea, view) for idea in found),
    )


def _variation(idea: RegionIdea, view: SearchView) -> Variation:
    """A region with its first run's values, which say where it lies."""
    first = view.variants.get(idea.region.around[0]) if idea.region.around else None
    return Variation(
        name=idea.name[:300],
        methods=idea.methods,
        params=() if first is None else as_params(first.params),
        rationale=idea.why,
        region=idea.region,
    )


def _situation(view: SearchView) -> str:
    goal = view.briefing.goal.replace("_", " ")
    best = next(iter(view.ranking), None)
    if best is None:
        return f"Nothing has run yet: every method is drawn wide, gates off ({goal})."
    return (
        f"Goal {goal}: {len(view.runs)} variants are known; the best ({', '.join(best.variant.methods)}, "
        f"{view.runs[best.variant]}) is expected to earn {best.net:.0f} USD a day, +- {best.noise:.0f}, after "
        f"{best.costs:.0f} of costs; its plain mean is {best.raw:.0f} on {best.windows} windows."
    )


def _expected(metrics: Metrics | None, briefing: Briefing) -> tuple[Expectation, ...]:
    """What the best of history gave, before it is anything better; without history, the targets."""
    if metrics is None:
        return tuple(Expectation(metric=target.metric, value=target.value) for target in briefing.targets)
    known = {name: reading(metrics, name) for name in EXPECTED}
    return tuple(
        Expectation.model_validate({"metric": name, "value": value})
        for name, value in known.items()
        if value is not None
    )


def judgement(briefing: Briefing) -> PlanEvent:
    """What becomes of a change that another role asked for: taken, refined, refused, or the variation ends."""
    asked, current, field = briefing.asked, briefing.current, Field(briefing)
    if asked is None or current is None:
        return _event(briefing, "keep", (), "no change was asked for", "")
    if _hopeless(current, field):
        return _event(
            briefing, "kill", (), "the signal loses before costs and patches did not help", _figures(current, field)
        )
    if asked.action == "kill":
        return _kill_or_keep(briefing, current, field)
    if asked.action != "adjust":
        return _event(briefing, asked.action, (), "agreed", _figures(current, field))
    kept = refined(asked.change, current, field)
    if not kept:
        return _event(briefing, "keep", (), "no part of the change stands", _figures(current, field))
    same = {c.parameter: c.new for c in kept} == {c.parameter: c.new for c in asked.change}
    return _event(briefing, "adjust", kept, "agreed" if same else "agreed, refined", _figures(current, field))


def _hopeless(current: VariationReport, field: Field) -> bool:
    metrics = current.metrics
    gross = (metrics.expectancy or 0.0) + field.cost
    failed = len(list(turned_down(field.briefing.notes)))
    return metrics.n_trades >= HOPELESS_TRADES and gross < 0 and failed >= 2


def _kill_or_keep(briefing: Briefing, current: VariationReport, field: Field) -> PlanEvent:
    if (current.metrics.expectancy or 0.0) < 0:
        return _event(briefing, "kill", (), "agreed: its tests are better spent on others", _figures(current, field))
    return _event(briefing, "keep", (), "not killed: it earns", _figures(current, field))


def _figures(current: VariationReport, field: Field) -> str:
    metrics = current.metrics
    mean = "undefined" if metrics.expectancy is None else f"{metrics.expectancy:.2f} USD"
    return (
        f"{current.run_id}: {current.tests} tests, {metrics.n_trades} trades, {mean} a trade after "
        f"{field.cost:.2f} USD of costs; {len(as_mapping(current.params))} parameters set"
    )


def _event(briefing: Briefing, action: str, change: tuple[Change, ...], reason: str, evidence: str) -> PlanEvent:
    asked = briefing.asked
    return PlanEvent.model_validate(
        {
            "agent": "strategist",
            "turn": briefing.turn,
            "episode_id": asked.episode_id if asked else None,
            "action": action,
            "change": change,
            "reason": reason,
            "evidence": evidence,
            "rule": asked.rule if asked and action == "adjust" else None,
            "applies_to": asked.applies_to if asked and action == "adjust" else None,
        }
    )


RULES = RoleRules(
    name="strategist",
    duty="proposes three variations per round: methods and parameters, or regions of them",
    rules={"Proposal": briefed(proposal), "PlanEvent": briefed(judgement)},
)
