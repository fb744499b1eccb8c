"""space owns variants and how they are made: drawn wide, moved to neighbours, mutated; all inside declared bounds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from maestro_agents.search.chance import Chance
from maestro_protocol.space import ParameterSpec, Value

QUORUM, QUORUM_BARS = "quorum", "quorum_bars"


@dataclass(frozen=True, slots=True)
class Variant:
    """A set of methods with the values that differ from the defaults and have a meaning: equal ones run the same."""

    methods: tuple[str, ...]
    """In ascending order."""
    values: tuple[tuple[str, Value], ...]
    """By name, in ascending order."""

    @property
    def params(self) -> dict[str, Value]:
        return dict(self.values)


class SearchSpace:
    """What may be searched: the parameters of all methods and the common ones, as they declare themselves.

    Args:
        specs: every parameter; one that a method declares names it.
        methods: the methods that may be used.
        lacking: data columns that are not there; a switch that needs one stays off.
    """

    def __init__(
        self, specs: Sequence[ParameterSpec], methods: Sequence[str], lacking: frozenset[str] = frozenset()
    ) -> None:
        self.methods = tuple(sorted(methods))
        self._specs = {spec.name: spec for spec in specs if spec.method is None or spec.method in self.methods}
        self._lacking = lacking

    @cached_property
    def switches(self) -> tuple[str, ...]:
        """Gates that the data allow."""
        return tuple(
            name for name, spec in self._specs.items() if spec.kind == "bool" and spec.needs not in self._lacking
        )

    def specs_of(self, methods: Sequence[str]) -> list[ParameterSpec]:
        """The parameters that mean something to *methods*: theirs and the common ones."""
        return [spec for spec in self._specs.values() if spec.method is None or spec.method in methods]

    def free(self, methods: Sequence[str], values: Mapping[str, Value]) -> list[ParameterSpec]:
        """The numbers that are in force with *values*: no switch, no number of a gate that is off, no idle vote."""
        voting = len(methods) > 1
        return [
            spec
            for spec in self.specs_of(methods)
            if spec.kind != "bool"
            and (spec.switch is None or bool(values.get(spec.switch, False)))
            and (spec.name not in (QUORUM, QUORUM_BARS) or (voting and spec.name != QUORUM))
        ]

    def variant(self, methods: Sequence[str], values: Mapping[str, Value]) -> Variant:
        """*values* brought onto the grid, into their order and without what is not in force."""
        names = tuple(sorted(methods))
        on = {name: True for name in self.switches if values.get(name, False)}
        numbers = {s.name: s.clip(float(values.get(s.name, s.default))) for s in self.free(names, on)}
        for spec in self.specs_of(names):
            if spec.below is not None and spec.below in numbers and numbers[spec.name] >= numbers[spec.below]:
                self._separate(spec, numbers)
        quorum = {QUORUM: values[QUORUM]} if len(names) > 1 and QUORUM in values else {}
        kept = {
            name: value
            for name, value in (numbers | on | quorum).items()
            if value != self._specs[name].default or name in on
        }
        return Variant(names, tuple(sorted(kept.items())))

    def _separate(self, spec: ParameterSpec, numbers: dict[str, Value]) -> None:
        """Put two lengths that are out of order into it, the one just above the other where they are equal."""
        assert spec.below is not None
        other = self._specs[spec.below]
        low, high = sorted((float(numbers[spec.name]), float(numbers[other.name])))
        numbers[spec.name], numbers[other.name] = spec.clip(low), other.clip(high)
        if numbers[spec.name] >= numbers[other.name]:
            numbers[other.name] = other.clip(float(numbers[spec.name]) + other.step)
        if numbers[spec.name] >= numbers[other.name]:
            numbers[spec.name] = spec.clip(float(numbers[other.name]) - spec.step)

    def narrowed(self, ranges: Mapping[str, tuple[float, float]]) -> SearchSpace:
        """This space with a search that begins inside *ranges*, lowest and highest by name; bounds stay."""
        specs = [
            _narrowed(spec, *ranges[spec.name]) if spec.name in ranges else spec for spec in self._specs.values()
        ]
        return SearchSpace(specs, self.methods, self._lacking)

    def draw(self, methods: Sequence[str], chance: Chance) -> Variant:
        """A variant from all over the ranges where a search begins, every gate off."""
        return self.placed(methods, {spec.name: chance.uniform() for spec in self.free(methods, {})})

    def placed(self, methods: Sequence[str], shares: Mapping[str, float]) -> Variant:
        """The variant whose numbers lie *shares* (0 to 1, by name) of the way through where a search begins."""
        return self.variant(methods, {spec.name: _placed(spec, shares[spec.name]) for spec in self.free(methods, {})})

    def neighbour(self, variant: Variant, chance: Chance, width: float, share: float) -> Variant:
        """*variant* with about *share* of its numbers (one at the least) moved by normal steps.

        *width* is the standard deviation of a step over the width of the range where a search begins, in logarithms
        for what is drawn in logarithms. Steps may leave that range, never the bounds.
        """
        values = {spec.name: spec.default for spec in self.specs_of(variant.methods)} | variant.params
        free = self.free(variant.methods, values)
        chosen = [spec for spec in free if chance.uniform() < share] or [chance.one_of(free)]
        for spec in chosen:
            values[spec.name] = _stepped(spec, float(values[spec.name]), width * chance.normal())
        return self.variant(variant.methods, values)

    def with_gate(self, variant: Variant, chance: Chance) -> Variant:
        """*variant* with one gate switched, its number drawn from where a search begins; itself if there is none."""
        if not self.switches:
            return variant
        gate = chance.one_of(self.switches)
        values = variant.params | {gate: not variant.params.get(gate, False)}
        numbers = {s.name: _placed(s, chance.uniform()) for s in self._specs.values() if s.switch == gate}
        return self.variant(variant.methods, values | numbers)

    def joined(self, first: Variant, second: Variant, chance: Chance) -> Variant:
        """The methods of both with *first*'s exits and gates; one vote is enough, or as many as there are methods."""
        methods = tuple(sorted({*first.methods, *second.methods}))
        if len(methods) == 1 or len(methods) > 8:
            return first
        votes: dict[str, Value] = {QUORUM: len(methods)} if chance.uniform() < 0.5 else {}
        own = {name: v for name, v in second.values if self._specs[name].method is not None}
        votes[QUORUM_BARS] = _placed(self._specs[QUORUM_BARS], chance.uniform())
        return self.variant(methods, own | first.params | votes)


def _narrowed(spec: ParameterSpec, low: float, high: float) -> ParameterSpec:
    """*spec* with draws inside *low* to *high*; as it is where nothing of its bounds lies there."""
    low, high = max(low, spec.low), min(high, spec.high)
    if spec.kind == "bool" or low > high or (spec.scale == "log" and low <= 0):
        return spec
    return spec.model_copy(update={"search_low": low, "search_high": high})


def _placed(spec: ParameterSpec, share: float) -> Value:
    """The value *share* (0 to 1) of the way through the range where a search begins."""
    low, high = spec.start
    if spec.scale == "log":
        return spec.clip(low * (high / low) ** share)
    return spec.clip(low + (high - low) * share)


def _stepped(spec: ParameterSpec, value: float, step: float) -> Value:
    """*value* moved by *step* widths of the range where a search begins; a move is at least one step of the grid."""
    low, high = spec.start
    moved = value * (high / low) ** step if spec.scale == "log" else value + (high - low) * step
    found = spec.clip(moved)
    if found == value:
        found = spec.clip(value + math.copysign(spec.step, step))
    return found if found != value else spec.clip(value - math.copysign(spec.step, step))
