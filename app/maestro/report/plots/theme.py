"""theme owns how plots look: sizes, colours by role, and what a finished picture is."""

from __future__ import annotations

from dataclasses import dataclass

from maestro.report.plots.canvas import Canvas
from maestro.report.plots.panel import GRID, INK, MUTED

__all__ = ["BAD", "GOOD", "GRID", "HALF", "INK", "MUTED", "NOISE", "SERIES", "SHADE", "WARN", "WIDE", "Drawn", "Plot"]

HALF = 460
WIDE = 1080

SHADE = "var(--shade)"
GOOD, BAD, WARN, NOISE = "var(--good)", "var(--bad)", "var(--warn)", "var(--noise)"
SERIES = ("var(--s1)", "var(--s2)", "var(--s3)", "var(--s4)", "var(--s5)")


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


def render(drawing: Canvas, label: str, simulated: bool, shows: str = "always") -> Drawn:
    """The finished picture, marked where its data are simulated."""
    if simulated:
        corner = (drawing.width * 0.998, drawing.height * 0.998)
        drawing.text(corner, "simulated data", WARN, 10, "right", "top", slanted=True)
    return Drawn(drawing.svg(label), label, shows)
