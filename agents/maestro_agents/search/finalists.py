"""finalists owns who goes on to the sealed data: the best by estimate, distinct by their trades, or nobody."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from maestro_agents.search.estimates import Estimate, Observation
from maestro_agents.search.space import Variant

Z_TO_OPEN = 0.75
"""Standard errors by which what is expected of a variant, after shrinkage, has to lie above standing aside.

Less than for a plain mean: shrinkage has taken the luck of the best of many off already.
"""
ALIKE = 0.9


def worth_opening(estimate: Estimate, z: float = Z_TO_OPEN) -> bool:
    """Whether *estimate* beats standing aside, which earns 0 for certain, by its own noise."""
    return estimate.net > 0 and estimate.z > z


def finalists(
    ranked: Sequence[Estimate], seen: Sequence[Observation], count: int, alike: float = ALIKE
) -> list[Estimate]:
    """The best *count* of *ranked* that are worth opening, none of whose nets over windows follow a better one's.

    Two variants are the same trades where the correlation of their nets over the windows both were on is above
    *alike*. Empty where standing aside is best.
    """
    nets: dict[Variant, dict[int, float]] = {}
    for each in seen:
        nets.setdefault(each.variant, {})[each.window] = each.net
    chosen: list[Estimate] = []
    for estimate in ranked:
        own = nets[estimate.variant]
        if worth_opening(estimate) and all(correlation(own, nets[c.variant]) <= alike for c in chosen):
            chosen.append(estimate)
        if len(chosen) == count:
            break
    return chosen


def correlation(first: Mapping[int, float], second: Mapping[int, float]) -> float:
    """Pearson's, over the keys both have; 0 where fewer than three are shared or one does not vary."""
    shared = sorted(first.keys() & second.keys())
    if len(shared) < 3:
        return 0.0
    a, b = ([side[key] for key in shared] for side in (first, second))
    mean_a, mean_b = math.fsum(a) / len(a), math.fsum(b) / len(b)
    joint = math.fsum((x - mean_a) * (y - mean_b) for x, y in zip(a, b, strict=True))
    spread = math.fsum((x - mean_a) ** 2 for x in a) * math.fsum((y - mean_b) ** 2 for y in b)
    return joint / math.sqrt(spread) if spread > 0 else 0.0
