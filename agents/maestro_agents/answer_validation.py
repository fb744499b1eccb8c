"""answer_validation owns the checks of a typed answer: methods offered, parameters known, in bounds and plan."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from maestro_agents.roles.base import Answer, Question
from maestro_agents.roles.search_space import QUORUM, Field
from maestro_protocol.errors import ParameterError
from maestro_protocol.messages.plan import (
    Advice,
    Critique,
    Nomination,
    OnePagePlan,
    PlanEvent,
    Proposal,
    RunConfigDraft,
    SegmentPlan,
)
from maestro_protocol.messages.report import Briefing
from maestro_protocol.messages.work import TaskAssigned
from maestro_protocol.space import Value, ordered_pairs
from maestro_protocol.values import Change, NamedValue, as_mapping

MAX_PROBLEMS = 12


def problems(answer: Answer, question: Question) -> list[str]:
    """What stands against *answer*, in sentences its author can act on; empty when nothing does."""
    return [problem[:300] for problem in list(_found(answer, question))[:MAX_PROBLEMS]]


def _found(answer: Answer, question: Question) -> Iterator[str]:
    if isinstance(question, Briefing):
        return _of_briefing(answer, Field(question))
    known = isinstance(answer, TaskAssigned) and answer.task_id == question.task_id
    return iter(() if known else (f"task_id: must be {question.task_id!r}",))


def _of_briefing(answer: Answer, field: Field) -> Iterator[str]:
    match answer:
        case SegmentPlan():
            return _segment_plan(answer, field)
        case Proposal():
            return _proposal(answer, field)
        case Critique():
            return _critique(answer, field)
        case RunConfigDraft():
            return _draft(answer, field)
        case PlanEvent():
            return _plan_event(answer, field)
        case OnePagePlan():
            right = answer.after_segment == field.briefing.segment
            return iter(() if right else (f"after_segment: must be {field.briefing.segment}",))
        case Advice():
            return _advice(answer, field)
        case Nomination():
            return _nomination(answer, field)
        case TaskAssigned():
            return iter(("TaskAssigned answers a work order, not a briefing",))


def _nomination(nomination: Nomination, field: Field) -> Iterator[str]:
    alive = {observed.run_id for observed in field.briefing.observations if observed.fate == "finished"}
    named = [*nomination.finalists, *((nomination.best,) if nomination.best is not None else ())]
    yield from _twice("finalists", [nominee.run_id for nominee in nomination.finalists])
    for nominee in named:
        if nominee.run_id not in alive:
            yield f"{nominee.run_id}: is no variant that ran and may be gone on with"


def _segment_plan(plan: SegmentPlan, field: Field) -> Iterator[str]:
    for name in ("segment", "goal", "tests"):
        if getattr(plan, name) != getattr(field.briefing, name):
            yield f"{name}: must be {getattr(field.briefing, name)!r}, as briefed"
    shared = sum(each.tests for each in plan.allocation)
    if plan.allocation and shared != field.briefing.tests:
        yield f"allocation: shares out {shared} tests; the segment has {field.briefing.tests}, or leave it empty"
    yield from _methods("methods", plan.methods, field.briefing.methods)
    yield from _twice("ranges", [item.parameter for item in plan.ranges])
    for item in plan.ranges:
        at = f"ranges {item.parameter}"
        try:
            spec = field.spec(item.parameter)
        except ParameterError as error:
            yield f"{at}: {error}"
            continue
        if not spec.low <= item.low <= item.high <= spec.high:
            yield f"{at}: needs {spec.low:g} <= low <= high <= {spec.high:g}, not {item.low:g} .. {item.high:g}"
        elif (
            not item.low <= float(spec.clip(item.low)) <= item.high
            and not item.low <= float(spec.clip(item.high)) <= item.high
        ):
            yield f"{at}: holds no value of the grid (steps of {spec.step:g} from {spec.low:g})"

    yield from _crossed({item.parameter: (item.low, item.high) for item in plan.ranges}, field, len(plan.methods))


def _crossed(given: Mapping[str, tuple[float, float]], field: Field, methods: int) -> Iterator[str]:
    """Ranges in which nothing coherent lies."""
    spans = {spec.name: given.get(spec.name, (spec.low, spec.high)) for spec in field.briefing.space}
    for fast, slow in ordered_pairs(field.briefing.space):
        if spans[fast][0] >= spans[slow][1]:
            yield f"ranges: no {fast} in them is below any {slow}"
    if spans.get(QUORUM, (1, 1))[0] > methods:
        yield f"ranges {QUORUM}: starts above the {methods} methods that can agree"


def _proposal(proposal: Proposal, field: Field) -> Iterator[str]:
    runs = {observed.run_id for observed in field.briefing.observations}
    seen: dict[tuple[object, ...], int] = {}
    for i, variation in enumerate(proposal.variations):
        at = f"variations[{i}]"
        found = list(_runnable(at, variation.methods, variation.params, field))
        yield from found
        for run in variation.region.around if variation.region is not None else ():
            if run not in runs:
                yield f"{at} region: {run} is no variant that ran"
        if not found:
            key = (field.proposed(variation).key, variation.region)
            if key in seen:
                yield f"{at}: would run the same as variations[{seen[key]}]; propose three different ones"
            seen.setdefault(key, i)


def _critique(critique: Critique, field: Field) -> Iterator[str]:
    if (critique.chosen is None) != (critique.verdict == "rejected"):
        yield "chosen: is null when the verdict is rejected, and only then"
    if critique.quick_test.tests > field.briefing.tests:
        yield f"quick_test.tests: at most the segment's {field.briefing.tests}"
    if critique.chosen is None or field.briefing.proposal is None:
        if critique.proposed_change:
            yield "proposed_change: must be empty when nothing is chosen"
        return
    if critique.proposed_change and critique.verdict == "approved":
        yield "verdict: with changes it is approved_with_changes"
    variation = field.briefing.proposal.variations[critique.chosen]
    current = field.proposed(variation).values
    yield from _changes("proposed_change", critique.proposed_change, current, field)
    changed = {**as_mapping(variation.params), **{c.parameter: c.new for c in critique.proposed_change}}
    params = [NamedValue(name=name, value=value) for name, value in changed.items()]
    yield from _runnable(f"variations[{critique.chosen}] as changed", variation.methods, params, field)


def _draft(draft: RunConfigDraft, field: Field) -> Iterator[str]:
    yield from _runnable("params", draft.methods, draft.params, field)
    yield from _twice("jitter", [item.parameter for item in draft.jitter])
    for item in draft.jitter:
        if item.parameter not in field.specs:
            yield f"jitter: unknown parameter {item.parameter!r}"
        elif field.spec(item.parameter).kind == "bool":
            yield f"jitter: {item.parameter} is a switch and cannot wander"
        elif item.steps and field.briefing.goal == "walk_forward":
            yield f"jitter: {item.parameter} must not wander in walk_forward; leave jitter empty"
    yield from _as_chosen(draft, field)


def _as_chosen(draft: RunConfigDraft, field: Field) -> Iterator[str]:
    """A draft is the critic's choice, not another idea."""
    if field.briefing.proposal is None or field.briefing.critique is None or field.briefing.critique.chosen is None:
        return
    chosen = field.briefing.proposal.variations[field.briefing.critique.chosen]
    if set(draft.methods) != set(chosen.methods):
        yield f"methods: the critic chose {', '.join(chosen.methods)}"
    wanted = {**as_mapping(chosen.params), **{c.parameter: c.new for c in field.briefing.critique.proposed_change}}
    given = as_mapping(draft.params)
    for name, value in wanted.items():
        if name in given and given[name] != value:
            yield f"params {name}: the critic chose {value}, not {given[name]}"
        elif name not in given:
            yield f"params {name}: is missing; the critic chose {value}"


