"""strategist owns the search: three variations for a segment, and yes, better or stop to a change."""

from __future__ import annotations

from maestro_agents.roles.base import RoleRules, briefed
from maestro_agents.roles.candidates import Found, propose
from maestro_agents.roles.changes import refined
from maestro_agents.roles.evidence import DOUBT, merit, ranked, reading, turned_down
from maestro_agents.roles.search_space import TAKE_PROFIT, Field, Idea
from maestro_protocol.messages.plan import Expectation, PlanEvent, Proposal
from maestro_protocol.messages.report import Briefing, Metrics, VariationReport
from maestro_protocol.values import Change, as_mapping

HOPELESS_TRADES = 100
"""Trades after which a loss before costs is believed."""
EXPECTED = ("hit", "payoff", "maxdd", "score")


def proposal(briefing: Briefing) -> Proposal:
    """Three different variations, none of them in history (in ``walk_forward``: the best of it)."""
    field = Field(briefing)
    found = propose(field)
    best = next(iter(ranked(field)), None)
    return Proposal(
        agent="strategist",
        turn=briefing.turn,
        proposal=_situation(field, best),
        short_plan=tuple(f"variation {i}: {item.why}"[:300] for i, item in enumerate(found)),
        expected_metrics=_expected(best.metrics if best else None, briefing),
        next_step="the critic picks one and sets its targets and quick test",
        variations=tuple(
            field.variation(_label(item, i), item.idea, f"{item.why}. {_costs(item.idea, field)}")
            for i, item in enumerate(found)
        ),
    )


def _label(found: Found, index: int) -> str:
    return f"{'+'.join(found.idea.methods)} {found.parameter or 'base'} {index}"


def _situation(field: Field, best: VariationReport | None) -> str:
    goal = field.briefing.goal.replace("_", " ")
    if best is None:
        return f"Nothing has run yet: start from known good settings ({goal})."
    worth = merit(best.metrics, field.cost)
    return (
        f"Goal {goal}: {len(field.briefing.history)} configurations are known; the best ({', '.join(best.methods)}, "
        f"{best.run_id}) is worth {worth:.2f} USD a trade after {DOUBT} trades of doubt."
    )


def _costs(idea: Idea, field: Field) -> str:
    target = idea.values.get(TAKE_PROFIT)
    if target is None or not float(target):
        return f"A round trip costs {field.cost:.2f} USD."
    share = field.cost / float(target)
    return f"A round trip costs {field.cost:.2f} USD, {share:.0%} of the take-profit of {float(target):.0f} USD."


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
    others = [merit(report.metrics, field.cost) for report in ranked(field) if report.run_id != current.run_id]
    mine = merit(current.metrics, field.cost)
    losing = (current.metrics.expectancy or 0.0) < 0
    if losing and (not others or mine < max(others)):
        return _event(briefing, "kill", (), "agreed: it loses and better is known", _figures(current, field))
    return _event(briefing, "keep", (), "not killed: nothing better is known", _figures(current, field))


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
    duty="proposes three variations per segment: methods and parameters",
    rules={"Proposal": briefed(proposal), "PlanEvent": briefed(judgement)},
)
