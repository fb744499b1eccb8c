"""theme owns how plots look and become SVG: colours by role, type, axes, and byte-identical inline markup.

A plot is drawn in placeholder colours, one a role, which become CSS variables of the page: the same SVG is legible
on light and on dark. One unit of a figure is one CSS pixel at full size.
"""

# pyright: reportUnknownMemberType=false
# matplotlib leaves the keyword arguments of its artists untyped

from __future__ import annotations

import io
import re
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from maestro.report.plots.panel import GRID, INK, MUTED

HALF = 460
WIDE = 1080

SHADE = "#010a04"
GOOD, BAD, WARN, NOISE = "#010a05", "#010a06", "#010a07", "#010a08"
SERIES = ("#010a11", "#010a12", "#010a13", "#010a14", "#010a15")
_VARIABLES = {
    INK: "ink", MUTED: "muted", GRID: "grid", SHADE: "shade", GOOD: "good", BAD: "bad", WARN: "warn", NOISE: "noise",
} | {colour: f"s{number}" for number, colour in enumerate(SERIES, start=1)}  # fmt: skip

_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.size": 12,
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # measures text; the page's own font shows it
    "text.color": MUTED,
    "figure.facecolor": "none",
    "figure.edgecolor": "none",
    "lines.solid_capstyle": "round",
    "path.simplify": True,
}


@dataclass(frozen=True, slots=True)
class Drawn:
    """One SVG of a plot, with the text a screen reader gives for it."""

    svg: str
    label: str
    shows: str = "always"
    """``always``, or on which screens: ``wide``, ``narrow``."""


@dataclass(frozen=True, slots=True)
class Plot:
    """A picture with its caption; where there is nothing to draw, the caption says why."""

    name: str
    title: str
    caption: str
    drawn: tuple[Drawn, ...] = ()
    wide: bool = False
    legend: tuple[tuple[str, str, str], ...] = ()
    """A CSS variable, the symbol it colours (a short line where empty), and what it stands for."""


@contextmanager
def style() -> Generator[None]:
    """Everything drawn inside the block looks like this house; matplotlib's own settings are left as they were."""
    with mpl.rc_context(_STYLE):
        yield


def canvas(width: int, height: int) -> Figure:
    return Figure(figsize=(width / 72, height / 72), dpi=72)


def render(figure: Figure, name: str, label: str, simulated: bool, shows: str = "always") -> Drawn:
    """The figure as inline SVG; *name* keeps its ids apart from those of the page's other plots."""
    if simulated:
        figure.text(0.998, 0.998, "simulated data", ha="right", va="top", fontsize=10, color=WARN, style="italic")
    buffer = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": f"{name}-{shows}"}):
        FigureCanvasSVG(figure).print_svg(
            buffer, metadata={"Date": None, "Creator": None, "Format": None, "Type": None}
        )
    return Drawn(_inline(buffer.getvalue(), figure, label), label, shows)


def _inline(svg: str, figure: Figure, label: str) -> str:
    body = svg[svg.index("<g id=") : svg.rindex("</svg>")]
    body = _GROUP_ID.sub("", body)
    body = _NOISE.sub("", body)
    body = _SPACE.sub(" ", body)
    body = _TEXT_OR_NUMBER.sub(_rounded, body)
    body = _PLACEHOLDER.sub(lambda found: f"var(--{_VARIABLES[found[0]]})", body)
    width, height = figure.get_size_inches() * 72
    return (
        f'<svg viewBox="0 0 {width:.0f} {height:.0f}" role="img" aria-label="{label}" '
        f'xmlns:xlink="http://www.w3.org/1999/xlink">{body}</svg>'
    )


def _rounded(found: re.Match[str]) -> str:
    """Coordinates to a hundredth of a pixel; what is written stays as it is."""
    text = found[0]
    return text if text.startswith(">") else f"{float(text):.2f}".rstrip("0").rstrip(".")


_GROUP_ID = re.compile(r' id="[A-Za-z0-9.]+_\d+"')
_NOISE = re.compile(
    r"<!--.*?-->| ?font-family: [^;\"]*;| transform=\"rotate\(-?0 [^)]*\)\"|(?<=>)\s+(?=<)", re.DOTALL
)
_SPACE = re.compile(r"\s+")
_TEXT_OR_NUMBER = re.compile(r">[^<]+<|-?\d+\.\d{3,}")
_PLACEHOLDER = re.compile("|".join(_VARIABLES))
