"""values owns how parameters and changes travel: typed lists for models, plain mappings on the wire."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Annotated, Any, TypeVar, cast

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, WithJsonSchema

from maestro_protocol.base import Frozen, Name
from maestro_protocol.space import Value

ARROW = " -> "


class NamedValue(Frozen):
    """One parameter and its value. A list of these stands where an open mapping would not fit a strict schema."""

    name: Name
    value: Value


class Change(Frozen):
    """One parameter's step from an old value to a new one; an unknown old value is null."""

    parameter: Name
    old: Value | None = None
    new: Value


_Named = TypeVar("_Named", NamedValue, Change)


def _values_from_mapping(given: object) -> object:
    if isinstance(given, Mapping):
        pairs = cast("Mapping[str, object]", given)
        # A tuple, made here: a file is read as strictly as JSON is, and would take neither dicts nor a list from us.
        return tuple(NamedValue.model_validate({"name": name, "value": value}) for name, value in pairs.items())
    return given


def _values_to_mapping(values: Sequence[NamedValue]) -> dict[str, Value]:
    return {item.name: item.value for item in values}


def _one_change(parameter: str, step: object) -> dict[str, Any]:
    if not isinstance(step, str) or ARROW not in step:
        raise ValueError(f"{parameter:.64}: a change is written 'old -> new'")
    old, new = step.split(ARROW, 1)
    try:
        return {"parameter": parameter, "old": json.loads(old), "new": json.loads(new)}
    except (ValueError, RecursionError):
        raise ValueError(f"{parameter:.64}: {step[:40]!r} is not two numbers or switches") from None


def _changes_from_mapping(given: object) -> object:
    if isinstance(given, Mapping):
        pairs = cast("Mapping[str, object]", given)
        return [_one_change(name, step) for name, step in pairs.items()]
    return given


def _changes_to_mapping(changes: Sequence[Change]) -> dict[str, str]:
    return {c.parameter: f"{json.dumps(c.old)}{ARROW}{json.dumps(c.new)}" for c in changes}


def _once(given: tuple[_Named, ...]) -> tuple[_Named, ...]:
    names = [item.parameter if isinstance(item, Change) else item.name for item in given]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"named twice: {', '.join(twice)}")
    return given


Params = Annotated[
    tuple[NamedValue, ...],
    Field(max_length=64),
    AfterValidator(_once),
    BeforeValidator(_values_from_mapping),
    PlainSerializer(_values_to_mapping),
    WithJsonSchema({"type": "object", "additionalProperties": {"type": ["number", "boolean"]}}, mode="serialization"),
]
"""Parameter values: ``{"fast": 12}`` on the wire, a list of :class:`NamedValue` for a model. Both are read."""

Changes = Annotated[
    tuple[Change, ...],
    Field(max_length=16),
    AfterValidator(_once),
    BeforeValidator(_changes_from_mapping),
    PlainSerializer(_changes_to_mapping),
    WithJsonSchema(
        {"type": "object", "additionalProperties": {"type": "string", "pattern": "^.+ -> .+$"}},
        mode="serialization",
    ),
]
"""Changes: ``{"atr_stop_mult": "1.5 -> 1.8"}`` on the wire, a list of :class:`Change` for a model. Both are read."""


@lru_cache(maxsize=4_096, typed=True)
def _named(name: str, value: Value) -> NamedValue:
    """Frozen, so one object serves every run that has the value."""
    return NamedValue(name=name, value=value)


def as_params(values: Mapping[str, Value]) -> tuple[NamedValue, ...]:
    """*values* as they travel in a config: named values, in the order given."""
    return tuple(_named(name, value) for name, value in values.items())


def as_mapping(values: Sequence[NamedValue]) -> dict[str, Value]:
    """Named values as a mapping from parameter to value."""
    return {item.name: item.value for item in values}
