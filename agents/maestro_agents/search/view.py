"""view owns what a role sees of the search in a briefing: the race, its observations, its leaders by name."""

from __future__ import annotations

from functools import cached_property

from maestro_agents.search.estimates import Estimate, Observation
from maestro_agents.search.race import LEADERS, Race
from maestro_agents.search.space import SearchSpace, Variant
from maestro_protocol.ids import RunId
from maestro_protocol.messages.report import Briefing
from maestro_protocol.values import as_mapping


class SearchView:
    """The search as one briefing tells it. Windows are numbered by their place among the common ones."""

    def __init__(self, briefing: Briefing) -> None:
        self.briefing = briefing
        lacking = frozenset[str]() if briefing.data.has_taker_volume else frozenset({"taker_volume"})
        self.space = SearchSpace(briefing.space, briefing.methods, lacking)
        tests = briefing.budget or briefing.tests
        self.race = Race(self.space, max(1, len(briefing.windows)), tests, briefing.seed)
        self._places = {window: place for place, window in enumerate(briefing.windows)}

    @cached_property
    def variants(self) -> dict[RunId, Variant]:
        """The variant that each run first tested."""
        return {o.run_id: self.space.variant(o.methods, as_mapping(o.params)) for o in self.briefing.observations}

    @cached_property
    def runs(self) -> dict[Variant, RunId]:
        """The run that first tested each variant."""
        return {variant: run for run, variant in reversed(self.variants.items())}

    @cached_property
    def seen(self) -> list[Observation]:
        """Every test so far, by the variants in the order they first ran."""
        return [
            Observation(
                self.variants[o.run_id], self._places[r.window], r.gross, r.costs, r.exposure, r.trades, r.days
            )
            for o in self.briefing.observations
            for r in o.results
            if r.window in self._places
        ]

    @cached_property
    def out(self) -> frozenset[Variant]:
        """Variants that are not to be gone on with."""
        return frozenset(self.variants[o.run_id] for o in self.briefing.observations if o.fate != "finished")

    @cached_property
    def lots(self) -> frozenset[Variant]:
        """Variants that were drawn before there was any result."""
        return frozenset(self.variants[o.run_id] for o in self.briefing.observations if o.by_lot)

    @cached_property
    def ranking(self) -> list[Estimate]:
        """What each variant is worth, the best first; those on all windows alone, where any was."""
        return self.race.ranking(self.seen, self.out)

    def leaders(self, count: int = 0) -> list[Variant]:
        """The *count* best, method sets by turns; as many as the race works on where none is said."""
        return self._leaders[: count or LEADERS]

    @cached_property
    def _leaders(self) -> list[Variant]:
        return self.race.leaders(self.seen, self.out)

    def window(self, place: int) -> int:
        """The runner's number of the window at *place*; a test of a market without common windows has its first."""
        return self.briefing.windows[place] if self.briefing.windows else 0

    def first_look(self) -> tuple[int, ...]:
        """Places of the windows that a new variant of this round is tested on."""
        asked = self.briefing.round.first_look if self.briefing.round is not None else 0
        return self.race.looks(asked) if asked else self.race.first
