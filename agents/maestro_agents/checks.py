"""checks owns whether an answer is allowed: its methods offered, its parameters known, in bounds and plan."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from maestro_agents.roles.base import Answer, Question
from maestro_agents.roles.field import QUORUM, Field, ordered_pairs, owner
from maestro_protocol.errors import ParameterError
from maestro_protocol.messages.plan import (
    Critique,
    OnePagePlan,
    PlanEvent,
    Proposal,
    RunConfigDraft,
    SegmentPlan,
)
from maestro_protocol.messages.report import Briefing
from maestro_protocol.messages.work import TaskAssigned
from maestro_protocol.space import ParameterSpace, Value
from maestro_protocol.values import Change, NamedValue, as_mapping

MAX_PROBLEMS = 12


def problems(answer: Answer, question: Question) -> list[str]:
    """What stands against *answer*, in sentences its author can act on; empty when nothing does."""
    return [problem[:300] for problem in list(_found(answer, question))[:MAX_PROBLEMS]]


def _found(answer: Answer, question: Question) -> Iterator[str]:
    if isinstance(question, Briefing):
        return _of_briefing(answer, question)
    known = isinstance(answer, TaskAssigned) and answer.task_id == question.task_id
    return iter(() if known else (f"task_id: must be {question.task_id!r}",))


def _of_briefing(answer: Answer, briefing: Briefing) -> Iterator[str]:
    match answer:
        case SegmentPlan():
            return _segment_plan(answer, briefing)
        case Proposal():
            return _proposal(answer, briefing)
        case Critique():
            return _critique(answer, briefing)
        case RunConfigDraft():
            return _draft(answer, briefing)
        case PlanEvent():
            return _plan_event(answer, briefing)
        case OnePagePlan():
            right = answer.after_segment == briefing.segment
            return iter(() if right else (f"after_segment: must be {briefing.segment}",))
        case TaskAssigned():
            return iter(("TaskAssigned answers a work order, not a briefing",))


def _segment_plan(plan: SegmentPlan, briefing: Briefing) -> Iterator[str]:
    for name in ("segment", "goal", "tests"):
        if getattr(plan, name) != getattr(briefing, name):
            yield f"{name}: must be {getattr(briefing, name)!r}, as briefed"
    yield from _methods("methods", plan.methods, briefing.methods)
    yield from _twice("ranges", [item.parameter for item in plan.ranges])
    space = ParameterSpace(specs=briefing.space)
    for item in plan.ranges:
        at = f"ranges {item.parameter}"
        try:
            spec = space[item.parameter]
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

    yield from _crossed({item.parameter: (item.low, item.high) for item in plan.ranges}, space, len(plan.methods))


def _crossed(given: Mapping[str, tuple[float, float]], space: ParameterSpace, methods: int) -> Iterator[str]:
    """Ranges in which nothing coherent lies."""
    spans = {spec.name: given.get(spec.name, (spec.low, spec.high)) for spec in space.iter_specs()}
    for fast, slow in ordered_pairs(spans):
        if spans[fast][0] >= spans[slow][1]:
            yield f"ranges: no {fast} in them is below any {slow}"
    if spans.get(QUORUM, (1, 1))[0] > methods:
        yield f"ranges {QUORUM}: starts above the {methods} methods that can agree"


def _proposal(proposal: Proposal, briefing: Briefing) -> Iterator[str]:
    seen: dict[tuple[object, ...], int] = {}
    field = Field(briefing)
    for i, variation in enumerate(proposal.variations):
        at = f"variations[{i}]"
        found = list(_runnable(at, variation.methods, variation.params, briefing))
        yield from found
        if not found:
            key = field.proposed(variation).key
            if key in seen:
                yield f"{at}: would run the same as variations[{seen[key]}]; propose three different ones"
            seen.setdefault(key, i)


def _critique(critique: Critique, briefing: Briefing) -> Iterator[str]:
    if (critique.chosen is None) != (critique.verdict == "rejected"):
        yield "chosen: is null when the verdict is rejected, and only then"
    if critique.quick_test.tests > briefing.tests:
        yield f"quick_test.tests: at most the segment's {briefing.tests}"
    if critique.chosen is None or briefing.proposal is None:
        if critique.proposed_change:
            yield "proposed_change: must be empty when nothing is chosen"
        return
    if critique.proposed_change and critique.verdict == "approved":
        yield "verdict: with changes it is approved_with_changes"
    variation = briefing.proposal.variations[critique.chosen]
    current = Field(briefing).proposed(variation).values
    yield from _changes("proposed_change", critique.proposed_change, current, briefing)
    changed = {**as_mapping(variation.params), **{c.parameter: c.new for c in critique.proposed_change}}
    params = [NamedValue(name=name, value=value) for name, value in changed.items()]
    yield from _runnable(f"variations[{critique.chosen}] as changed", variation.methods, params, briefing)


def _draft(draft: RunConfigDraft, briefing: Briefing) -> Iterator[str]:
    yield from _runnable("params", draft.methods, draft.params, briefing)
    yield from _twice("jitter", [item.parameter for item in draft.jitter])
    space = ParameterSpace(specs=briefing.space)
    for item in draft.jitter:
        if item.parameter not in space:
            yield f"jitter: unknown parameter {item.parameter!r}"
        elif space[item.parameter].kind == "bool":
            yield f"jitter: {item.parameter} is a switch and cannot wander"
        elif item.steps and briefing.goal == "walk_forward":
            yield f"jitter: {item.parameter} must not wander in walk_forward; leave jitter empty"
    yield from _as_chosen(draft, briefing)


def _as_chosen(draft: RunConfigDraft, briefing: Briefing) -> Iterator[str]:
    """A draft is the critic's choice, not another idea."""
    if briefing.proposal is None or briefing.critique is None or briefing.critique.chosen is None:
        return
    chosen = briefing.proposal.variations[briefing.critique.chosen]
    if set(draft.methods) != set(chosen.methods):
        yield f"methods: the critic chose {', '.join(chosen.methods)}"
    wanted = {**as_mapping(chosen.params), **{c.parameter: c.new for c in briefing.critique.proposed_change}}
    given = as_mapping(draft.params)
    for name, value in wanted.items():
        if name in given and given[name] != value:
            yield f"params {name}: the critic chose {value}, not {given[name]}"
        elif name not in given:
            yield f"params {name}: is missing; the critic chose {value}"


