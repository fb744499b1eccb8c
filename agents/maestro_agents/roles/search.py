"""search owns where new ideas come from: climbing from the best of history, untried methods, ensembles. No chance."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, islice

from maestro_agents.roles.evidence import Step, as_idea, diagnosis, ranked, slopes, tried, used_methods
from maestro_agents.roles.field import QUORUM, STOP, TAKE_PROFIT, Field, Idea, owner
from maestro_protocol.messages.report import VariationReport

WIDTHS = (1, 2, 3, 5, 8, 13)
"""Strides of a move, tried from the smallest on until it leads somewhere new."""


@dataclass(frozen=True, slots=True)
class Found:
    """An idea, where it came from, and the parameter by which it differs (null: by more than one)."""

    idea: Idea
    why: str
    parameter: str | None = None


def propose(field: Field) -> list[Found]:
    """Three different ideas for the segment's goal, the most promising first."""
    goal = field.briefing.goal
    if goal == "walk_forward":
        first = _the_best(field)
    elif goal == "new_methods":
        first = _new_methods(field)
    elif goal == "ensemble":
        first = _ensembles(field)
    else:
        first = _explore(field)
    return list(islice(_distinct(_chained(first, _everywhere(field))), 3))


def _chained(first: Iterator[Found], rest: Iterator[Found]) -> Iterator[Found]:
    yield from first
    yield from rest


def _distinct(found: Iterator[Found]) -> Iterator[Found]:
    seen: set[tuple[object, ...]] = set()
    for item in found:
        if item.idea.key not in seen:
            seen.add(item.idea.key)
            yield item


def bases(field: Field) -> list[tuple[Idea, VariationReport | None]]:
    """Where to climb from: history's best with the segment's methods, then each method's known good setting."""
    fitting = [report for report in ranked(field) if set(report.methods) <= set(field.methods)]
    out = [(field.idea(report.methods, as_idea(report, field).values), report) for report in fitting]
    used = {method for idea, _ in out for method in idea.methods}
    return [*out, *((field.idea((method,), {}), None) for method in field.methods if method not in used)]


def climb(field: Field, base: Idea, steps: Sequence[Step]) -> Iterator[Found]:
    """New neighbours of *base* along *steps*, near ones first; what history holds is skipped."""
    known = tried(field) | {base.key}
    for width in WIDTHS:
        for parameter, sign in steps:
            if parameter not in base.values or not base.in_force(parameter):
                continue
            idea = field.moved(base, parameter, sign * width)
            if idea.key not in known:
                known.add(idea.key)
                yield Found(idea, f"moves {parameter} {'up' if sign > 0 else 'down'} from {_name(base)}", parameter)


def compass(field: Field, base: Idea, report: VariationReport | None) -> list[Step]:
    """All directions from *base*: what its report calls for, what history favours, then every parameter both ways."""
    steps = (diagnosis(report, field) if report else []) + slopes(field)
    steps += [(STOP, 1), (TAKE_PROFIT, 1)]
    steps += [(s.name, sign) for s in field.own(base.methods) for sign in (1, -1)]
    return [step for step in dict.fromkeys(steps) if step[0] in base.values]


def _explore(field: Field) -> Iterator[Found]:
    known = tried(field)
    starts = bases(field)
    fresh = [Found(idea, f"known good setting of {_name(idea)}") for idea, _ in starts if idea.key not in known]
    best, report = starts[0]
    pool = climb(field, best, compass(field, best, report))
    first = next(pool, None)
    if report is not None and first is not None:
        yield first  # what the best result calls for comes before anybody's known good setting
    yield from fresh[:2]
    if report is None and first is not None:
        yield first
    if len(starts) > 1:
        second, second_report = starts[1]
        yield from islice(climb(field, second, compass(field, second, second_report)), 1)
    yield from (found for found in pool if first is None or found.parameter != first.parameter)


def _new_methods(field: Field) -> Iterator[Found]:
    exits = _best_values(field)
    used, known = used_methods(field), tried(field)
    for size in range(1, len(field.methods) + 1):
        for methods in combinations(field.methods, size):
            idea = field.idea(methods, exits)
            if not set(methods) <= used and idea.key not in known:
                yield Found(idea, f"{_name(idea)} is not in history yet; exits as in the best result so far")


def _the_best(field: Field) -> Iterator[Found]:
    for idea, report in bases(field):
        if report is not None:
            pnl = report.metrics.expectancy
            told = "an undefined mean" if pnl is None else f"{pnl:.2f} USD a trade"
            yield Found(idea, f"among the best of history: {told} over {report.metrics.n_trades} trades")


def _ensembles(field: Field) -> Iterator[Found]:
    """Several methods together, each with its own best values: a vote of any, of more, then better exits for it."""
    known, values = tried(field), _best_values(field)
    together = [combo for size in range(len(field.methods), 1, -1) for combo in combinations(field.methods, size)]
    for methods in together[:1] or [field.methods]:
        for quorum in range(1, len(methods) + 1):
            idea = field.idea(methods, {**values, QUORUM: quorum})
            if idea.key not in known:
                voting = f"any {quorum} of {len(methods)} may open" if quorum > 1 else "each may open"
                yield Found(idea, f"{_name(idea)} together, {voting}, each with its best values")
                break
    running = [(idea, report) for idea, report in bases(field) if len(idea.methods) > 1]
    starts = running or [(field.idea(methods, values), None) for methods in together[:1]]
    for idea, report in starts:
        yield from climb(field, idea, compass(field, idea, report))


def _everywhere(field: Field) -> Iterator[Found]:
    """Neighbours of every base: what is left when the goal's own ideas are used up."""
    for base, report in bases(field):
        yield from climb(field, base, compass(field, base, report))
    for base, _ in bases(field):  # an exhausted field: repeat rather than stay silent
        yield Found(base, "nothing new is left inside the plan's ranges; runs again")
        for parameter, sign in compass(field, base, None):
            yield Found(
                field.moved(base, parameter, sign), "nothing new is left inside the plan's ranges; runs again"
            )


def _best_values(field: Field) -> dict[str, int | float | bool]:
    """Each method's own parameters from its best report, the common ones from the best report of all."""
    offered, values = field.briefing.methods, dict[str, int | float | bool]()
    for report in reversed(ranked(field)):
        for name, value in as_idea(report, field).values.items():
            if owner(name, offered) in (None, *report.methods):
                values[name] = value
    return values


def _name(idea: Idea) -> str:
    return " + ".join(idea.methods)
