"""changes owns which part of a requested change stands: bounds, costs, what failed before, what is known already."""

from __future__ import annotations

from maestro_agents.roles.evidence import direction, turned_down
from maestro_agents.roles.search_space import TAKE_PROFIT, Field, Idea
from maestro_protocol.messages.report import VariationReport
from maestro_protocol.values import Change


def refined(changes: tuple[Change, ...], current: VariationReport, field: Field) -> tuple[Change, ...]:
    """The part of *changes* that stands: inside its bounds, paying its costs, not turned down before, not known."""
    base = field.ran(current)
    refused = set(turned_down(field.briefing.notes))
    kept: list[Change] = []
    for change in changes:
        spec = field.specs.get(change.parameter)
        if spec is None or spec.name not in base.values or not field.usable(spec):
            continue
        old = base.values[spec.name]
        new = spec.clip(float(change.new))
        if spec.name == TAKE_PROFIT:
            new = spec.clip(max(float(new), min(field.floor(), spec.high)))
        if new != old and (spec.name, direction(old, new)) not in refused:
            kept.append(Change(parameter=spec.name, old=old, new=new))
    return _further(kept, base, field)


def _further(changes: list[Change], base: Idea, field: Field) -> tuple[Change, ...]:
    """*changes*, twice as far where history already holds what they lead to."""
    result = Idea(base.methods, {**base.values, **{c.parameter: c.new for c in changes}})
    if result.key not in field.tried:
        return tuple(changes)
    out: list[Change] = []
    for change in changes:
        spec, old = field.specs[change.parameter], base.values[change.parameter]
        new = change.new if spec.kind == "bool" else spec.clip(2 * float(change.new) - float(old))
        out.append(change.model_copy(update={"new": new}))
    beyond = Idea(base.methods, {**base.values, **{c.parameter: c.new for c in out}})
    return () if beyond.key in field.tried else tuple(out)