def _plan_event(event: PlanEvent, briefing: Briefing) -> Iterator[str]:
    if (event.action == "adjust") != bool(event.change):
        yield "change: adjust names at least one change; every other action names none"
    if briefing.current is None:
        if event.change:
            yield "change: nothing is running that could be changed"
        return
    space = ParameterSpace(specs=briefing.space)
    current = {**space.defaults(), **as_mapping(briefing.current.params)}
    yield from _changes("change", event.change, current, briefing)


def _changes(at: str, changes: Sequence[Change], current: Mapping[str, Value], briefing: Briefing) -> Iterator[str]:
    yield from _twice(at, [change.parameter for change in changes])
    space = ParameterSpace(specs=briefing.space)
    for change in changes:
        here = f"{at} {change.parameter}"
        try:
            spec = space[change.parameter]
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
        elif _lacks_data(spec.name, new, briefing):
            yield f"{here}: needs {spec.needs}, which the data does not have"


def _runnable(at: str, methods: Sequence[str], params: Sequence[NamedValue], briefing: Briefing) -> Iterator[str]:
    """Methods offered, every parameter known, theirs, in bounds and plan, and the values coherent."""
    offered = briefing.plan.methods if briefing.plan else briefing.methods
    yield from _methods(f"{at} methods", methods, offered)
    yield from _twice(at, [item.name for item in params])
    good = True
    for item in params:
        for problem in _one_value(item, methods, briefing):
            good = False
            yield f"{at} {item.name}: {problem}"
    if good:
        yield from _incoherent(at, methods, as_mapping(params), briefing)


def _one_value(item: NamedValue, methods: Sequence[str], briefing: Briefing) -> Iterator[str]:
    try:
        spec = ParameterSpace(specs=briefing.space)[item.name]
        value = spec.check(item.value)
    except ParameterError as error:
        yield str(error)
        return
    whose = owner(item.name, briefing.methods)
    if whose is not None and whose not in methods:
        yield f"belongs to {whose}, which is not among the methods"
    if _lacks_data(item.name, value, briefing):
        yield f"needs {spec.needs}, which the data does not have"
    for span in briefing.plan.ranges if briefing.plan else ():
        if span.parameter == item.name and not span.low <= float(value) <= span.high and value != spec.default:
            yield f"{value:g} is outside the segment's range {span.low:g} .. {span.high:g}"


def _lacks_data(name: str, value: Value, briefing: Briefing) -> bool:
    """Whether the value switches on something that the data cannot feed."""
    spec = ParameterSpace(specs=briefing.space)[name]
    return spec.needs == "taker_volume" and not briefing.data.has_taker_volume and value != spec.default


def _incoherent(at: str, methods: Sequence[str], given: Mapping[str, Value], briefing: Briefing) -> Iterator[str]:
    specs = {spec.name: spec for spec in Field(briefing).own(methods)}
    values = {name: given.get(name, spec.default) for name, spec in specs.items()}
    for fast, slow in ordered_pairs(values):
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
