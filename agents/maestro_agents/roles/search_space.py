"""search_space owns where a role may move: bounds, plan, costs and rules between parameters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

from maestro_protocol.messages.plan import Variation
from maestro_protocol.messages.report import Briefing, VariationReport
from maestro_protocol.space import ParameterSpace, ParameterSpec, Value
from maestro_protocol.values import as_mapping, as_params

TAKE_PROFIT = "hard_tp_usd"
STOP = "atr_stop_mult"
TIMEOUT = "timeout_bars"
QUORUM = "quorum"
GATE = "gate_"
COST_MULTIPLE = 3.0
"""A take-profit below so many round-trip costs hands most of each win to the venue."""


@dataclass(frozen=True)
class Idea:
    """Methods with the complete values of their parameters."""

    methods: tuple[str, ...]
    values: Mapping[str, Value]

    def in_force(self, name: str) -> bool:
        """Whether the parameter matters: a gate's numbers do while it is on, a quorum's among several methods."""
        if name.startswith(QUORUM):
            return len(self.methods) > 1 and (name == QUORUM or self.values.get(QUORUM, 1) > 1)
        gate = _gates(tuple(self.values))[name]
        return gate is None or bool(self.values[gate])

    @cached_property
    def key(self) -> tuple[object, ...]:
        """Equal for ideas that would run the same."""
        return (frozenset(self.methods), frozenset(item for item in self.values.items() if self.in_force(item[0])))


@lru_cache(maxsize=64)
def _gates(names: tuple[str, ...]) -> Mapping[str, str | None]:
    """The gate that each parameter belongs to: ``gate_vhf`` for ``vhf_min``, ``gate_atrz`` for ``atr_z_min``."""
    gates = [name for name in names if name.startswith(GATE)]
    flat = {name: name.replace("_", "") for name in names if name not in gates}
    whose = {n: next((g for g in gates if f.startswith(g.removeprefix(GATE))), None) for n, f in flat.items()}
    return {**dict.fromkeys(gates), **whose}


@lru_cache(maxsize=1_024)
def owner(parameter: str, methods: tuple[str, ...]) -> str | None:
    """The method whose name holds the parameter's first word (``ema_fast`` -> ``ema_crossover``), else null."""
    word = parameter.split("_", 1)[0]
    return next((method for method in methods if word in method.split("_")), None)


