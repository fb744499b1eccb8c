"""critic owns doubt: which region comes first, what proves a variant wrong, what is worth the sealed data."""

from __future__ import annotations

from dataclasses import dataclass

from maestro_agents.roles.base import RoleRules, briefed
from maestro_agents.roles.changes import refined
from maestro_agents.roles.evidence import FAILED, misses, ranked, reading
from maestro_agents.roles.search_space import TAKE_PROFIT, Field
from maestro_agents.search import Estimate, finalists
from maestro_agents.search.finalists import Z_TO_OPEN
from maestro_agents.search.view import SearchView
from maestro_protocol.messages.plan import (
    Critique,
    Nomination,
    Nominee,
    PlanEvent,
    Problem,
    Proposal,
    QuickTest,
    Target,
    Variation,
)
from maestro_protocol.messages.report import Alert, Briefing, VariationReport
from maestro_protocol.values import Change, as_mapping

QUICK_COSTS = 2.0
"""A variant that loses more than so many round trips a trade on its first windows is not looked at again."""
FINALISTS = 3
"""The most that are named: each costs the others power."""
MIN_EPISODES = 3
"""Episodes below which an alert is an anecdote."""
LOSING = "losing"
"""The alert of a variant whose tests lose by more than chance."""


@dataclass(frozen=True, slots=True)
class Opinion:
    """One variation weighed: the best that is known of where it lies, why it cannot be chosen (if so)."""

    index: int
    known: Estimate | None
    fault: str | None

    @property
    def worth(self) -> float:
        """Expected of it, USD a day; what nobody knows is worth as much as standing aside."""
        return 0.0 if self.known is None else self.known.net


def critique(briefing: Briefing) -> Critique:
    """The variation with the best outlook, with a cost-covering take-profit; none when every one has a fault."""
    field = Field(briefing)
    if briefing.proposal is None:
        return _rejected(briefing, ("there is no proposal to judge",))
    view = SearchView(briefing)
    opinions = [_opinion(i, v, field, view) for i, v in enumerate(briefing.proposal.variations)]
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
        quick_test=_quick_test(briefing),
        next_step=_reason(best, opinions),
    )


def _reason(best: Opinion, opinions: list[Opinion]) -> str:
    outlooks = ", ".join("unknown" if o.known is None else f"{o.worth:.0f}" for o in opinions)
    known = best.known
    if known is None:
        return f"run variation {best.index} first; outlooks, USD a day: {outlooks}"
    costs = f"costs take {known.costs:.0f} of {known.net + known.costs:.0f}"
    return (
        f"run variation {best.index} first: {known.net:.0f} USD a day expected, +- {known.noise:.0f}, {costs}, on "
        f"{known.trades} trades; outlooks {outlooks}"
    )


def _opinion(index: int, variation: Variation, field: Field, view: SearchView) -> Opinion:
    return Opinion(index, _known(variation, view), _fault(variation, field))


def _known(variation: Variation, view: SearchView) -> Estimate | None:
    """The best estimate of what the variation goes out from: its runs, itself, or anything of its methods."""
    region = variation.region
    if region is not None and region.around:
        ones = {view.variants[run] for run in region.around if run in view.variants}
        return next((e for e in view.ranking if e.variant in ones), None)
    if region is None:
        own = view.space.variant(variation.methods, as_mapping(variation.params))
        return next((e for e in view.ranking if e.variant == own), None)
    return next((e for e in view.ranking if set(e.variant.methods) <= set(variation.methods)), None)


def _fault(variation: Variation, field: Field) -> str | None:
    idea = field.proposed(variation)  # of a region, the values that it goes out from
    for name in sorted(set(variation.methods) - set(field.methods)):
        return f"{name} is not offered in this segment"
    for spec in field.own(variation.methods):
        value = idea.values[spec.name]
        if not spec.low <= float(value) <= spec.high:
            return f"{spec.name} = {value} is outside {spec.low:g} .. {spec.high:g}"
        if spec.kind == "bool" and value and not field.usable(spec):
            return f"{spec.name} needs {spec.needs}, which the data lacks"
    if variation.region is not None:
        return None
    dead = [report for report in field.briefing.history if report.fate in FAILED]
    if any(field.ran(report).key == idea.key for report in dead):
        return "ran before and was killed"
    return None


def _pay_costs(proposal: Proposal, index: int, field: Field) -> tuple[Change, ...]:
    """Raise the take-profit to a multiple of the round trip's costs where the choice falls short of it."""
    if proposal.variations[index].region is not None:
        return ()  # where a search begins, targets pay their costs
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


def _quick_test(briefing: Briefing) -> QuickTest:
    """The first look, which any variant passes that does not lose far more than its costs."""
    tests = len(SearchView(briefing).first_look())
    line = round(-QUICK_COSTS * briefing.round_trip_cost_usd, 2)
    return QuickTest(tests=min(tests, briefing.tests), metric="expectancy", op=">=", value=line)


def _rejected(briefing: Briefing, faults: tuple[str, ...]) -> Critique:
    return Critique(
        agent="critic",
        turn=briefing.turn,
        verdict="rejected",
        analysis=_analysis(briefing),
        chosen=None,
        proposed_change=(),
        targets=briefing.targets,
        quick_test=_quick_test(briefing),
        next_step=("propose again; " + "; ".join(faults))[:300],
    )


def nomination(briefing: Briefing) -> Nomination:
    """The best that are expected to beat standing aside by their own noise, none the same trades as a better one."""
    view = SearchView(briefing)
    chosen = finalists(view.ranking, view.seen, FINALISTS)
    best = next(iter(view.ranking), None)
    return Nomination(
        agent="critic",
        turn=briefing.turn,
        finalists=tuple(nominee(estimate, view) for estimate in chosen),
        best=None if best is None else nominee(best, view),
        reason=_standing(best, view) if not chosen else f"{len(chosen)} distinct, the best first",
    )


def nominee(estimate: Estimate, view: SearchView) -> Nominee:
    """*estimate* as a candidate for the sealed data."""
    return Nominee(
        run_id=view.runs[estimate.variant],
        net=round(estimate.net, 2),
        noise=round(estimate.noise, 2),
        windows=estimate.windows,
    )


def _standing(best: Estimate | None, view: SearchView) -> str:
    if best is None:
        return "nothing ran"
    return (
        f"nothing is expected to beat standing aside by {Z_TO_OPEN:g} of its own noise: the best, "
        f"{view.runs[best.variant]}, by {best.net:.0f} +- {best.noise:.0f} USD a day"
    )


def event(briefing: Briefing) -> PlanEvent:
    """The change of the most pressing alert that stands, an end for what loses, or keep: one patch at a time."""
    current, field = briefing.current, Field(briefing)
    if current is None:
        return _event(briefing, "keep", (), "nothing is running", "", None)
    for alert in briefing.alerts:
        if alert.rule == LOSING:
            reason = f"{alert.metric} is {alert.value:g} an episode, below 0 by more than its noise"
            return _event(briefing, "kill", (), reason, alert.evidence, None)
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
    duty="picks one variation, sets targets and a quick test, asks for changes where the evidence calls for them and "
    "names what is worth the sealed data",
    rules={"Critique": briefed(critique), "PlanEvent": briefed(event), "Nomination": briefed(nomination)},
)
