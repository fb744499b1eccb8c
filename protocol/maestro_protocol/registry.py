"""registry owns how extensions are found: built in, registered by hand, or installed with an entry point.

A distribution adds to a group with an entry point of its own, and touches nothing of the product::

    [project.entry-points."maestro.brains"]
    gemini = "maestro_gemini:ADAPTER"
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from importlib import metadata
from typing import Generic, Literal, NamedTuple, TypeGuard, TypeVar

from maestro_protocol.errors import ConfigError, UnknownKey

T = TypeVar("T")

Group = Literal[
    "maestro.methods",
    "maestro.indicators",
    "maestro.brains",
    "maestro.sources",
    "maestro.metrics",
    "maestro.plots",
    "maestro.notifiers",
    "maestro.roles",
]
PRODUCT = "maestro"
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")


class Origin(NamedTuple):
    """Where an extension comes from: a distribution and its version, ``""`` where it told none."""

    distribution: str
    version: str

    def __str__(self) -> str:
        return f"{self.distribution} {self.version}".strip()


class Registry(Generic[T]):
    """The extensions of one group by name. Entry points are listed without being imported, and loaded when asked for.

    Args:
        group: the entry points' group.
        builtin: gives what the product itself brings, by name; called once, when it is first needed.
        accepts: whether a loaded object is one of this group's things.
    """

    def __init__(
        self, group: Group, builtin: Callable[[], Mapping[str, T]], *, accepts: Callable[[object], TypeGuard[T]]
    ) -> None:
        self.group = group
        self._find_builtin = builtin
        self._accepts = accepts
        self._builtin: Mapping[str, T] | None = None
        self._registered: dict[str, tuple[T, Origin]] = {}
        self._installed: dict[str, list[metadata.EntryPoint]] | None = None
        self._loaded: dict[str, T] = {}

    def register(self, name: str, thing: T, *, version: str = "") -> None:
        """Add *thing* for this process, or put it in the place of one that was registered before.

        Args:
            name: lower-case letters, digits and ``_``, as it is written in a config.
            thing: the extension itself.
            version: what a run's config tells of it, besides the name.

        Raises:
            ConfigError: *name* is none, is the product's own or an installed one, or *thing* is not of this group.
        """
        if self._owned(name) or name in self._entry_points():
            raise ConfigError(f"{self.group}: {name!r} is taken by {self.origin(name)}; register it by another name")
        self._registered[self._legal(name)] = (self._checked(name, thing, "what was registered"), Origin("", version))

    def unregister(self, name: str) -> None:
        """Take away what was registered in this process as *name*. Raises UnknownKey where nothing was."""
        if name not in self._registered:
            raise UnknownKey(self.group, name, self._registered)
        del self._registered[name]

    def get(self, name: str) -> T:
        """The extension called *name*.

        Raises:
            UnknownKey: nobody brings it; the nearest known name is in the message.
            ConfigError: it is installed and cannot be used; the distribution and the reason are in the message.
        """
        builtin = self._own()
        if name in builtin:
            return builtin[name]
        if name in self._registered:
            return self._registered[name][0]
        if name not in self._loaded:
            self._loaded[name] = self._load(name, self._points(name))
        return self._loaded[name]

    def names(self) -> tuple[str, ...]:
        """Every name, sorted. Nothing that is installed is imported for it."""
        return tuple(sorted({*self._own(), *self._registered, *self._entry_points()}))

    def __contains__(self, name: object) -> bool:
        return name in self.names()

    def version(self, name: str) -> str:
        """The version of what brings *name*: the product's, the distribution's, or what was told with ``register``.

        Raises UnknownKey.
        """
        return self.origin(name).version

    def origin(self, name: str) -> Origin:
        """Which distribution brings *name*; ``""`` for what was registered by hand. Raises UnknownKey."""
        if self._owned(name):
            return Origin(PRODUCT, metadata.version(PRODUCT))
        if name in self._registered:
            return self._registered[name][1]
        return _origin(self._points(name)[0])

    def from_outside(self, names: Iterable[str]) -> tuple[str, ...]:
        """What a config's ``versions`` tells of those *names* that the product does not bring itself, sorted.

        Each is ``group:name distribution version``. Raises UnknownKey.
        """
        outside = sorted({name for name in names if not self._owned(name)})
        return tuple(f"{self.group}:{name} {self.origin(name)}".rstrip() for name in outside)

    def problems(self) -> tuple[str, ...]:
        """What is wrong with what is installed, a line each: everything is loaded to find out."""
        found: list[str] = []
        for name, points in sorted(self._entry_points().items()):
            if self._owned(name):
                found.append(f"{_origin(points[0])}: {self.group} {name!r} is the product's own; its own is not used")
                continue
            try:
                self.get(name)
            except ConfigError as error:
                found.append(str(error))
        return tuple(found)

    def reload(self) -> None:
        """Look again at what is installed; what was registered by hand stays."""
        self._installed = None
        self._loaded.clear()

    def _own(self) -> Mapping[str, T]:
        if self._builtin is None:
            self._builtin = dict(self._find_builtin())
        return self._builtin

    def _owned(self, name: str) -> bool:
        return name in self._own()

    def _entry_points(self) -> dict[str, list[metadata.EntryPoint]]:
        if self._installed is None:
            self._installed = {}
            for point in metadata.entry_points(group=self.group):
                self._installed.setdefault(point.name, []).append(point)
        return self._installed

    def _points(self, name: str) -> list[metadata.EntryPoint]:
        points = self._entry_points().get(name)
        if points is None:
            raise UnknownKey(self.group, name, self.names())
        return points

    def _load(self, name: str, points: list[metadata.EntryPoint]) -> T:
        first = points[0]
        origins = sorted({str(_origin(point)) for point in points})
        if len({point.value for point in points}) > 1:
            raise ConfigError(f"{self.group}: {name!r} is brought by {' and '.join(origins)}; uninstall one of them")
        self._legal(name, f"{origins[0]}: ")
        try:
            thing: object = first.load()
        except Exception as error:
            why = f"{type(error).__name__}: {error}".splitlines()[0][:200]
            raise ConfigError(
                f"{origins[0]}: {self.group} {name!r} cannot be loaded from {first.value} ({why}); "
                "install another version of it"
            ) from error
        return self._checked(name, thing, origins[0])

    def _checked(self, name: str, thing: object, whose: str) -> T:
        if not self._accepts(thing):
            raise ConfigError(f"{whose}: {name!r} is a {type(thing).__name__}, nothing that {self.group} takes")
        return thing

    def _legal(self, name: str, whose: str = "") -> str:
        if _NAME.fullmatch(name) is None:
            raise ConfigError(
                f"{whose}{self.group}: {name[:80]!r} is no name; use lower-case letters, digits and _, a letter first"
            )
        return name


def _origin(point: metadata.EntryPoint) -> Origin:
    brought_by = point.dist
    return Origin("", "") if brought_by is None else Origin(brought_by.name, brought_by.version)
