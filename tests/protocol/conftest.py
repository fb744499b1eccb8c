"""conftest owns what the protocol's tests draw from: any message, built from the types alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import cache
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import annotated_types as at
import pytest
from hypothesis import strategies as st
from pydantic import BaseModel, StringConstraints
from pydantic.fields import FieldInfo

from maestro_protocol.messages.rules import When
from maestro_protocol.space import ParameterSpec
from maestro_protocol.values import Changes, Params

Strategy = st.SearchStrategy[Any]
WIDE = 2**53


@pytest.fixture(scope="session")
def drawn() -> Callable[[Any], Strategy]:
    """Gives the strategy of a type: every value it draws is one the type accepts."""
    return _drawn


@pytest.fixture(scope="session")
def specs() -> Strategy:
    """Parameter specs of every kind, their defaults inside their bounds."""
    return _specs()


def _drawn(hint: Any, limits: dict[str, Any] | None = None) -> Strategy:
    limits = limits or {}
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _annotated(hint, args, limits)
    if origin in (Union, UnionType):
        return st.one_of([_drawn(arg, limits) for arg in args])
    if origin is Literal:
        return st.sampled_from(args)
    if origin is tuple:
        return _tuples(args, limits)
    if origin in (dict, Mapping):
        return st.dictionaries(_drawn(args[0]), _drawn(args[1]), max_size=2)
    if hint in ENTANGLED:
        return ENTANGLED[hint]()
    if isinstance(hint, type) and issubclass(hint, BaseModel):
        return _models(hint)
    if isinstance(hint, type) and hasattr(hint, "_fields"):  # a NamedTuple
        return st.builds(hint, **{name: _drawn(each) for name, each in get_type_hints(hint).items()})
    return _plain(hint, limits)


def _annotated(hint: Any, args: tuple[Any, ...], limits: dict[str, Any]) -> Strategy:
    own = dict(limits)
    for item in args[1:]:
        parts = item.metadata if isinstance(item, FieldInfo) else [item]
        for part in parts:
            own |= _limits(part)
    if hint in (Params, Changes):
        own["once"] = True
    return _drawn(args[0], own)


def _limits(part: object) -> dict[str, Any]:
    """What one piece of an annotation allows, by pydantic's own names."""
    if isinstance(part, StringConstraints | at.Ge | at.Gt | at.Le | at.Lt | at.MinLen | at.MaxLen):
        return {name: value for name, value in vars_of(part).items() if value is not None}
    general = getattr(part, "__dict__", {})
    return {name: value for name, value in general.items() if name in ("pattern", "max_digits", "decimal_places")}


def vars_of(part: object) -> dict[str, Any]:
    return {name: getattr(part, name) for name in part.__dataclass_fields__}  # type: ignore[attr-defined]


def _tuples(args: tuple[Any, ...], limits: dict[str, Any]) -> Strategy:
    least = limits.get("min_length", 0)
    most = min(limits.get("max_length", 2), max(least, 2))
    unique = (lambda item: getattr(item, "name", None) or item.parameter) if limits.get("once") else None
    return st.lists(_drawn(args[0]), min_size=least, max_size=most, unique_by=unique).map(tuple)


@cache
def _models(model: type[BaseModel]) -> Strategy:
    hints = get_type_hints(model, include_extras=True)
    return st.builds(model, **{name: _drawn(hints[name]) for name in model.model_fields})


def _plain(hint: Any, limits: dict[str, Any]) -> Strategy:
    if hint is type(None):
        return st.none()
    if hint is bool:
        return st.booleans()
    if hint is str:
        return _text(limits)
    low = limits.get("ge", limits.get("gt", -WIDE))
    high = limits.get("le", limits.get("lt", WIDE))
    if hint is int:
        return st.integers(low + ("gt" in limits), high - ("lt" in limits))
    if hint is float:
        open_ends = {"exclude_min": "gt" in limits, "exclude_max": "lt" in limits}
        return st.floats(low, high, **open_ends, allow_nan=False, allow_infinity=False)
    if hint is Decimal:
        # as micros: 15 significant digits are what a JSON number keeps
        floor, roof = max(int(low), -(10**9) + 1), min(int(high), 10**9 - 1)
        return st.integers(floor * 10**6 + ("gt" in limits), roof * 10**6).map(lambda n: Decimal(n).scaleb(-6))
    raise AssertionError(f"no strategy for {hint!r}: add one")


def _text(limits: dict[str, Any]) -> Strategy:
    if "pattern" in limits:
        return st.from_regex(limits["pattern"].removesuffix("$") + r"\Z")
    return st.text(st.characters(exclude_categories=["Cs"]), max_size=min(limits.get("max_length", 40), 40))


def _whens() -> Strategy:
    side = st.sampled_from(["below", "above"])
    return st.builds(lambda name, value: When.model_validate({name: value}), side, _plain(float, {}))


@st.composite
def _specs(draw: st.DrawFn) -> ParameterSpec:
    kind = draw(st.sampled_from(["int", "float", "bool"]))
    fixed: dict[str, Any] = {"name": draw(_text({"pattern": "^[a-z][a-z0-9_]{0,11}$"})), "kind": kind, "about": ""}
    if kind == "bool":
        return ParameterSpec(default=draw(st.booleans()), unit="switch", needs="taker_volume", **fixed)
    # a grid as somebody writes it down: a decimal or two below a step, a few thousand steps at most
    unit = 1.0 if kind == "int" else draw(st.sampled_from([1.0, 0.5, 0.1, 0.05, 0.01, 0.001]))
    low, step = draw(st.integers(-5_000, 5_000)), draw(st.integers(1, 60))
    high = low + draw(st.integers(0, 5_000))
    default = draw(st.integers(low, high))
    low_, high_, step_, default_ = (_scaled(n, unit) for n in (low, high, step, default))
    number: int | float = int(default_) if kind == "int" else default_
    return ParameterSpec(default=number, low=low_, high=high_, step=step_, unit="ratio", **fixed)


def _scaled(number: int, unit: float) -> float:
    return round(number * unit, 6)


ENTANGLED: dict[type[BaseModel], Callable[[], Strategy]] = {ParameterSpec: _specs, When: _whens}
"""Types whose fields depend on each other."""