class Field:
    """Where the roles of one briefing may move."""

    def __init__(self, briefing: Briefing) -> None:
        self.briefing = briefing
        self.specs = {spec.name: spec for spec in briefing.space}
        self.cost = briefing.round_trip_cost_usd
        self._ranges = {r.parameter: (r.low, r.high) for r in briefing.plan.ranges} if briefing.plan else {}
        self.owners = {spec.name: owner(spec.name, briefing.methods) for spec in briefing.space}
        self._own: dict[tuple[str, ...], list[ParameterSpec]] = {}

    def spec(self, name: str) -> ParameterSpec:
        """The parameter *name*. Raises :class:`ParameterError` naming the nearest one."""
        found = self.specs.get(name)
        return ParameterSpace(specs=self.briefing.space)[name] if found is None else found

    def defaults(self) -> dict[str, Value]:
        return {spec.name: spec.default for spec in self.briefing.space}

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods that the segment may use."""
        return self.briefing.plan.methods if self.briefing.plan else self.briefing.methods

    def own(self, methods: Sequence[str]) -> list[ParameterSpec]:
        """The parameters that mean something to *methods*: theirs and the common ones."""
        key = tuple(methods)
        if key not in self._own:
            self._own[key] = [s for s in self.briefing.space if self.owners[s.name] in (None, *methods)]
        return self._own[key]

    @cached_property
    def history(self) -> tuple[tuple[VariationReport, Idea], ...]:
        """Every report of the briefing's history, with the complete configuration behind it."""
        return tuple((report, self.ran(report)) for report in self.briefing.history)

    @cached_property
    def tried(self) -> frozenset[tuple[object, ...]]:
        """Keys of every configuration in history, the failed too."""
        return frozenset(idea.key for _, idea in self.history)

    def ran(self, report: VariationReport) -> Idea:
        """The configuration behind *report*, complete."""
        given = as_mapping(report.params)
        return Idea(report.methods, {s.name: given.get(s.name, s.default) for s in self.own(report.methods)})

    def usable(self, spec: ParameterSpec) -> bool:
        """Whether the data holds what the parameter needs."""
        return spec.needs is None or self.briefing.data.has_taker_volume

    def span(self, name: str) -> tuple[float, float]:
        """The parameter's bounds, narrowed by the segment's plan."""
        spec = self.specs[name]
        low, high = self._ranges.get(name, (spec.low, spec.high))
        return max(low, spec.low), min(high, spec.high)

    def fit(self, name: str, value: float) -> Value:
        """The nearest value on the parameter's grid inside its span."""
        spec = self.specs[name]
        low, high = self.span(name)
        inside = spec.clip(min(max(value, low), high))
        if inside < low:
            inside = spec.clip(inside + spec.step)
        elif inside > high:
            inside = spec.clip(inside - spec.step)
        return inside if low <= inside <= high else spec.clip(low)

    def stride(self, name: str) -> float:
        """A twentieth of the parameter's bounds in whole steps: small enough to climb, large enough to be seen."""
        spec = self.specs[name]
        return spec.step * max(1, round((spec.high - spec.low) / spec.step / 20))

    def floor(self) -> float:
        """The least take-profit that leaves most of a win to the trader, USD."""
        return COST_MULTIPLE * self.cost

    def idea(self, methods: Sequence[str], given: Mapping[str, Value], *, costs: bool = True) -> Idea:
        """*methods* with *given* over the defaults, fitted to the field, coherent and (with *costs*) paying."""
        values: dict[str, Value] = {}
        for spec in self.own(methods):
            wish = given.get(spec.name, spec.default)
            if spec.kind == "bool":
                values[spec.name] = bool(wish) and self.usable(spec)
            else:
                values[spec.name] = self.fit(spec.name, float(wish))
        if costs:
            self._pay_the_costs(values)
        self._keep_order(values, methods)
        return Idea(tuple(methods), values)

    def moved(self, idea: Idea, name: str, strides: int) -> Idea:
        """*idea* with one parameter moved so many strides; a switch goes on above zero and off below."""
        spec = self.specs[name]
        if spec.kind == "bool":
            return self.idea(idea.methods, {**idea.values, name: strides > 0})
        return self.idea(idea.methods, {**idea.values, name: idea.values[name] + strides * self.stride(name)})

    def variation(self, name: str, idea: Idea, rationale: str) -> Variation:
        """*idea* as it is proposed: only what differs from the defaults."""
        defaults = self.defaults()
        changed = {key: value for key, value in idea.values.items() if value != defaults[key]}
        return Variation(
            name=name[:300], methods=idea.methods, params=as_params(changed), rationale=rationale[:4_000]
        )

    def proposed(self, variation: Variation) -> Idea:
        """A variation as the complete idea it stands for, its values as given."""
        given = as_mapping(variation.params)
        defaults = {spec.name: spec.default for spec in self.own(variation.methods)}
        return Idea(variation.methods, {name: given.get(name, default) for name, default in defaults.items()})

    def _pay_the_costs(self, values: dict[str, Value]) -> None:
        if TAKE_PROFIT in values and values[TAKE_PROFIT] < self.floor():
            spec = self.specs[TAKE_PROFIT]
            fitted = float(self.fit(TAKE_PROFIT, self.floor()))
            above = fitted if fitted >= self.floor() else float(self.fit(TAKE_PROFIT, fitted + spec.step))
            values[TAKE_PROFIT] = spec.check(max(above, float(values[TAKE_PROFIT])))

    def _keep_order(self, values: dict[str, Value], methods: Sequence[str]) -> None:
        for fast, slow in ordered_pairs(values):
            if values[fast] >= values[slow]:
                values[slow] = self.fit(slow, float(values[fast]) + self.stride(slow))
            if values[fast] >= values[slow]:
                values[fast] = self.fit(fast, float(values[slow]) - self.specs[fast].step)
            if values[fast] >= values[slow]:
                values |= {fast: self.fit(fast, self.span(fast)[0]), slow: self.fit(slow, self.span(slow)[1])}
        if QUORUM in values:
            values[QUORUM] = self.fit(QUORUM, min(float(values[QUORUM]), len(methods)))


def ordered_pairs(names: Iterable[str]) -> list[tuple[str, str]]:
    """Pairs that must keep their order: ``x_fast`` below ``x_slow``."""
    known = set(names)
    pairs = ((name, name.removesuffix("_fast") + "_slow") for name in sorted(known) if name.endswith("_fast"))
    return [(fast, slow) for fast, slow in pairs if slow in known]


def coherent(idea: Idea) -> bool:
    """Whether the idea's lengths are in order and its quorum can be reached."""
    ordered = all(idea.values[fast] < idea.values[slow] for fast, slow in ordered_pairs(idea.values))
    return ordered and idea.values.get(QUORUM, 1) <= len(idea.methods)
