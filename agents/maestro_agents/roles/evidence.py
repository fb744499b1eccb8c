"""evidence owns how a role reads history: what a result is worth, what was tried, where the better values lie."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from maestro_agents.roles.search_space import STOP, TAKE_PROFIT, TIMEOUT, Field, Idea
from maestro_protocol.messages.plan import Target
from maestro_protocol.messages.report import Metrics, VariationReport
from maestro_protocol.space import Value

DOUBT = 50
"""Trades of doubt: a result is believed as if so many more trades had each lost their costs."""
FAILED = ("killed", "reverted")
REACH = 0.15
"""How far, in shares of the bounds, a result still says something about its neighbours."""

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


def diagnosis(report: VariationReport, field: Field) -> list[Step]:
    """Moves that the report itself calls for, most pressing first."""
    metrics, steps = report.metrics, list[Step]()
    if metrics.n_trades == 0:
        return [(s.name, -1) for s in field.briefing.space if s.kind == "bool"] + [("vhf_min", -1), ("atr_z_min", -1)]
    gross = (metrics.expectancy or 0.0) + field.cost
    if gross > 0 > (metrics.expectancy or 0.0):  # the signal earns, the venue takes it: fewer and larger trades
        steps += [(TAKE_PROFIT, 1), (TIMEOUT, 1), *_slower(field)]
    elif gross <= 0:  # the signal itself is wrong here: be choosier
        steps += [("gate_vhf", 1), *_slower(field), ("gate_cvd", 1)]
    remedies: Mapping[str, list[Step]] = {
        "hit": [(STOP, 1), ("gate_vhf", 1)],
        "payoff": [(TAKE_PROFIT, 1), (TIMEOUT, 1)],
        "maxdd": [(TIMEOUT, -1), ("vhf_min", 1)],
        "blunders_per_100": [(STOP, 1), ("gate_vhf", 1), ("vhf_min", 1)],
        "high_vol_share": [("gate_atrz", 1), ("atr_z_min", -1)],
    }
    missed = misses(metrics, field.briefing.targets)
    for metric in sorted(missed, key=lambda name: -missed[name]):
        steps += remedies.get(metric, [])
    return steps


def _slower(field: Field) -> list[Step]:
    return [(s.name, 1) for s in field.briefing.space if s.name.endswith(("_slow", "_bars")) and s.name != TIMEOUT]


def slopes(field: Field) -> list[Step]:
    """Directions in which merit rose over history, strongest correlation first; needs three different reports."""
    if len(field.history) < 3:
        return []
    worth = [merit(report.metrics, field.cost) for report, _ in field.history]
    found: list[tuple[float, Step]] = []
    for spec in field.briefing.space:
        r = correlation([float(idea.values.get(spec.name, spec.default)) for _, idea in field.history], worth)
        if abs(r) > 0.2:
            found.append((abs(r), (spec.name, 1 if r > 0 else -1)))
    return [step for _, step in sorted(found, key=lambda item: (-item[0], item[1]))]


def correlation(x: list[float], y: list[float]) -> float:
    """Pearson's r; 0 where one of the two does not vary."""
    mean_x, mean_y = math.fsum(x) / len(x), math.fsum(y) / len(y)
    dx, dy = [a - mean_x for a in x], [b - mean_y for b in y]
    spread = math.sqrt(math.fsum(a * a for a in dx) * math.fsum(b * b for b in dy))
    return math.fsum(a * b for a, b in zip(dx, dy, strict=True)) / spread if spread > 0 else 0.0


@dataclass(frozen=True, slots=True)
class Guess:
    """What history says of an idea nobody ran: expected PnL per trade, and on how many trades that rests."""

    merit: float
    trades: float

    @property
    def doubt(self) -> float:
        """1 knows nothing, 0 knows all."""
        return DOUBT / (self.trades + DOUBT)


def guess(idea: Idea, field: Field) -> Guess:
    """Merit of *idea* from its neighbours in history, each counting less the further away it is."""
    weight = known = 0.0
    for report, known_idea in field.history:
        near = math.exp(-distance(idea, known_idea, field) / REACH) * report.metrics.n_trades
        weight += near
        known += near * (report.metrics.expectancy or 0.0)
    return Guess((known - DOUBT * field.cost) / (weight + DOUBT), weight)


def distance(a: Idea, b: Idea, field: Field) -> float:
    """0 for the same configuration, 1 per method not shared, and the shared parameters' gaps as a length."""
    methods = len(set(a.methods) ^ set(b.methods)) / len(set(a.methods) | set(b.methods))
    squares = 0.0
    for name, value in a.values.items():
        other = b.values.get(name)
        if other is not None and other != value:
            spec = field.specs[name]
            squares += ((value - other) / (spec.high - spec.low)) ** 2
    return methods + math.sqrt(squares)


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
