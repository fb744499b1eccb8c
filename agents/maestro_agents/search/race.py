"""race owns the search's course: which variant is tested on which window next, given everything seen so far."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from maestro_agents.search.chance import Chance
from maestro_agents.search.estimates import Estimate, Observation, estimate_all
from maestro_agents.search.schedule import RacePlan
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
        self.windows = _spread(windows, min(windows, first + max(1, tests // TESTS_PER_WINDOW)))
        """Those of the common windows that are used."""
        self.first = self.looks(first)
        """Those that a new variant is tested on."""

    def looks(self, count: int) -> tuple[int, ...]:
        """*count* of the windows in use, evenly apart; all of them where there are no more."""
        return tuple(self.windows[place] for place in _spread(len(self.windows), min(count, len(self.windows))))

    def trials(self, number: int, seen: Sequence[Observation]) -> list[Trial]:
        """The tests of round *number* (from 0), none of them in *seen*; what earlier rounds left is spent too."""
        asked = self.plan.rounds[number]
        planned = round(self._tests * sum(r.share for r in self.plan.rounds[: number + 1]))
        budget = planned - len(seen)
        if asked.kind == "promote" and (promoted := self.promoted(seen, budget)):
            return promoted
        chance = Chance(self._seed, "round", number)
        known = {o.variant for o in seen}
        count = budget // len(self.first)
        leaders = self.leaders(seen)[: asked.leaders or LEADERS]
        if asked.kind == "explore" or not leaders:
            made = self.explored(self.space.methods, count, chance, known)
        elif asked.kind == "untried":
            made = self.mutants(leaders, count, chance, known)
        else:
            made = self.neighbours(leaders, count, chance, known)
        return [Trial(variant, window) for variant in made for window in self.first]

    def explored(
        self,
        methods: Sequence[str],
        count: int,
        chance: Chance,
        known: set[Variant],
        within: SearchSpace | None = None,
    ) -> list[Variant]:
        """*count* new variants drawn wide, every one of *methods* by turns; what is made is added to *known*."""
        space = within or self.space
        return _new(count, known, lambda n: space.draw((methods[n % len(methods)],), chance))

    def neighbours(
        self, leaders: Sequence[Variant], count: int, chance: Chance, known: set[Variant]
    ) -> list[Variant]:
        """*count* new variants in the surroundings of *leaders* by turns; what is made is added to *known*."""
        width, moved = self.plan.width, self.plan.moved
        return _new(count, known, lambda n: self.space.neighbour(leaders[n % len(leaders)], chance, width, moved))

    def mutants(self, leaders: Sequence[Variant], count: int, chance: Chance, known: set[Variant]) -> list[Variant]:
        """*count* new variants, by turns a leader with a gate switched, and the methods of two leaders together."""
        return _new(count, known, lambda n: self._mutant(leaders, n, chance))

    def _mutant(self, leaders: Sequence[Variant], number: int, chance: Chance) -> Variant:
        leader = leaders[number // 2 % len(leaders)]
        if number % 2:
            return self.ensemble(leader, leaders, chance)
        return self.space.with_gate(leader, chance)

    def ensemble(self, leader: Variant, leaders: Sequence[Variant], chance: Chance) -> Variant:
        """*leader* and one of *leaders* with other methods together; with a gate switched where there is none."""
        others = [other for other in leaders if other.methods != leader.methods]
        if others:
            return self.space.joined(leader, chance.one_of(others), chance)
        return self.space.with_gate(leader, chance)

    def ensembles(self, leaders: Sequence[Variant], count: int, chance: Chance, known: set[Variant]) -> list[Variant]:
        """*count* new variants of the methods of two of *leaders* together; what is made is added to *known*."""
        return _new(count, known, lambda n: self.ensemble(leaders[n % len(leaders)], leaders, chance))

    def leaders(self, seen: Sequence[Observation], out: Collection[Variant] = ()) -> list[Variant]:
        """The best first without *out*, and every third place given to the best of a method set that had none yet."""
        ranked = [e.variant for e in estimate_all(seen) if e.variant not in out]
        floor = iter(dict.fromkeys(variant.methods for variant in ranked))
        best = {variant.methods: variant for variant in reversed(ranked)}
        order: list[Variant] = []
        for place, variant in enumerate(ranked):
            order.append(variant)
            if place % FLOOR_EVERY == 0:
                order += [best[methods] for methods in [next(floor, None)] if methods is not None]
        return list(dict.fromkeys(order))

    def promoted(
        self, seen: Sequence[Observation], budget: int, out: Collection[Variant] = (), *, whole: bool = True
    ) -> list[Trial]:
        """The best that have not been on every window, on the windows they have not been on.

        With *whole* the last one gets all of its windows or none, else what is left of *budget*.
        """
        been: dict[Variant, set[int]] = {}
        for each in seen:
            been.setdefault(each.variant, set()).add(each.window)
        trials: list[Trial] = []
        for variant in self.leaders(seen, out):
            missing = [window for window in self.windows if window not in been[variant]]
            if len(trials) + len(missing) > budget and whole:
                break
            trials.extend(Trial(variant, window) for window in missing[: budget - len(trials)])
        return trials

    def ranking(self, seen: Sequence[Observation], out: Collection[Variant] = ()) -> list[Estimate]:
        """Estimates of the variants that were on all windows, the best first; of all where none was. Not of *out*."""
        estimates = [e for e in estimate_all(seen) if e.variant not in out]
        return [e for e in estimates if e.windows >= len(self.windows)] or estimates


def _new(count: int, known: set[Variant], make: Callable[[int], Variant]) -> list[Variant]:
    made: list[Variant] = []
    for number in range(count):
        for _ in range(ATTEMPTS):
            variant = make(number)
            if variant not in known:
                known.add(variant)
                made.append(variant)
                break
    return made


def _spread(windows: int, count: int) -> tuple[int, ...]:
    """*count* of *windows*, evenly apart."""
    return tuple((2 * k + 1) * windows // (2 * count) for k in range(count))