def _advice(advice: Advice, field: Field) -> Iterator[str]:
    for change in advice.suggested_changes:
        try:
            field.spec(change.parameter).check(change.new)
        except ParameterError as error:
            yield f"suggested_changes {change.parameter}: {error}"


def _plan_event(event: PlanEvent, field: Field) -> Iterator[str]:
    if (event.action == "adjust") != bool(event.change):
        yield "change: adjust names at least one change; every other action names none"
    if field.briefing.current is None:
        if event.change:
            yield "change: nothing is running that could be changed"
        return
    current = {**field.defaults(), **as_mapping(field.briefing.current.params)}
    yield from _changes("change", event.change, current, field)


def _changes(at: str, changes: Sequence[Change], current: Mapping[str, Value], field: Field) -> Iterator[str]:
    yield from _twice(at, [change.parameter for change in changes])
    for change in changes:
        here = f"{at} {change.parameter}"
        try:
            spec = field.spec(change.parameter)
            new = spec.check(change.new)
        except ParameterError as error:
            yield f"{here}: {error}"
            continue
        now = current.get(spec.name)
        if now is None:
            yield f"{here}: means nothing to the methods that run"
        elif change.old is not None and change.old != now:
            yield f"{here}: the old value is {now}, not {change.old}"
        elif new == now:
            yield f"{here}: is {now} already"
        elif _lacks_data(spec.name, new, field):
            yield f"{here}: needs {spec.needs}, which the data does not have"


