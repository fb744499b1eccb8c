"""walk_forward owns the choice of the past on what came after it: by earlier windows alone, of lots alone."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

from maestro_agents.search.estimates import Observation
from maestro_agents.search.race import Trial
from maestro_agents.search.space import Variant

CHOSEN = 3
"""Variants that each window's past chooses."""


def walk_forward(
    seen: Sequence[Observation], lots: Collection[Variant], first: Sequence[int], windows: Sequence[int]
) -> list[Trial]:
    """For each of *windows*, in order, the best of *lots* by their mean net on those of *first* that come before it.

    Windows are numbered by time. *lots* are variants drawn before any result was known and all tested on *first*: on
    which other windows they were, later results have decided, so these do not count. No choice where nothing is
    before.
    """
    nets: dict[Variant, dict[int, float]] = {variant: {} for variant in lots}
    for each in seen:
        if each.variant in nets:
            nets[each.variant].setdefault(each.window, each.net)
    trials: list[Trial] = []
    for window in windows:
        past = [earlier for earlier in first if earlier < window]
        known = {v: math.fsum(own[w] for w in past) for v, own in nets.items() if all(w in own for w in past)}
        chosen = sorted(known, key=lambda variant: -known[variant])[:CHOSEN] if past else []
        trials.extend(Trial(variant, window) for variant in chosen)
    return trials
