"""results owns what a case reports: rows of a table, with what was promised beside what was measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from measuring.samples import Samples

Kind = Literal["least", "most"]


@dataclass(frozen=True)
class Target:
    """A promise: *least* or *most* of the row's figure."""

    kind: Kind
    figure: float

    def met(self, measured: float) -> bool:
        return measured >= self.figure if self.kind == "least" else measured <= self.figure


def least(figure: float) -> Target:
    return Target("least", figure)


def most(figure: float) -> Target:
    return Target("most", figure)


@dataclass(frozen=True)
class Row:
    """One line of the table. *measured* is None where it could not be had, and *note* says why."""

    what: str
    measured: float | None
    unit: str
    target: Target | None = None
    samples: Samples | None = None
    """Where the figure comes from, when it is a time."""
    by_cpu: float | None = None
    """The same figure from CPU time: what a loaded machine leaves nearly alone."""
    note: str = ""

    @property
    def met(self) -> bool | None:
        return None if self.target is None or self.measured is None else self.target.met(self.measured)


def duration(what: str, samples: Samples, target: Target | None = None, note: str = "") -> Row:
    """A time in seconds."""
    return Row(what, samples.wall, "s", target, samples, samples.cpu, note)


def rate(what: str, samples: Samples, count: int, unit: str, target: Target | None = None, note: str = "") -> Row:
    """*count* things done in each repetition, per second."""
    return Row(what, count / samples.wall, unit, target, samples, count / samples.cpu, note)


def faster(what: str, ours: Samples, theirs: Samples, target: Target | None = None, note: str = "") -> Row:
    """How many times faster than *theirs* ours is; *ours* is kept for its time."""
    return Row(what, theirs.wall / ours.wall, "x", target, theirs, theirs.cpu / ours.cpu, note)


def missing(what: str, why: str) -> Row:
    """What could not be measured."""
    return Row(what, None, "", note=why)
