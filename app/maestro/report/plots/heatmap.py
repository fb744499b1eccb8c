"""heatmap owns the map of the two parameters that varied most: where in their plane tests did well."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from maestro.report import formatting
from maestro.report.campaign_data import Facts
from maestro.report.plots import theme
from maestro.report.plots.canvas import Canvas
from maestro.report.plots.panel import Panel
from maestro.report.plots.theme import Plot
from maestro_protocol.space import Value

CELLS = 7
"""Most squares along a side."""
LEAST_TESTS = 5
TITLE = "Where in the parameters tests did well"


@dataclass(frozen=True, slots=True)
class HeatmapAxis:
    """One side of the map: a parameter cut into parts, each with its label and the values it holds."""

    name: str
    labels: tuple[str, ...]
    part: dict[float, int]
    """Which part a value is in."""


@dataclass(frozen=True, slots=True)
class Square:
    x: int
    y: int
    mean: float
    tests: int


def plot(facts: Facts) -> Plot:
    found = _sharpes(facts)
    names = most_varied([values for values, _ in found])
    if names is None:
        return Plot("heat", TITLE, "Not drawn: fewer than two parameters varied in tests with a Sharpe ratio.")
    across, up = (side(name, [float(values[name]) for values, _ in found if name in values]) for name in names)
    cells = squares(found, across, up)
    panel = Panel(
        Canvas(theme.HALF, 380),
        (84, 10, 48, 30),
        (-0.5, len(across.labels) - 0.5),
        (-0.5, len(up.labels) - 0.5),
    )
    strongest = max(abs(cell.mean) for cell in cells) or 1.0
    for cell in cells:
        box = (cell.x - 0.47, cell.x + 0.47, cell.y - 0.47, cell.y + 0.47)
        panel.boxes([box], theme.GOOD if cell.mean >= 0 else theme.BAD, 0.08 + 0.62 * abs(cell.mean) / strongest)
        panel.text(cell.x, cell.y, formatting.fixed(cell.mean, 1), theme.INK, dy=6)
        panel.text(cell.x, cell.y, str(cell.tests), size=10, dy=-9)
    for place, label in enumerate(up.labels):
        panel.text(-0.5, place, label, dx=-8, size=11, ha="right")
    panel.names(range(len(across.labels)), across.labels, across.name, size=11)
    panel.text(-0.5, panel.up[1], up.name, dx=-84, dy=28, ha="left", va="top")
    drawn = theme.render(panel.canvas, TITLE, facts.simulated)
    return Plot("heat", TITLE, _caption(cells, across, up), (drawn,))


def _sharpes(facts: Facts) -> list[tuple[dict[str, Value], float]]:
    return [
        (facts.values[test.test_id], test.validation.sharpe)
        for test in facts.tests
        if test.validation.sharpe is not None
    ]


def most_varied(tests: Sequence[dict[str, Value]]) -> tuple[str, str] | None:
    """The two numbers that took the most values in tests that have both."""
    taken: dict[str, Counter[float]] = {}
    for values in tests:
        for name, value in values.items():
            if not isinstance(value, bool):
                taken.setdefault(name, Counter())[float(value)] += 1
    moved = [name for name, values in taken.items() if len(values) > 1]
    ranked = sorted(moved, key=lambda name: (-len(taken[name]), -_off_mode(taken[name]), name))
    for place, first in enumerate(ranked):
        for second in ranked[place + 1 :]:
            if sum(first in values and second in values for values in tests) >= min(LEAST_TESTS, len(tests)):
                return first, second
    return None


def _off_mode(values: Counter[float]) -> int:
    return values.total() - max(values.values())


def side(name: str, values: Sequence[float]) -> HeatmapAxis:
    """Every value its own part where they are few, else neighbours together, as many to each part."""
    distinct = sorted(set(values))
    size = -(-len(distinct) // CELLS)
    parts = [distinct[first : first + size] for first in range(0, len(distinct), size)]
    ends = [(formatting.setting(part[0]), formatting.setting(part[-1])) for part in parts]
    return HeatmapAxis(
        name,
        tuple(low if low == high else f"{low}{_between(low)}{high}" for low, high in ends),
        {value: place for place, part in enumerate(parts) for value in part},
    )


def _between(low: str) -> str:
    """A dash reads as a minus where the values are negative."""
    return " to " if low.startswith("−") else "–"


def squares(tests: Sequence[tuple[dict[str, Value], float]], across: HeatmapAxis, up: HeatmapAxis) -> list[Square]:
    held: dict[tuple[int, int], list[float]] = {}
    for values, sharpe in tests:
        if across.name in values and up.name in values:
            place = across.part[float(values[across.name])], up.part[float(values[up.name])]
            held.setdefault(place, []).append(sharpe)
    return [Square(x, y, sum(found) / len(found), len(found)) for (x, y), found in sorted(held.items())]


def _caption(cells: Sequence[Square], across: HeatmapAxis, up: HeatmapAxis) -> str:
    solid = [cell for cell in cells if cell.tests >= LEAST_TESTS] or list(cells)
    best = max(solid, key=lambda cell: cell.mean)
    good = sum(cell.mean > 0 for cell in cells)
    return (
        "Each square is the mean validation Sharpe ratio of its tests, with their number below: trust a bright "
        f"neighbourhood, never a single square; {good} of {len(cells)} squares are above zero, the best well-tried "
        f"one at {across.name} {across.labels[best.x]} and {up.name} {up.labels[best.y]} with "
        f"{formatting.fixed(best.mean)} over {formatting.plural(best.tests, 'test')}."
    )
