"""Methods: one file each, found by looking into this folder; a method's file is all there is to adding it."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping, Sequence
from functools import cache, lru_cache

from maestro_engine.methods.common import COMMON
from maestro_engine.methods.method import Method
from maestro_protocol.errors import ParameterError, UnknownKey
from maestro_protocol.space import ParameterSpace, Value

__all__ = ["COMMON", "Method", "all_methods", "check", "check_order", "get", "scaled", "space_for"]


@cache
def _found() -> dict[str, Method]:
    modules = (importlib.import_module(f"{__name__}.{m.name}") for m in pkgutil.iter_modules(__path__))
    methods = [module.METHOD for module in modules if hasattr(module, "METHOD")]
    return {method.name: method for method in sorted(methods, key=lambda method: method.name)}


def all_methods() -> tuple[Method, ...]:
    """Every method of this folder, by name."""
    return tuple(_found().values())


def get(name: str) -> Method:
    """The method called *name*. Raises :class:`UnknownKey`."""
    found = _found().get(name)
    if found is None:
        raise UnknownKey("methods", name, _found())
    return found


def space_for(names: Sequence[str]) -> ParameterSpace:
    """The parameters of the methods *names* and the common ones. Raises :class:`UnknownKey`."""
    return _space(tuple(names))


@lru_cache(maxsize=256)
def _space(names: tuple[str, ...]) -> ParameterSpace:
    own = tuple(spec for name in names for spec in get(name).specs)
    return ParameterSpace(specs=own).merged(COMMON)


def scaled(names: Sequence[str]) -> tuple[str, ...]:
    """The parameters of the methods *names* that are amounts of money. Raises :class:`UnknownKey`."""
    return tuple(spec.name for spec in space_for(names).specs if spec.scales_with == "notional")


def check_order(names: Sequence[str], values: Mapping[str, Value]) -> None:
    """Raise :class:`ParameterError` when *values*, each inside its bounds, do not go together."""
    for name in names:
        get(name).check_order(values)
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
