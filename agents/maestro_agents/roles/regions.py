"""regions owns where new variants are looked for: three regions a round, and the variants that are drawn from one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from maestro_agents.search import Chance, SearchSpace, Variant
from maestro_agents.search.view import SearchView
from maestro_protocol.messages.plan import Range, Region, RegionCut, Variation
from maestro_protocol.values import as_mapping

VARIATIONS = 3


@dataclass(frozen=True, slots=True)
class RegionIdea:
    """A region as it is proposed: its name, its methods, where it lies and why."""

    name: str
    methods: tuple[str, ...]
    region: Region
    why: str


def three_regions(view: SearchView, methods: Sequence[str]) -> list[RegionIdea]:
    """The regions of the briefing's round, different ones: what the race would draw, in three parts."""
    asked = view.briefing.round
    kind = "explore" if asked is None else asked.kind
    leaders = view.leaders(asked.leaders if asked is not None else 0)
    if kind == "explore" or not leaders:
        return _wide(view, methods)
    if kind == "untried":
        return _untried(view, methods, leaders)
    return [
        _around(view, "neighbours", leaders[part::VARIATIONS] or leaders[:1], f"neighbours {part}", "leads so far")
        for part in range(min(VARIATIONS, len(leaders)))
    ] + _wide(view, methods)[: max(0, VARIATIONS - len(leaders))]


def _wide(view: SearchView, methods: Sequence[str]) -> list[RegionIdea]:
    """Every method in one of the regions; with fewer than three, one of them in parts of its time-outs."""
    groups = [tuple(methods[part::VARIATIONS]) for part in range(VARIATIONS)]
    seen = {m for variant in view.runs for m in variant.methods}
    found: list[RegionIdea] = []
    for part, group in enumerate(groups):
        chosen = (group or (methods[part % len(methods)],))[:8]
        new = [m for m in chosen if m not in seen]
        why = f"{', '.join(new)} not tried yet" if new else "drawn wide: the whole of where a search begins"
        found.append(RegionIdea(f"wide {'+'.join(chosen)} {part}", chosen, Region(kind="explore"), why))
    if len(methods) >= VARIATIONS:
        return found
    return [
        RegionIdea(i.name, i.methods, Region(kind="explore", ranges=_third(view, part)), i.why)
        for part, i in enumerate(found)
    ]


def _third(view: SearchView, part: int) -> tuple[Range, ...]:
    """The *part*-th third, in draws, of the parameter with the widest start, so that regions differ."""
    numbers = [spec for spec in view.space.free(view.space.methods[:1], {}) if spec.start[0] < spec.start[1]]
    if not numbers:
        return ()
    spec = max(numbers, key=lambda each: (each.start[1] / each.start[0] if each.start[0] > 0 else 1.0, each.name))
    low, high = spec.start
    if spec.scale == "log":
        ends = [low * (high / low) ** (share / VARIATIONS) for share in (part, part + 1)]
    else:
        ends = [low + (high - low) * share / VARIATIONS for share in (part, part + 1)]
    return (Range(parameter=spec.name, low=ends[0], high=ends[1]),)


def _untried(view: SearchView, methods: Sequence[str], leaders: Sequence[Variant]) -> list[RegionIdea]:
    rare = sorted(methods, key=lambda m: sum(m in variant.methods for variant in view.runs))
    return [
        _around(view, "untried", leaders, "gates and joined methods", "leaders with what none of them has"),
        _around(view, "untried", leaders[1:], "gates and joined methods of followers", "the same, further")
        if leaders[1:]
        else _around(view, "neighbours", leaders, "neighbours", "nobody follows it"),
        RegionIdea(f"rarely tried {rare[0]}", (rare[0],), Region(kind="explore"), "fewest variants of it ran"),
    ]


def _around(view: SearchView, kind: str, leaders: Sequence[Variant], name: str, why: str) -> RegionIdea:
    around = tuple(view.runs[leader] for leader in leaders)[:40]
    region = Region.model_validate({"kind": kind, "around": around})
    return RegionIdea(f"{name} of {around[0]}", leaders[0].methods, region, f"{', '.join(around[:3])}: {why}"[:300])


def drawn(
    view: SearchView,
    variation: Variation,
    cuts: Sequence[RegionCut],
    count: int,
    chance: Chance,
    known: set[Variant],
) -> list[Variant]:
    """*count* new variants of *variation* without what was cut off; fewer where its region has no more.

    A variation without a region is its own values first and then their surroundings.
    """
    race, region = view.race, variation.region
    if region is None:
        centre = view.space.variant(variation.methods, as_mapping(variation.params))
        own = [] if centre in known else [centre]
        known.add(centre)
        return own[:count] + race.neighbours([centre], max(0, count - len(own)), chance, known)
    around = [view.variants[run] for run in region.around if run in view.variants] or view.leaders()
    if region.kind == "explore" or not around:
        return race.explored(variation.methods, count, chance, known, _within(view, region, cuts))
    if region.kind == "neighbours":
        return race.neighbours(around, count, chance, known)
    if view.briefing.goal == "ensemble":
        return race.ensembles(around, count, chance, known)
    return race.mutants(around, count, chance, known)


def _within(view: SearchView, region: Region, cuts: Sequence[RegionCut]) -> SearchSpace:
    ranges = [*region.ranges, *(cut.keep for cut in cuts)]
    return view.space.narrowed({r.parameter: (r.low, r.high) for r in ranges}) if ranges else view.space
