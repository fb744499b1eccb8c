"""critic owns doubt: which variation is worth a segment, what would prove it wrong, which alert deserves a change."""

from __future__ import annotations

from dataclasses import dataclass

from maestro_agents.roles.base import RoleRules, briefed
from maestro_agents.roles.changes import refined
from maestro_agents.roles.evidence import FAILED, Guess, guess, misses, ranked, reading
from maestro_agents.roles.search_space import TAKE_PROFIT, Field
from maestro_protocol.messages.plan import Critique, PlanEvent, Problem, Proposal, QuickTest, Target, Variation
from maestro_protocol.messages.report import Alert, Briefing, VariationReport
from maestro_protocol.values import Change, as_mapping

LEAST_WON_BACK = 0.8
"""Profit factor below which a quick test says no."""
MIN_EPISODES = 3
"""Episodes below which an alert is an anecdote."""


@dataclass(frozen=True, slots=True)
class Opinion:
    """One variation weighed: what history makes expect, what its costs take, why it cannot be chosen (if so)."""

    index: int
    guess: Guess
    worth: float
    fault: str | None


def critique(briefing: Briefing) -> Critique:
    """The variation with the best outlook, with a cost-covering take-profit; none when every one has a fault."""
    field = Field(briefing)
    if briefing.proposal is None:
        return _rejected(briefing, ("there is no proposal to judge",))
    opinions = [_opinion(i, v, field) for i, v in enumerate(briefing.proposal.variations)]
    sound = [opinion for opinion in opinions if opinion.fault is None]
    if not sound:
        return _rejected(briefing, tuple(opinion.fault or "" for opinion in opinions))
    best = max(sound, key=lambda opinion: (opinion.worth, -opinion.index))
    change = _pay_costs(briefing.proposal, best.index, field)
    return Critique(
        agent="critic",
        turn=briefing.turn,
        verdict="approved_with_changes" if change else "approved",
        analysis=_analysis(briefing),
        chosen=best.index,
        proposed_change=change,
        targets=briefing.targets,
        quick_test=_quick_test(briefing, field),
        next_step=_reason(best, opinions),
    )


def _reason(best: Opinion, opinions: list[Opinion]) -> str:
    outlooks = ", ".join(f"{opinion.worth:.2f}" for opinion in opinions)
    return (
        f"run variation {best.index}: {best.guess.merit:.2f} USD a trade expected on {best.guess.trades:.0f} trades "
        f"of nearby history; outlooks {outlooks}"
    )


def _opinion(index: int, variation: Variation, field: Field) -> Opinion:
    idea = field.proposed(variation)
    expected = guess(idea, field)
    learning = field.briefing.goal != "walk_forward"  # what is not known yet is worth a look, until it must hold
    worth = expected.merit + (expected.doubt * field.cost if learning else 0.0)
    target = float(idea.values.get(TAKE_PROFIT, 0.0))
    if 0 < target < field.floor():
        worth -= field.floor() - target
    return Opinion(index, expected, worth, _fault(variation, field))


def _fault(variation: Variation, field: Field) -> str | None:
    idea = field.proposed(variation)
    for name in sorted(set(variation.methods) - set(field.methods)):
        return f"{name} is not offered in this segment"
    for spec in field.own(variation.methods):
        value = idea.values[spec.name]
        if not spec.low <= float(value) <= spec.high:
            return f"{spec.name} = {value} is outside {spec.low:g} .. {spec.high:g}"
        if spec.kind == "bool" and value and not field.usable(spec):
            return f"{spec.name} needs {spec.needs}, which the data lacks"
    dead = [report for report in field.briefing.history if report.fate in FAILED]
    if any(field.ran(report).key == idea.key for report in dead):
        return "ran before and was killed"
    return None


def _pay_costs(proposal: Proposal, index: int, field: Field) -> tuple[Change, ...]:
    """Raise the take-profit to a multiple of the round trip's costs where the choice falls short of it."""
    given = field.proposed(proposal.variations[index])
    mended = field.idea(given.methods, given.values)
    old, new = given.values.get(TAKE_PROFIT), mended.values.get(TAKE_PROFIT)
    if old is None or new is None or not 0 < float(old) < float(new):
        return ()
    return (Change(parameter=TAKE_PROFIT, old=old, new=new),)


