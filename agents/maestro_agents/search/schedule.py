"""schedule owns how the tests of a campaign are shared out over rounds: many variants on few windows, few on all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["explore", "neighbours", "untried", "promote"]


@dataclass(frozen=True, slots=True)
class Round:
    """What one call for tests asks: *share* of the budget, in *segment*; how it is spent depends on its *kind*."""

    kind: Kind
    segment: int
    share: float
    leaders: int = 0
    """How many of the best it works on."""


ROUNDS = (
    Round("explore", 1, 0.20),
    Round("explore", 2, 0.20),
    Round("promote", 3, 0.15),
    Round("untried", 3, 0.05, leaders=6),
    Round("neighbours", 4, 0.15, leaders=8),
    Round("promote", 4, 0.05),
    Round("promote", 5, 0.20),
)


@dataclass(frozen=True, slots=True)
class RacePlan:
    """How a race is run; the numbers are measured ones, see ``specs/decisions/0012-a-search-that-learns.md``."""

    rounds: tuple[Round, ...] = ROUNDS
    first_look: int = 2
    """Windows that a new variant is tested on."""
    width: float = 0.25
    """Standard deviation of a neighbour's step, in widths of the range where a search begins."""
    moved: float = 0.35
    """Share of a variant's numbers that a neighbour moves."""
