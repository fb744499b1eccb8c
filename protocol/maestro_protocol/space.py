"""space owns declared parameters: what may be set, in which unit, between which bounds."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, StrictBool, StrictFloat, StrictInt, model_validator

from maestro_protocol.base import Frozen, Line, Name
from maestro_protocol.errors import ParameterError

Value = Annotated[StrictInt, Field(ge=-(2**53), le=2**53)] | StrictFloat | StrictBool
"""The value of a parameter. Booleans switch gates; everything else is a number, and text is neither.

No parameter needs a whole number that a float cannot hold.
"""

Scale = Literal["notional"]
"""What an amount grows with: ``notional``, the size of the position it is meant for."""

Unit = Literal["bars", "usd", "x_atr", "z", "ratio", "bps", "points", "hour", "votes", "switch"]


def _is_linear(value: object) -> bool:
    return value == "linear"


def _is_unsaid(value: object) -> bool:
    """What says nothing is not written: every question to a role carries the whole space."""
    return value is None


class ParameterSpec(Frozen):
    """One parameter a method, gate or exit declares."""

    name: Name
    kind: Literal["int", "float", "bool"]
    default: Value
    low: float = 0.0
    high: float = 1.0
    """Both bounds belong to the space. A switch has 0 and 1."""
    step: Annotated[float, Field(ge=1e-6)] = 1.0
    """The smallest change worth trying; jitter and proposals move in whole steps."""
    unit: Unit
    about: Line
    needs: Literal["taker_volume"] | None = None
    """The data column without which the parameter has no meaning."""
    scales_with: Annotated[Scale | None, Field(exclude_if=lambda scale: scale is None)] = None
    """What its values grow with: an amount of money is declared for a position of ``DECLARED_FOR`` USD."""
    scale: Annotated[Literal["linear", "log"], Field(exclude_if=_is_linear)] = "linear"
    """How a search draws values: evenly, or evenly in their logarithms, as befits lengths and amounts."""
    search_low: Annotated[float | None, Field(exclude_if=_is_unsaid)] = None
    search_high: Annotated[float | None, Field(exclude_if=_is_unsaid)] = None
    """Between which values a search begins, inside the bounds; null is the bound. Moves may go on to the bounds."""
    method: Annotated[Name | None, Field(exclude_if=_is_unsaid)] = None
    """The method that declares the parameter; null for what all tests have."""
    switch: Annotated[Name | None, Field(exclude_if=_is_unsaid)] = None
    """The parameter of kind bool that has to be on for this one to have a meaning; null where none has."""
    below: Annotated[Name | None, Field(exclude_if=_is_unsaid)] = None
    """The parameter that must be larger than this one; null where none must."""

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        if self.low > self.high:
            raise ValueError(f"{self.name}: its lower bound {self.low} is above its upper bound {self.high}")
        if self.kind == "int" and any(n % 1 for n in (self.low, self.high, self.step)):
            raise ValueError(f"{self.name}: bounds and step of a whole number are whole numbers")
        if not self.low <= self.start[0] <= self.start[1] <= self.high:
            raise ValueError(f"{self.name}: a search begins at {self.start}, outside {self.low} .. {self.high}")
        if self.scale == "log" and self.start[0] <= 0:
            raise ValueError(f"{self.name}: has no logarithm at {self.start[0]}: begin above 0, or on a linear scale")
        self.check(self.default)
        return self

    @property
    def start(self) -> tuple[float, float]:
        """Lowest and highest value with which a search begins."""
        low = self.low if self.search_low is None else self.search_low
        return low, self.high if self.search_high is None else self.search_high

    def check(self, value: Value) -> Value:
        """Give *value* in the parameter's own type, or raise :class:`ParameterError` saying why not."""
        if self.kind == "bool":
            if isinstance(value, bool) or value in (0, 1):
                return bool(value)
            raise ParameterError(f"{self.name}: {value!r:.40} is not true or false")
        if isinstance(value, bool) or value != value:
            raise ParameterError(f"{self.name}: {value!r} is not a number")
        if not self.low <= value <= self.high:
            raise ParameterError(
                f"{self.name}: {value!r:.40} is outside its bounds {self.low:g} .. {self.high:g} ({self.unit})"
            )
        if self.kind == "int" and value != int(value):
            raise ParameterError(f"{self.name}: {value!r} is not a whole number of {self.unit}")
        return int(value) if self.kind == "int" else float(value)

    def clip(self, value: float) -> Value:
        """The nearest value inside the bounds on the parameter's grid of steps, counted from ``low``.

        Raises :class:`ParameterError` for what is not a number: nothing is near it.
        """
        if value != value:
            raise ParameterError(f"{self.name}: {value!r} is not a number")
        if self.kind == "bool":
            return value >= 0.5
        last = math.floor((self.high - self.low) / self.step + 1e-9)
        steps = min(round((min(max(value, self.low), self.high) - self.low) / self.step), last)
        inside = min(max(round(self.low + steps * self.step, 9), self.low), self.high)
        return round(inside) if self.kind == "int" else inside


