"""adapters owns which brains ask a model: an adapter for each vendor, built in or installed as ``maestro.brains``."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeGuard

from maestro_agents.brains.base import Brain, ClientOptions
from maestro_agents.brains.wire.dialect import ServerMemory
from maestro_protocol.registry import Registry


@dataclass(frozen=True, slots=True)
class BrainAdapter:
    """A kind of brain that asks a model, and all that is to be known of its vendor.

    To add one: a module with an ``ADAPTER`` in this package, or the entry point ``maestro.brains`` of any other.
    """

    name: str
    """As ``--brain ROLE=NAME`` writes it, and the ``provider`` of what it builds: recordings are filed under it."""
    build: Callable[[ClientOptions, ServerMemory | None], Brain]
    """A brain, its SDK not yet loaded; *ServerMemory* keeps what servers were found to take."""
    about: str
    """Whose models answer, and in which format they are asked."""
    key_variable: str | None = None
    """The environment variable of its key, ``OPENAI_API_KEY``; null where no key is ever sent."""
    base_url_variable: str | None = None
    """The environment variable that names another server of the same format; null where there is none."""
    keyless_elsewhere: bool = True
    """Whether that other server may be asked without a key."""
    default_model: str | None = None
    """Null where a model always has to be named."""
    cheap_model: str | None = None
    """For the dispatcher: an expensive model is never used for routing."""
    default_elsewhere: bool = False
    """Whether the default model is served at another base URL too; a model has to be named there otherwise."""
    takes_temperature: bool = True

    def model_for(self, role: str) -> str | None:
        """The model *role* asks where none is named; null where it has to be."""
        return (self.cheap_model if role == "dispatcher" else None) or self.default_model


def is_adapter(thing: object) -> TypeGuard[BrainAdapter]:
    """Whether *thing* is what the entry point ``maestro.brains`` takes."""
    return isinstance(thing, BrainAdapter)


def _built_in() -> Mapping[str, BrainAdapter]:
    """The ``ADAPTER`` of each module beside this one."""
    package = __name__.rpartition(".")[0]
    folder = importlib.import_module(package).__path__
    modules = (importlib.import_module(f"{package}.{found.name}") for found in pkgutil.iter_modules(folder))
    adapters = [module.ADAPTER for module in modules if hasattr(module, "ADAPTER")]
    return {adapter.name: adapter for adapter in adapters}


BRAINS: Registry[BrainAdapter] = Registry("maestro.brains", _built_in, accepts=is_adapter)