def _runnable(at: str, methods: Sequence[str], params: Sequence[NamedValue], field: Field) -> Iterator[str]:
    """Methods offered, every parameter known, theirs, in bounds and plan, and the values coherent."""
    offered = field.briefing.plan.methods if field.briefing.plan else field.briefing.methods
    yield from _methods(f"{at} methods", methods, offered)
    yield from _twice(at, [item.name for item in params])
    good = True
    for item in params:
        for problem in _one_value(item, methods, field):
            good = False
            yield f"{at} {item.name}: {problem}"
    if good:
        yield from _incoherent(at, methods, as_mapping(params), field)


def _one_value(item: NamedValue, methods: Sequence[str], field: Field) -> Iterator[str]:
    try:
        spec = field.spec(item.name)
        value = spec.check(item.value)
    except ParameterError as error:
        yield str(error)
        return
    whose = spec.method
    if whose is not None and whose not in methods:
        yield f"belongs to {whose}, which is not among the methods"
    if _lacks_data(item.name, value, field):
        yield f"needs {spec.needs}, which the data does not have"
    for span in field.briefing.plan.ranges if field.briefing.plan else ():
        if span.parameter == item.name and not span.low <= float(value) <= span.high and value != spec.default:
            yield f"{value:g} is outside the segment's range {span.low:g} .. {span.high:g}"


def _lacks_data(name: str, value: Value, field: Field) -> bool:
    """Whether the value switches on something that the data cannot feed."""
    spec = field.spec(name)
    return spec.needs == "taker_volume" and not field.briefing.data.has_taker_volume and value != spec.default


def _incoherent(at: str, methods: Sequence[str], given: Mapping[str, Value], field: Field) -> Iterator[str]:
    specs = {spec.name: spec for spec in field.briefing.space if spec.method in (None, *methods)}
    values = {name: given.get(name, spec.default) for name, spec in specs.items()}
    for fast, slow in ordered_pairs(specs.values()):
        if values[fast] >= values[slow]:
            yield f"{at}: {fast} = {values[fast]} must be below {slow} = {values[slow]}"
    if values.get(QUORUM, 1) > len(methods):
        yield f"{at}: {QUORUM} = {values[QUORUM]} is more than the {len(methods)} methods that can agree"


def _methods(at: str, methods: Sequence[str], offered: Sequence[str]) -> Iterator[str]:
    yield from _twice(at, methods)
    for name in methods:
        if name not in offered:
            yield f"{at}: {name!r} is not offered; offered: {', '.join(offered)}"


def _twice(at: str, names: Sequence[str]) -> Iterator[str]:
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"{at}: {name} is named twice"
