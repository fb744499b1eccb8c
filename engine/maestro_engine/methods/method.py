"""method owns what a method is: a name, declared parameters, and the one function that finds its signals."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import FunctionType

from maestro_engine.data.bars import Floats, Ints
from maestro_engine.indicators.columns import Columns
from maestro_engine.indicators.compiled import compiled
from maestro_protocol.errors import ConfigError, ParameterError
from maestro_protocol.space import ParameterSpec, Value

Scan = Callable[[Columns, Floats, Ints, Ints], int]
"""Compiled ``scan(columns, values, bar, side) -> count``.

*values* holds the method's parameters in the order of its specs. The function writes the index of every bar on
whose close it signals into *bar*, ascending, with +1 (long) or -1 (short) in *side*; both have shape ``(n,)``.
It may look at bar *i* and before, never beyond.
"""


GridScan = Callable[[Columns, Floats, Ints, Ints, Ints, int], None]
"""Compiled ``scan_grid(columns, rows, bar, side, ends, first)``: one list of signals per row of values.

List *first* + r, that of row r, is written to ``[ends[first + r], ends[first + r + 1])`` of *bar* and *side*;
``ends[first]`` is where the list before it ended.
"""


def scan(columns: Columns, values: Floats, bar: Ints, side: Ints) -> int:
    """Placeholder: each method's copy of the next function has the method's own here."""
    raise NotImplementedError


def _scan_grid(columns: Columns, rows: Floats, bar: Ints, side: Ints, ends: Ints, first: int) -> None:
    """See :data:`GridScan`; ``scan`` is the method's own."""
    n = len(columns.close)
    for row in range(len(rows)):
        begin = ends[first + row]
        ends[first + row + 1] = begin + scan(columns, rows[row], bar[begin : begin + n], side[begin : begin + n])


def grid_scan(scan: Scan) -> GridScan:
    """One compiled call for many settings of *scan*; on disk it is kept as if it stood in the method's own file."""
    code = _scan_grid.__code__.replace(co_filename=inspect.getfile(inspect.unwrap(scan)))
    return compiled(FunctionType(code, {"__name__": scan.__module__, "scan": scan}))


@dataclass(frozen=True, slots=True, eq=False)
class Method:
    """A way to enter; exits and gates are common to all methods.

    A distribution installs one with an entry point in the group ``maestro.methods``; ``methods.REGISTRY.register``
    adds one to this process. Its parameters may have any legal names: whose they are, which switch they need and
    which must be below which is declared in their specs. Raises ConfigError for a spec that names a stranger.
    """

    name: str
    about: str
    specs: tuple[ParameterSpec, ...]
    scan: Scan
    scan_grid: GridScan = field(init=False, compare=False, repr=False)
    """*scan* for many settings in one call."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "scan_grid", grid_scan(self.scan))
        owned = tuple(spec.model_copy(update={"method": self.name}) for spec in self.specs)
        names = {spec.name for spec in owned}
        strangers = {name for spec in owned for name in (spec.below, spec.switch) if name is not None} - names
        if strangers:
            raise ConfigError(f"method {self.name}: {', '.join(sorted(strangers))} is no parameter of its own")
        object.__setattr__(self, "specs", owned)

    @property
    def ordered(self) -> tuple[tuple[str, str], ...]:
        """Pairs of parameters of which the first must be below the second, as the specs declare."""
        return tuple((spec.name, spec.below) for spec in self.specs if spec.below is not None)

    def check_order(self, values: Mapping[str, Value]) -> None:
        """Raise :class:`ParameterError` when a pair of parameters is not in ascending order."""
        for low, high in self.ordered:
            if not values[low] < values[high]:
                raise ParameterError(
                    f"{self.name}: {low} {values[low]:g} must be below {high} {values[high]:g}; change one of them"
                )
