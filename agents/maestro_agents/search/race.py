"""race owns the search's course: which variant is tested on which window next, given everything seen so far."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from maestro_agents.search.chance import Chance
from maestro_agents.search.estimates import Estimate, Observation, estimate_all
from maestro_agents.search.schedule import RacePlan, Round
from maestro_agents.search.space import SearchSpace, Variant

TESTS_PER_WINDOW = 25
"""Where there are more windows than so many tests allow, some are left out: few leaders would be on all of them."""
FLOOR_EVERY = 3
"""Of those on whom tests are spent, one in so many is the best of its method set, however far behind."""
LEADERS = 8
"""Of whom neighbours are made where all that is worth it has been on every window."""
ATTEMPTS = 50
"""Draws after which a new variant is given up: the space around is used up."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One backtest to run: one variant on one window."""

    variant: Variant
    window: int


class Race:
    """A race of variants on common windows, as a function of what was seen: the same history, the same next round.

    Args:
        space: where variants come from.
        windows: how many common windows there are, none overlapping another.
        tests: the budget, in backtests.
        seed: of everything drawn by lot.
    """

    def __init__(self, space: SearchSpace, windows: int, tests: int, seed: int, plan: RacePlan | None = None) -> None:
        self.space = space
        self.plan = plan or RacePlan()
        self._tests = tests
        self._seed = seed
        first = self.plan.first_look
        self._windows = _spread(windows, min(windows, first + max(1, tests // TESTS_PER_WINDOW)))
        self._first = _spread(len(self._windows), min(first, len(self._windows)))

    def trials(self, number: int, seen: Sequence[Observation]) -> list[Trial]:
        """The tests of round *number* (from 0), none of them in *seen*; what earlier rounds left is spent too."""
        asked = self.plan.rounds[number]
        planned = round(self._tests * sum(r.share for r in self.plan.rounds[: number + 1]))
        budget = planned - len(seen)
        if asked.kind == "promote" and (promoted := self._promoted(seen, budget)):
            return promoted
        chance = Chance(self._seed, "round", number)
        known = {o.variant for o in seen}
        count = budget // len(self._first)
        if asked.kind == "explore":
            made = self._explored(chance, count, known)
        else:
            made = self._from_leaders(asked, chance, count, known, seen)
        return [Trial(variant, self._windows[place]) for variant in made for place in self._first]

    def _explored(self, chance: Chance, count: int, known: set[Variant]) -> list[Variant]:
        """Every method by turns."""
        methods = self.space.methods
        return self._new(count, known, lambda n: self.space.draw((methods[n % len(methods)],), chance))

    def _from_leaders(
        self, asked: Round, chance: Chance, count: int, known: set[Variant], seen: Sequence[Observation]
    ) -> list[Variant]:
        leaders = self._ranked(seen)[: asked.leaders or LEADERS]
        if not leaders:
            return self._explored(chance, count, known)
        make = self._mutant if asked.kind == "untried" else self._neighbour
        return self._new(count, known, lambda n: make(leaders, n, chance))

    def _ranked(self, seen: Sequence[Observation]) -> list[Variant]:
        """The best first, and every third place given to the best of a method set that had none yet."""
        ranked = [e.variant for e in estimate_all(seen)]
        floor = iter(dict.fromkeys(variant.methods for variant in ranked))
        best = {variant.methods: variant for variant in reversed(ranked)}
        order: list[Variant] = []
        for place, variant in enumerate(ranked):
            order.append(variant)
            if place % FLOOR_EVERY == 0:
                order += [best[methods] for methods in [next(floor, None)] if methods is not None]
        return list(dict.fromkeys(order))

    def _neighbour(self, leaders: Sequence[Variant], number: int, chance: Chance) -> Variant:
        return self.space.neighbour(leaders[number % len(leaders)], chance, self.plan.width, self.plan.moved)

    def _mutant(self, leaders: Sequence[Variant], number: int, chance: Chance) -> Variant:
        """By turns a leader with a gate switched, and two leaders' methods together."""
        leader = leaders[number // 2 % len(leaders)]
        others = [other for other in leaders if other.methods != leader.methods]
        if number % 2 and others:
            return self.space.joined(leader, chance.one_of(others), chance)
        return self.space.with_gate(leader, chance)

    def _new(self, count: int, known: set[Variant], make: Callable[[int], Variant]) -> list[Variant]:
        made: list[Variant] = []
        for number in range(count):
            for _ in range(ATTEMPTS):
                variant = make(number)
                if variant not in known:
                    known.add(variant)
                    made.append(variant)
                    break
        return made

    def _promoted(self, seen: Sequence[Observation], budget: int) -> list[Trial]:
        """The best that have not been on every window, on the windows they have not been on."""
        been: dict[Variant, set[int]] = {}
        for each in seen:
            been.setdefault(each.variant, set()).add(each.window)
        trials: list[Trial] = []
        for variant in self._ranked(seen):
            missing = [window for window in self._windows if window not in been[variant]]
            if len(trials) + len(missing) > budget:
                break
            trials.extend(Trial(variant, window) for window in missing)
        return trials

    def ranking(self, seen: Sequence[Observation]) -> list[Estimate]:
        """Estimates of the variants that were on all windows, the best first; of all where none was."""
        estimates = estimate_all(seen)
        return [e for e in estimates if e.windows == len(self._windows)] or estimates


def _spread(windows: int, count: int) -> tuple[int, ...]:
    """*count* of *windows*, evenly apart."""
    return tuple((2 * k + 1) * windows // (2 * count) for k in range(count))
