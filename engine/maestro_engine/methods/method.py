"""method owns what a method is: a name, declared parameters, and the one function that finds its signals."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from maestro_engine.indicators.columns import Columns
from maestro_engine.market.bars import Floats, Ints
from maestro_protocol.errors import ParameterError
from maestro_protocol.space import ParameterSpec, Value

Scan = Callable[[Columns, Floats, Ints, Ints], int]
"""Compiled ``scan(columns, values, bar, side) -> count``.

*values* holds the method's parameters in the order of its specs. The function writes the index of every bar on
whose close it signals into *bar*, ascending, with +1 (long) or -1 (short) in *side*; both have shape ``(n,)``.
It may look at bar *i* and before, never beyond.
"""


@dataclass(frozen=True, slots=True)
class Method:
    """A way to enter; exits and gates are common to all methods."""

    name: str
    about: str
    specs: tuple[ParameterSpec, ...]
    scan: Scan
    ascending: tuple[tuple[str, str], ...] = ()
    """Pairs of parameters of which the first must be below the second."""

    def check_order(self, values: Mapping[str, Value]) -> None:
        """Raise :class:`ParameterError` when a pair of parameters is not in ascending order."""
        for low, high in self.ascending:
            if not values[low] < values[high]:
                raise ParameterError(
                    f"{self.name}: {low} {values[low]:g} must be below {high} {values[high]:g}; change one of them"
                )