class ParameterSpace(Frozen):
    """All parameters that a set of methods declares, with the exits and gates they share."""

    specs: tuple[ParameterSpec, ...]
    """What every run has a value of, and a search or a role may set."""
    optional: tuple[ParameterSpec, ...] = ()
    """What a run has where it is asked for by name (a person's option, a rule); it is at its default elsewhere."""

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        names = [spec.name for spec in (*self.specs, *self.optional)]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"declared twice: {', '.join(twice)}")
        return self

    def __getitem__(self, name: str) -> ParameterSpec:
        for spec in (*self.specs, *self.optional):
            if spec.name == name:
                return spec
        known = [spec.name for spec in (*self.specs, *self.optional)]
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(sorted(known))}"
        raise ParameterError(f"unknown parameter {name!r}; {hint}")

    def __contains__(self, name: object) -> bool:
        return any(spec.name == name for spec in (*self.specs, *self.optional))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the parameters that every run has, in the order declared."""
        return tuple(spec.name for spec in self.specs)

    def of_method(self, method: str) -> tuple[ParameterSpec, ...]:
        """The parameters that *method* declares; none where it declares none here."""
        return tuple(spec for spec in self.specs if spec.method == method)

    def gate_of(self, name: str) -> str | None:
        """The switch that has to be on for parameter *name* to have a meaning; null where none has.

        Raises :class:`ParameterError` for an unknown parameter.
        """
        return self[name].switch

    def ordered_pairs(self) -> tuple[tuple[str, str], ...]:
        """Pairs of parameters, both of this space, of which the first must be smaller than the second."""
        return ordered_pairs(self.specs)

    def defaults(self) -> dict[str, Value]:
        """Every parameter at its declared default."""
        return {spec.name: spec.default for spec in self.specs}

    def resolve(self, given: Mapping[str, Value]) -> dict[str, Value]:
        """Defaults overlaid with *given*, each value checked; what is optional is left out unless it is given.

        Raises :class:`ParameterError`.
        """
        values = self.defaults()
        for name, value in given.items():
            values[name] = self[name].check(value)
        return values

    def merged(self, other: Iterable[ParameterSpec]) -> ParameterSpace:
        """This space and *other*'s parameters, those already here once."""
        more = tuple(s for s in other if s.name not in self)
        return ParameterSpace(specs=self.specs + more, optional=self.optional)


def ordered_pairs(specs: Iterable[ParameterSpec]) -> tuple[tuple[str, str], ...]:
    """Pairs of names among *specs* of which the first declares that it must be below the second; by name."""
    known = {spec.name: spec.below for spec in specs}
    return tuple(sorted((name, other) for name, other in known.items() if other is not None and other in known))
