"""schedule owns how the tests of a campaign are shared out over rounds: many variants on few windows, few on all."""

from __future__ import annotations

from dataclasses import dataclass

from maestro_protocol.messages.plan import Goal, RoundKind


@dataclass(frozen=True, slots=True)
class Round:
    """What one call for tests asks: *share* of the budget, in *segment*; how it is spent depends on its *kind*."""

    kind: RoundKind
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


Part = tuple[RoundKind, float, int]
"""Kind, share of the segment's tests and leaders of a round."""
GOALS: dict[Goal, tuple[Part, ...]] = {
    "explore": (("explore", 1.0, 0),),
    "new_methods": (("promote", 0.75, 0), ("untried", 0.25, 6)),
    "walk_forward": (("neighbours", 0.75, 8), ("walk_forward", 0.1, 0), ("promote", 0.15, 0)),
    "ensemble": (("untried", 0.08, 6), ("promote", 0.92, 0)),
}
"""The rounds of a campaign's segment: the race's, by its goal."""
LAST_OF_TWO: tuple[Part, ...] = (("promote", 0.4, 0), ("neighbours", 0.3, 8), ("promote", 0.3, 0))
ALONE: tuple[Part, ...] = (
    ("explore", 0.4, 0),
    ("promote", 0.15, 0),
    ("untried", 0.05, 6),
    ("neighbours", 0.2, 8),
    ("promote", 0.2, 0),
)


def rounds_of(goal: Goal, segment: int, segments: int) -> tuple[Round, ...]:
    """The rounds of the *segment*-th of *segments*, whose shares are of that segment's tests."""
    rounds = GOALS[goal]
    if segments == 1:
        rounds = ALONE
    elif segments == 2 and segment == 2:
        rounds = LAST_OF_TWO
    return tuple(Round(kind, segment, share, leaders) for kind, share, leaders in rounds)
