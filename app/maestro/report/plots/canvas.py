"""canvas owns the drawing of a plot as SVG: lines, boxes, dots, marks and text, in pixels from the lower left corner.

Colours are variables of the page, so the same SVG is legible on light and on dark. Coordinates are written to a
hundredth of a pixel: the same facts give the same bytes.
"""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Sequence
from typing import Literal

Place = tuple[float, float]
Style = Literal["-", "--", ":"]
Across = Literal["left", "center", "right"]
Up = Literal["top", "center", "bottom"]
Symbol = Literal["^", "v", "X", "s", "o"]

_DASHES: dict[Style, str] = {"-": "", "--": "3.7 1.6", ":": "1 1.65"}
"""In widths of the line."""
_ANCHORS: dict[Across, str] = {"left": "start", "center": "middle", "right": "end"}
_DROPS: dict[Up, float] = {"top": 0.76, "center": 0.35, "bottom": -0.24}
"""How far the baseline lies below the place that the text is put at, in sizes of the type."""


class Canvas:
    """A picture of *width* by *height* CSS pixels."""

    def __init__(self, width: int, height: int) -> None:
        self.width = width
        self.height = height
        self._drawn: list[str] = []

    def line(self, points: Sequence[Place], colour: str, width: float, style: Style = "-") -> None:
        """A line through the points, broken where one is not a number."""
        dashes = f' stroke-dasharray="{_scaled(_DASHES[style], width)}"' if _DASHES[style] else ""
        self._path(self._through(points), f'fill="none" stroke="{colour}" stroke-width="{_short(width)}"{dashes}')

    def boxes(self, corners: Iterable[tuple[Place, Place]], colour: str, alpha: float = 1.0) -> None:
        """Filled rectangles between two opposite corners each, all as one path."""
        parts = [
            f"M{self._at(*low)}L{self._at(low[0], high[1])}L{self._at(*high)}L{self._at(high[0], low[1])}Z"
            for low, high in corners
        ]
        opacity = f' fill-opacity="{_short(alpha)}"' if alpha < 1 else ""
        self._path("".join(parts), f'fill="{colour}"{opacity}')

    def dots(self, places: Iterable[Place], colour: str, size: float) -> None:
        """Round dots, all as one path: lines of next to no length with round ends."""
        parts = [f"M{self._at(x, y)}l0.01 0" for x, y in places]
        look = f'fill="none" stroke="{colour}" stroke-width="{_short(size)}" stroke-linecap="round"'
        self._path("".join(parts), look)

    def mark(self, place: Place, symbol: Symbol, colour: str, size: float, hollow: bool = False) -> None:
        """One mark, *size* pixels across."""
        x, y = place
        half = size / 2
        fill = "none" if hollow else colour
        if symbol == "o":
            centre = f'cx="{_short(x)}" cy="{_short(self.height - y)}" r="{_short(half)}"'
            self._drawn.append(f'<circle {centre} fill="{fill}" stroke="{colour}"/>')
            return
        shape = [(x + across * half, y + up * half) for across, up in _SHAPES[symbol]]
        self._path(self._through(shape) + "Z", f'fill="{fill}" stroke="{colour}"')

    def text(
        self, place: Place, text: str, colour: str, size: float, across: Across = "center", up: Up = "center",
        slanted: bool = False,
    ) -> None:  # fmt: skip
        """*text* as it is, whatever it says: nothing in it is markup. A line break begins a line below."""
        x, y = place
        look = f'fill="{colour}" font-size="{_short(size)}" text-anchor="{_ANCHORS[across]}"'
        for row, line in enumerate(text.split("\n")):
            where = f'x="{_short(x)}" y="{_short(self.height - y + (_DROPS[up] + 1.2 * row) * size)}"'
            self._drawn.append(f"<text {where} {look}{_SLANT if slanted else ''}>{html.escape(line)}</text>")

    def svg(self, label: str) -> str:
        """The picture as inline markup; *label* is what a screen reader says."""
        frame = f'viewBox="0 0 {self.width} {self.height}" role="img" aria-label="{html.escape(label)}"'
        return f"<svg {frame}>{''.join(self._drawn)}</svg>"

    def _path(self, data: str, look: str) -> None:
        if data:
            self._drawn.append(f'<path d="{data}" {look}/>')

    def _through(self, points: Sequence[Place]) -> str:
        parts: list[str] = []
        pen = "M"
        for x, y in points:
            if math.isfinite(x) and math.isfinite(y):
                parts.append(f"{pen}{self._at(x, y)}")
                pen = "L"
            else:
                pen = "M"
        return "".join(parts)

    def _at(self, x: float, y: float) -> str:
        return f"{_short(x)} {_short(self.height - y)}"


_SLANT = ' font-style="italic"'
_SHAPES: dict[str, tuple[Place, ...]] = {
    "^": ((0, 1), (1, -1), (-1, -1)),
    "v": ((0, -1), (1, 1), (-1, 1)),
    "s": ((-1, 1), (1, 1), (1, -1), (-1, -1)),
    "X": (
        (-0.5, 1), (0, 0.5), (0.5, 1), (1, 0.5), (0.5, 0), (1, -0.5), (0.5, -1), (0, -0.5), (-0.5, -1), (-1, -0.5),
        (-0.5, 0), (-1, 0.5),
    ),
}  # fmt: skip


def _short(value: float) -> str:
    """To a hundredth, without what says nothing."""
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def _scaled(dashes: str, width: float) -> str:
    return " ".join(_short(float(dash) * width) for dash in dashes.split())
