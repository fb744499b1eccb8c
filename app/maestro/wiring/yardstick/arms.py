"""arms owns the searches that stand side by side, each with the same number of one-window backtests."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from maestro.wiring.yardstick import campaigns, optimizers
from maestro.wiring.yardstick.objective import Objective, space_of
from maestro_agents.search import (
    Chance,
    Estimate,
    Observation,
    Race,
    RacePlan,
    Round,
    SearchSpace,
    Trial,
    Variant,
    estimate_all,
    worth_opening,
)
from maestro_engine.data.bars import Bars
from maestro_protocol.messages.plan import Role


@dataclass(frozen=True, slots=True)
class Pick:
    """What a search ended with."""

    variant: Variant | None
    """The best it found; null where it names nothing."""
    aside: bool
    """Whether it would rather not trade it."""
    tests: int
    """One-window backtests that it ran, everything counted."""
    first_seen: int | None
    """After how many of them the pick was first tested; null where that is not known."""
    seconds: float
    expected: float | None = None
    """What the search itself expects of its pick, USD a day after costs."""
    word: str | None = None
    """The verdict, where the search ends with one."""


Search = Callable[[Objective, SearchSpace, int, int], list[Observation]]
"""``search(objective, space, tests, seed)``: everything it saw, in the order of its tests."""


def wide(objective: Objective, space: SearchSpace, tests: int, seed: int) -> list[Observation]:
    """As many variants drawn wide as can be tested on every window, each method by turns."""
    chance, windows = Chance(seed, "wide"), range(len(objective.windows))
    methods = space.methods
    variants = [space.draw((methods[n % len(methods)],), chance) for n in range(tests // len(windows))]
    return objective.run([Trial(variant, window) for variant in variants for window in windows])


def analyst(objective: Objective, space: SearchSpace, tests: int, seed: int) -> list[Observation]:
    """One mind that looks at one variant at a time, on every window, and goes on from the best so far.

    First the declared defaults of each method, then a third of the looks wide, then neighbours of the best.
    """
    chance, windows = Chance(seed, "analyst"), range(len(objective.windows))
    looks, methods = tests // len(windows), space.methods
    seen: list[Observation] = []
    for look in range(looks):
        if look < len(methods):
            variant = space.variant((methods[look],), {})
        elif look < len(methods) + looks // 3:
            variant = space.draw((methods[look % len(methods)],), chance)
        else:
            variant = space.neighbour(best_mean(seen), chance, 0.25, 0.5)
        seen += objective.run([Trial(variant, window) for window in windows])
    return seen


def race(objective: Objective, space: SearchSpace, tests: int, seed: int) -> list[Observation]:
    """The project's own search: see :class:`maestro_agents.search.Race`."""
    return _run(Race(space, len(objective.windows), tests, seed), objective)


def flat(objective: Objective, space: SearchSpace, tests: int, seed: int) -> list[Observation]:
    """The race without its allocation: the same draws and neighbours, but every variant is tested on every window."""
    rounds = (Round("explore", 1, 0.5), Round("neighbours", 3, 0.25, 8), Round("neighbours", 4, 0.25, 5))
    windows = len(objective.windows)
    return _run(Race(space, windows, tests, seed, RacePlan(rounds=rounds, first_look=windows)), objective)


def _run(course: Race, objective: Objective) -> list[Observation]:
    seen: list[Observation] = []
    for number in range(len(course.plan.rounds)):
        seen += objective.run(course.trials(number, seen))
    return seen


def best_mean(seen: Sequence[Observation]) -> Variant:
    """The variant with the highest mean over its windows; the earlier of two alike."""
    nets: dict[Variant, list[float]] = {}
    for each in seen:
        nets.setdefault(each.variant, []).append(each.net)
    return max(nets, key=lambda variant: sum(nets[variant]) / len(nets[variant]))


def _by_mean(seen: Sequence[Observation], estimates: Sequence[Estimate], windows: int) -> Estimate:
    best = best_mean(seen)
    return next(e for e in estimates if e.variant == best)


def _by_estimate(seen: Sequence[Observation], estimates: Sequence[Estimate], windows: int) -> Estimate:
    most = max(e.windows for e in estimates)
    return next(e for e in estimates if e.windows == most)


@dataclass(frozen=True, slots=True)
class Arm:
    """One way to spend the tests."""

    name: str
    about: str
    search: Search | None = None
    """Null for a campaign, which is run by its own path."""
    choose: Callable[[Sequence[Observation], Sequence[Estimate], int], Estimate] = _by_mean
    changes: Mapping[Role, campaigns.BrainKind] | None = None
    """Brains of a campaign's roles that are not the rules'."""


ARMS: tuple[Arm, ...] = (
    Arm("campaign", "the whole campaign, by rules", changes={}),
    Arm("lot", "the campaign with proposals by lot", changes={"strategist": "random"}),
    Arm("no critic", "the campaign without a critic", changes={"critic": "silent"}),
    Arm("no allocation", "the campaign with every variant on every window", changes={"maestro": "silent"}),
    Arm("analyst", "one mind, one variant at a time, on every window", analyst),
    Arm("wide", "drawn wide, each on every window, the best mean", wide),
    Arm("tpe", "Optuna's TPE, each on every window, the best mean", optimizers.tpe),
    Arm("cma-es", "Optuna's CMA-ES, each on every window, the best mean", optimizers.cma_es),
    Arm("race", "the race on common windows, shrunk estimates", race, _by_estimate),
)


def arm(name: str) -> Arm:
    """The arm called *name*."""
    return next(each for each in ARMS if each.name == name)


def run_arm(arm: Arm, bars: Bars, methods: Sequence[str], tests: int, seed: int) -> Pick:
    """Search the open part of *bars* with *methods*. Raises MaestroError."""
    began = time.perf_counter()
    if arm.search is None:
        end = campaigns.run(bars, methods, arm.changes or {}, tests, seed)
        variant = end.variant(space_of(end.methods, bars)) if end.methods else None
        return Pick(variant, end.aside, end.tests, None, time.perf_counter() - began, word=end.word)
    objective = Objective.of(bars)
    seen = arm.search(objective, space_of(methods, bars), tests, seed)
    chosen = arm.choose(seen, estimate_all(seen), len(objective.windows))
    seconds = time.perf_counter() - began
    first = next(number for number, each in enumerate(seen, 1) if each.variant == chosen.variant)
    return Pick(chosen.variant, not worth_opening(chosen), objective.count, first, seconds, chosen.net)
