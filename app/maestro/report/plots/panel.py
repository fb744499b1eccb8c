"""panel owns one coordinate system of a plot: data in, marks on the canvas out."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from maestro.report import formatting
from maestro.report.plots.canvas import Across, Canvas, Place, Style, Symbol, Up

INK, MUTED, GRID = "var(--ink)", "var(--muted)", "var(--grid)"
Box = tuple[float, float, float, float]
"""Left, right, bottom and top, in data."""


@dataclass(frozen=True, slots=True)
class Panel:
    """A rectangle of *canvas*, by its margins in pixels, with the data ranges it shows."""

    canvas: Canvas
    margins: Box
    """Pixels from the canvas's left, right, bottom and top edge."""
    across: Place
    up: Place

    def at(self, x: float, y: float) -> Place:
        """Where a data point lies on the canvas, in pixels from its lower left corner."""
        width, height = self.canvas.width, self.canvas.height
        left, right, bottom, top = self.margins
        (x0, x1), (y0, y1) = self.across, self.up
        return (
            float(left + (x - x0) / (x1 - x0) * (width - left - right)),
            float(bottom + (y - y0) / (y1 - y0) * (height - bottom - top)),
        )

    def line(
        self, xs: Iterable[float], ys: Iterable[float], colour: str, width: float = 1.0, style: Style = "-"
    ) -> None:
        """A line through the points, broken where a value is not a number."""
        self.canvas.line([self.at(x, y) for x, y in zip(xs, ys, strict=True)], colour, width, style)

    def level(self, y: float, colour: str, width: float = 1.0, style: Style = "-") -> None:
        self.line(self.across, (y, y), colour, width, style)

    def upright(self, x: float, colour: str, width: float = 1.0) -> None:
        self.line((x, x), self.up, colour, width)

    def boxes(self, boxes: Iterable[Box], colour: str, alpha: float = 1.0) -> None:
        """Filled rectangles."""
        corners = ((self.at(left, bottom), self.at(right, top)) for left, right, bottom, top in boxes)
        self.canvas.boxes(corners, colour, alpha)

    def dots(self, points: Iterable[Place], colour: str, size: float) -> None:
        self.canvas.dots((self.at(x, y) for x, y in points), colour, size)

    def mark(self, x: float, y: float, symbol: Symbol, colour: str, size: float = 8, hollow: bool = False) -> None:
        self.canvas.mark(self.at(x, y), symbol, colour, size, hollow)

    def text(
        self, x: float, y: float, text: str, colour: str = MUTED, size: float = 12, dx: float = 0, dy: float = 0,
        ha: Across = "center", va: Up = "center",
    ) -> None:  # fmt: skip
        """Text at a data point, moved by so many pixels."""
        px, py = self.at(x, y)
        self.canvas.text((px + dx, py + dy), text, colour, size, ha, va)

    def scale_up(self, most: int = 4) -> None:
        """A few round numbers at the left, a faint line at each."""
        places = ticks(*self.up, most)
        for place in places:
            self.level(place, GRID)
            self.text(self.across[0], place, label(place, places), dx=-8, ha="right")

    def scale_across(self, most: int = 6, title: str = "") -> None:
        """A few round numbers below, and what they measure."""
        places = ticks(*self.across, most)
        self.names(places, [label(place, places) for place in places], title)

    def names(self, places: Sequence[float], names: Sequence[str], title: str = "", size: float = 12) -> None:
        """A text below each place, and what they name."""
        self.level(self.up[0], GRID)
        for place, name in zip(places, names, strict=True):
            self.text(place, self.up[0], name, size=size, dy=-7, va="top")
        if title:
            self.text(sum(self.across) / 2, self.up[0], title, dy=-25, va="top")


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Round numbers inside low .. high, at most *most* of them and one more."""
    span = high - low
    if span <= 0:
        return [low]
    size = 10.0 ** math.floor(math.log10(span / most))
    step = next(size * factor for factor in (1, 2, 2.5, 5, 10, 20) if span / (size * factor) <= most)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [n * step for n in range(first, last + 1)]


def label(place: float, places: Sequence[float]) -> str:
    """*place* with as many decimals as tell it from its neighbours."""
    step = abs(places[1] - places[0]) if len(places) > 1 else abs(place)
    digits = next((n for n in range(7) if abs(round(step, n) - step) < 1e-9 * max(step, 1)), 6)
    return formatting.fixed(place, digits)


def padded(values: Sequence[float], share: float = 0.06) -> Place:
    """The values' range with some air, never empty."""
    low, high = min(values), max(values)
    air = (high - low) * share or abs(high) * share or 1.0
    return low - air, high + air