def _analysis(briefing: Briefing) -> tuple[Problem, ...]:
    """Targets that the best of history misses, the worst miss first."""
    best = next(iter(ranked(Field(briefing))), None)
    if best is None:
        return ()
    missed = misses(best.metrics, briefing.targets)
    wanted = {target.metric: target for target in briefing.targets}
    return tuple(
        Problem(
            metric=wanted[name].metric,
            current=reading(best.metrics, name),
            problem=f"{best.run_id}, the best, misses {wanted[name].op} {wanted[name].value:g} by {missed[name]:.0%}",
        )
        for name in sorted(missed, key=lambda name: -missed[name])[:12]
    )


def _quick_test(briefing: Briefing, field: Field) -> QuickTest:
    """A tenth of the segment must win back most of what it loses: 80 %, or 70 % of the best known, at most all.

    A variation that falls short makes room for the next; with a low line, the first of a proposal would always run.
    """
    best = next(iter(ranked(field)), None)
    known = best.metrics.profit_factor if best else None
    line = LEAST_WON_BACK if known is None else min(1.0, max(LEAST_WON_BACK, 0.7 * known))
    tests = min(10, max(1, briefing.tests // 10))
    return QuickTest(tests=tests, metric="profit_factor", op=">=", value=round(line, 3))


def _rejected(briefing: Briefing, faults: tuple[str, ...]) -> Critique:
    return Critique(
        agent="critic",
        turn=briefing.turn,
        verdict="rejected",
        analysis=_analysis(briefing),
        chosen=None,
        proposed_change=(),
        targets=briefing.targets,
        quick_test=_quick_test(briefing, Field(briefing)),
        next_step=("propose again; " + "; ".join(faults))[:300],
    )


def event(briefing: Briefing) -> PlanEvent:
    """The change of the most pressing alert that stands, or keep: one patch at a time, so that it can be measured."""
    current, field = briefing.current, Field(briefing)
    if current is None:
        return _event(briefing, "keep", (), "nothing is running", "", None)
    alerts = sorted(briefing.alerts, key=lambda alert: -_severity(alert))
    for alert in alerts:
        if alert.episodes < MIN_EPISODES or not _off_target(alert, briefing.targets):
            continue
        change = refined(alert.change, current, field)
        if change:
            reason = f"{alert.rule}: {alert.metric} is {alert.value:g}, the line is {alert.line:g}"
            return _event(briefing, "adjust", change, reason, alert.evidence, alert.rule)
    reason = "no alert" if not alerts else "no alert calls for a change that stands and has not failed already"
    return _event(briefing, "keep", (), reason, _parameters(current), None)


def _severity(alert: Alert) -> float:
    return abs(alert.value - alert.line) / (abs(alert.line) or 1.0)


def _off_target(alert: Alert, targets: tuple[Target, ...]) -> bool:
    """An alert on a metric that meets its own target is not worth a patch."""
    for target in targets:
        if target.metric == alert.metric:
            return alert.value < target.value if target.op == ">=" else alert.value > target.value
    return True


def _parameters(current: VariationReport) -> str:
    values = ", ".join(f"{name} = {value}" for name, value in as_mapping(current.params).items())
    return f"{current.run_id}: {values}"[:4_000]


def _event(
    briefing: Briefing, action: str, change: tuple[Change, ...], reason: str, evidence: str, rule: str | None
) -> PlanEvent:
    return PlanEvent.model_validate(
        {
            "agent": "critic",
            "turn": briefing.turn,
            "episode_id": None,
            "action": action,
            "change": change,
            "reason": reason[:300],
            "evidence": evidence,
            "rule": rule,
        }
    )


RULES = RoleRules(
    name="critic",
    duty="picks one variation, sets targets and a quick test, and asks for changes where the evidence calls for them",
    rules={"Critique": briefed(critique), "PlanEvent": briefed(event)},
)
