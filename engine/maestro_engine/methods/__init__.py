"""Methods: one file each, found by looking into this folder; others by registration or entry point.

A method's file is all there is to adding it. ``time_of_day`` is one plain enough to copy.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TypeGuard

from maestro_engine.methods.common import COMMON, OPTIONAL_EXITS
from maestro_engine.methods.method import Method
from maestro_protocol.errors import ParameterError
from maestro_protocol.registry import Registry
from maestro_protocol.space import ParameterSpace, Value

__all__ = [
    "COMMON",
    "OPTIONAL_EXITS",
    "REGISTRY",
    "Method",
    "all_methods",
    "check",
    "check_order",
    "get",
    "scaled",
    "space_for",
]


def _builtin() -> dict[str, Method]:
    found = pkgutil.walk_packages(__path__, f"{__name__}.")
    modules = (importlib.import_module(module.name) for module in found)
    methods: list[Method] = [module.METHOD for module in modules if hasattr(module, "METHOD")]
    return {method.name: method for method in methods}


def _is_method(thing: object) -> TypeGuard[Method]:
    return isinstance(thing, Method)


REGISTRY = Registry[Method]("maestro.methods", _builtin, accepts=_is_method)
"""All methods: those of this folder and the ones in it, registered ones, and those of installed distributions."""


def all_methods() -> tuple[Method, ...]:
    """Every method there is, by name. Raises :class:`ConfigError` for an installed one that cannot be loaded."""
    return tuple(REGISTRY.get(name) for name in REGISTRY.names())


def get(name: str) -> Method:
    """The method called *name*. Raises :class:`UnknownKey`, and :class:`ConfigError` as the registry does."""
    return REGISTRY.get(name)


def space_for(names: Sequence[str]) -> ParameterSpace:
    """The parameters of the methods *names* and the common ones. Raises :class:`UnknownKey`."""
    return _space(tuple(get(name) for name in names))


@lru_cache(maxsize=256)
def _space(chosen: tuple[Method, ...]) -> ParameterSpace:
    own = tuple(spec for method in chosen for spec in method.specs)
    names = [spec.name for spec in (*own, *COMMON, *OPTIONAL_EXITS)]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        together = ", ".join(method.name for method in chosen)
        raise ParameterError(f"methods {together}: declare {', '.join(twice)} twice; leave out one of them")
    return ParameterSpace(specs=own, optional=OPTIONAL_EXITS).merged(COMMON)


def scaled(names: Sequence[str]) -> tuple[str, ...]:
    """The parameters of the methods *names* that are amounts of money. Raises :class:`UnknownKey`."""
    return tuple(spec.name for spec in space_for(names).specs if spec.scales_with == "notional")


def check_order(names: Sequence[str], values: Mapping[str, Value]) -> None:
    """Raise :class:`ParameterError` when *values*, each inside its bounds, do not go together."""
    for name in names:
        get(name).check_order(values)
    if values.get("tp_atr") and values.get("tp_r"):
        raise ParameterError("tp_atr and tp_r: a trade has one target; leave one of them at 0")
    if values["quorum"] > max(1, len(names)):
        raise ParameterError(
            f"quorum: {values['quorum']:g} votes asked of {len(names)} methods; lower it or add methods"
        )


def check(names: Sequence[str], params: Mapping[str, Value]) -> dict[str, Value]:
    """*params* over the defaults, every bound and constraint checked.

    Raises :class:`ParameterError` or :class:`UnknownKey`.
    """
    values = space_for(names).resolve(params)
    check_order(names, values)
    return values
