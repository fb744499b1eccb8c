"""effects owns what all variants say of one parameter: its upper against its lower half, with the noise of that."""

from __future__ import annotations

import math
from collections.abc import Sequence

from maestro_agents.search.estimates import Estimate

LEAST = 8
"""Variants on either side of the middle below which nothing is said of a parameter."""
SHOWN = 8
Z_95 = 1.96


def marginal_effects(estimates: Sequence[Estimate]) -> list[str]:
    """Of every parameter with enough variants, the difference between its halves; the surest first."""
    values: dict[str, list[tuple[float, float]]] = {}
    for estimate in estimates:
        for name, value in estimate.variant.values:
            if not isinstance(value, bool):
                values.setdefault(name, []).append((float(value), estimate.raw))
    found: list[tuple[float, str]] = []
    for name, pairs in values.items():
        middle = sorted(value for value, _ in pairs)[len(pairs) // 2]
        upper = [raw for value, raw in pairs if value >= middle]
        lower = [raw for value, raw in pairs if value < middle]
        if min(len(upper), len(lower)) < LEAST:
            continue
        difference = _mean(upper) - _mean(lower)
        error = math.sqrt(_variance(upper) / len(upper) + _variance(lower) / len(lower))
        if error > 0:
            text = f"{name} from {middle:g} on: {difference:+.0f} +- {Z_95 * error:.0f}"
            found.append((-abs(difference) / error, text))
    return [text for _, text in sorted(found)[:SHOWN]]


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _variance(values: Sequence[float]) -> float:
    mean = _mean(values)
    return math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)
