"""candidates owns where new ideas come from: hill climbing, untried methods, ensembles; no chance."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, islice, zip_longest

from maestro_agents.roles.evidence import Step, diagnosis, ranked, slopes, used_methods
from maestro_agents.roles.search_space import QUORUM, STOP, TAKE_PROFIT, Field, Idea, coherent
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
    sound = (found for found in _chained(first, _everywhere(field)) if coherent(found.idea))
    found = list(islice(_distinct(sound), 3)) or [
        Found(field.idea(field.methods[:1], {}), "nothing else can run here")
    ]
    return (found * 3)[:3]  # a plan may leave less than three to propose


def _chained(first: Iterator[Found], rest: Iterator[Found]) -> Iterator[Found]:
    yield from first
    yield from rest


def _distinct(found: Iterator[Found]) -> Iterator[Found]:
    seen: set[tuple[object, ...]] = set()
    for item in found:
        if item.idea.key not in seen:
            seen.add(item.idea.key)
            yield item


Base = tuple[Idea, VariationReport | None]


def bases(field: Field, least: int = 1) -> Iterator[Base]:
    """Where to climb from: history's best with the segment's methods, then each method's known good setting.

    With *least*, only those of at least so many methods together.
    """
    used: set[str] = set()
    for report in ranked(field):
        if least <= len(report.methods) and set(report.methods) <= set(field.methods):
            used |= set(report.methods)
            yield field.idea(report.methods, field.ran(report).values), report
    for method in field.methods if least == 1 else ():
        if method not in used:
            yield field.idea((method,), {}), None


def climb(field: Field, base: Idea, steps: Sequence[Step]) -> Iterator[Found]:
    """New neighbours of *base* along *steps*, near ones first; what history holds is skipped."""
    known = {*field.tried, base.key}
    for width in WIDTHS:
        for parameter, sign in steps:
            if parameter not in base.values or not base.in_force(parameter):
                continue
            idea = field.moved(base, parameter, sign * width)
            if idea.key not in known:
                known.add(idea.key)
                yield Found(idea, f"moves {parameter} {'up' if sign > 0 else 'down'} from {_name(base)}", parameter)


def compass(field: Field, base: Idea, report: VariationReport | None) -> list[Step]:
    """All directions from *base*: what its report calls for and what history favours by turns, then every one."""
    called_for = diagnosis(report, field) if report else []
    by_turns = zip_longest(called_for, slopes(field))
    steps = [step for pair in by_turns for step in pair if step is not None]
    steps += [(STOP, 1), (TAKE_PROFIT, 1)]
    steps += [(s.name, sign) for s in field.own(base.methods) for sign in (1, -1)]
    return [step for step in dict.fromkeys(steps) if step[0] in base.values]


def _explore(field: Field) -> Iterator[Found]:
    """By turns: what the best result calls for, known good settings not run yet, what the second best calls for."""
    starts = list(islice(bases(field), 2))
    pools = [climb(field, idea, compass(field, idea, report)) for idea, report in starts]
    first = next(pools[0], None)
    if first is not None and starts[0][1] is not None:
        yield first
    yield from islice(_known_good(field), 2)
    for pool in pools[1:]:
        yield from islice(pool, 1)
    if first is not None:
        yield first
    yield from (found for found in pools[0] if first is None or found.parameter != first.parameter)


def _known_good(field: Field) -> Iterator[Found]:
    used = used_methods(field)
    for method in field.methods:
        if method not in used:
            yield Found(field.idea((method,), {}), f"known good setting of {method}")


def _new_methods(field: Field) -> Iterator[Found]:
    exits = _best_values(field)
    used, known = used_methods(field), field.tried
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
    known, values = field.tried, _best_values(field)
    together = [combo for size in range(len(field.methods), 1, -1) for combo in combinations(field.methods, size)]
    for methods in together[:1] or [field.methods]:
        for quorum in (1, 2):
            idea = field.idea(methods, {**values, QUORUM: quorum})
            if idea.key not in known:
                voting = f"any {quorum} of {len(methods)} may open" if quorum > 1 else "each may open"
                yield Found(idea, f"{_name(idea)} together, {voting}, each with its best values")
    start: list[Base] = [(field.idea(methods, values), None) for methods in together[:1]]
    for idea, report in [*islice(bases(field, least=2), 3)] or start:
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
    values = dict[str, int | float | bool]()
    for report in reversed(ranked(field)):
        for name, value in field.ran(report).values.items():
            if field.owners[name] in (None, *report.methods):
                values[name] = value
    return values


def _name(idea: Idea) -> str:
    return " + ".join(idea.methods)
