"""evidence owns how a role reads history: what a result is worth, what was tried, what was turned down."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

from maestro_agents.roles.search_space import Field
from maestro_protocol.messages.plan import Target
from maestro_protocol.messages.report import Metrics, VariationReport
from maestro_protocol.space import Value

DOUBT = 50
"""Trades of doubt: a result is believed as if so many more trades had each lost their costs."""
FAILED = ("killed", "reverted")

Step = tuple[str, int]
"""A parameter and the direction to move it in, +1 or -1."""


def merit(metrics: Metrics, cost: float) -> float:
    """Expected PnL of a trade after costs, USD, doubted: ``(n * expectancy - DOUBT * cost) / (n + DOUBT)``."""
    known = (metrics.expectancy or 0.0) * metrics.n_trades
    return (known - DOUBT * cost) / (metrics.n_trades + DOUBT)


def ranked(field: Field) -> list[VariationReport]:
    """History without the failed, best merit first; ties keep the order in which they were reported."""
    alive = [report for report in field.briefing.history if report.fate not in FAILED]
    return sorted(alive, key=lambda report: -merit(report.metrics, field.cost))


def used_methods(field: Field) -> set[str]:
    return {method for report in field.briefing.history for method in report.methods}


def reading(metrics: Metrics, metric: str) -> float | None:
    """The value of *metric* as a float, null where it is undefined."""
    value = getattr(metrics, metric)
    return None if value is None else float(value)


def misses(metrics: Metrics, targets: tuple[Target, ...]) -> dict[str, float]:
    """How far each missed target is missed, in shares of its value (of 1 where that is 0); undefined is no miss."""
    out: dict[str, float] = {}
    for target in targets:
        value = reading(metrics, target.metric)
        if value is None:
            continue
        gap = target.value - value if target.op == ">=" else value - target.value
        if gap > 0:
            out[target.metric] = gap / (abs(target.value) or 1.0)
    return out


_STEP = re.compile(
    r"([a-z][a-z0-9_]*)\s*:?\s+(true|false|-?[\d.]+(?:e-?\d+)?)\s*->\s*(true|false|-?[\d.]+(?:e-?\d+)?)"
)


def turned_down(notes: tuple[str, ...]) -> Iterator[Step]:
    """Steps that notes call reverted or refused: the parameter and the direction that did not help."""
    for note in notes:
        words = note.lower()
        if "reverted" not in words and "refused" not in words:
            continue
        for parameter, old, new in _STEP.findall(words):
            yield parameter, 1 if _number(new) > _number(old) else -1


def _number(text: str) -> float:
    if text in ("true", "false"):
        return float(text == "true")
    try:
        return float(text)
    except ValueError:
        return math.nan


def direction(old: Value | None, new: Value) -> int:
    """+1 up, -1 down; a step from an unknown value counts as up."""
    return -1 if old is not None and float(new) < float(old) else 1
