"""panel owns one coordinate system of a plot: data in, marks on the figure out.

It draws straight onto the figure, in pixels: matplotlib's Axes, with an object for each tick, cost six times as much
as everything else on the page together.
"""

# pyright: reportUnknownMemberType=false
# matplotlib leaves the keyword arguments of its artists untyped

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import PathPatch
from matplotlib.path import Path
from matplotlib.transforms import IdentityTransform

from maestro.report import words

INK, MUTED, GRID = "#010a01", "#010a02", "#010a03"
_MOVE, _LINE, _CLOSE = int(Path.MOVETO), int(Path.LINETO), int(Path.CLOSEPOLY)
Place = tuple[float, float]
Box = tuple[float, float, float, float]
"""Left, right, bottom and top, in data."""


@dataclass(frozen=True, slots=True)
class Panel:
    """A rectangle of *figure*, by its margins in pixels, with the data ranges it shows."""

    figure: Figure
    margins: Box
    """Pixels from the figure's left, right, bottom and top edge."""
    across: Place
    up: Place

    def at(self, x: float, y: float) -> Place:
        """Where a data point lies on the figure, in pixels from its lower left corner."""
        width, height = self.figure.get_size_inches() * 72
        left, right, bottom, top = self.margins
        (x0, x1), (y0, y1) = self.across, self.up
        return (
            float(left + (x - x0) / (x1 - x0) * (width - left - right)),
            float(bottom + (y - y0) / (y1 - y0) * (height - bottom - top)),
        )

    def line(
        self, xs: Iterable[float], ys: Iterable[float], colour: str, width: float = 1.0,
        style: Literal["-", "--", ":"] = "-",
    ) -> None:  # fmt: skip
        """A line through the points, broken where a value is not a number."""
        points = [self.at(x, y) for x, y in zip(xs, ys, strict=True)]
        self.figure.add_artist(
            Line2D(
                [x for x, _ in points], [y for _, y in points], color=colour, linewidth=width, linestyle=style,
                transform=IdentityTransform(),
                zorder=1,
            ),
            clip=False,
        )  # fmt: skip

    def level(self, y: float, colour: str, width: float = 1.0, style: Literal["-", "--", ":"] = "-") -> None:
        self.line(self.across, (y, y), colour, width, style)

    def upright(self, x: float, colour: str, width: float = 1.0) -> None:
        self.line((x, x), self.up, colour, width)

    def boxes(self, boxes: Iterable[Box], colour: str, alpha: float = 1.0) -> None:
        """Filled rectangles, all as one path."""
        places: list[Place] = []
        for left, right, bottom, top in boxes:
            places += [self.at(left, bottom), self.at(left, top), self.at(right, top), self.at(right, bottom), (0, 0)]
        codes = [_MOVE, _LINE, _LINE, _LINE, _CLOSE] * (len(places) // 5)
        self._path(places, codes, facecolor=colour, linewidth=0, alpha=alpha)

    def dots(self, points: Iterable[Place], colour: str, size: float) -> None:
        """Round dots, all as one path: lines of next to no length with round ends."""
        ends = [(px, py, px + 0.01) for px, py in (self.at(x, y) for x, y in points)]
        places = [place for px, py, end in ends for place in ((px, py), (end, py))]
        codes = [_MOVE, _LINE] * (len(places) // 2)
        self._path(places, codes, edgecolor=colour, facecolor="none", linewidth=size, capstyle="round")

    def _path(self, places: Sequence[Place], codes: Sequence[int], **look: object) -> None:
        if places:
            patch = PathPatch(Path(places, codes), transform=IdentityTransform(), **look)  # pyright: ignore[reportArgumentType] # looks are PathPatch's own
            self.figure.add_artist(patch, clip=False)

    def mark(self, x: float, y: float, symbol: str, colour: str, size: float = 8, hollow: bool = False) -> None:
        px, py = self.at(x, y)
        self.figure.add_artist(
            Line2D(
                [px], [py], color=colour, marker=symbol, markersize=size, linestyle="none",
                markerfacecolor="none" if hollow else colour, transform=IdentityTransform(),
                zorder=1,
            ),
            clip=False,
        )  # fmt: skip

    def text(
        self, x: float, y: float, text: str, colour: str = MUTED, size: float = 12, dx: float = 0, dy: float = 0,
        ha: Literal["left", "center", "right"] = "center", va: Literal["top", "center", "bottom"] = "center",
    ) -> None:  # fmt: skip
        """Text at a data point, moved by so many pixels."""
        px, py = self.at(x, y)
        self.figure.text(
            px + dx, py + dy, text, color=colour, fontsize=size, ha=ha, va=va, transform=IdentityTransform()
        )

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
    return words.fixed(place, digits)


def padded(values: Sequence[float], share: float = 0.06) -> Place:
    """The values' range with some air, never empty."""
    low, high = min(values), max(values)
    air = (high - low) * share or abs(high) * share or 1.0
    return low - air, high + air
