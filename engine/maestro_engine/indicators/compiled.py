"""compiled owns how kernels are compiled: without the interpreter's lock, cached on disk, same bits everywhere."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast

from numba import njit
from numba.core.runtime.nrt import rtsys

P = ParamSpec("P")
R = TypeVar("R")

_ROOMS = ("indicators", "methods", "exits", "backtest")
# No fastmath: it lets the compiler reorder additions, and results would differ between machines.
# Division by zero gives infinity or NaN as in numpy.
_OPTIONS = {"nogil": True, "error_model": "numpy"}
# Neither the option that leaves out reference counts nor the stamp of a cache has a public name.
_runtime = cast("Any", rtsys)
_njit = cast("Callable[..., Callable[[object], Any]]", njit)


def _learn_arrays() -> None:
    """Load what numba knows of arrays as if there were no BLAS: no kernel uses it, and it costs 13 MB and 0.1 s."""
    modules, blas = cast("dict[str, object]", sys.modules), "scipy.linalg.cython_blas"
    if blas not in modules:
        modules[blas] = None  # an import of it fails
        importlib.import_module("numba.np.arraymath")
        del modules[blas]


def _stamp() -> tuple[int, int]:
    """Newest change and total size of all sources a kernel may be made of."""
    engine = Path(__file__).parent.parent
    found = [path.stat() for room in _ROOMS for path in engine.joinpath(room).rglob("*.py")]
    return max(stat.st_mtime_ns for stat in found), sum(stat.st_size for stat in found)


_SOURCES = _stamp()


def _loaded(cache: Any, signature: object, target: object) -> object:
    """A kernel from the disk, or None. numba would load all it knows of Python first, which only compiling needs."""
    _runtime.initialize(target)
    with cache._guard_against_spurious_io_errors():
        found: object = cache._load_overload(signature, target)
    if found is None:
        _learn_arrays()
    return found


def _cached(function: Callable[P, R], **options: object) -> Callable[P, R]:
    """numba looks at the file of the function alone; what it calls is compiled into it, so all files count.

    They are part of the version, which is read first: the rest may name a class that there was once.
    """
    dispatcher = _njit(cache=True, **_OPTIONS, **options)(function)
    cache = dispatcher._cache
    cache._cache_file._version = (cache._cache_file._version, _SOURCES)
    cache.load_overload = partial(_loaded, cache)
    return cast("Callable[P, R]", dispatcher)


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """Compile *function* at its first call, or load it from the disk cache beside its file."""
    return _cached(function)


def kernel(function: Callable[P, R]) -> Callable[P, R]:
    """As :func:`compiled`, for a function that makes no array: it then counts no references, four times as fast."""
    return _cached(function, _nrt=False)


def inlined(function: Callable[P, R]) -> Callable[P, R]:
    """A piece of kernels that makes no array, always laid into its caller: arguments are never copied."""
    return cast("Callable[P, R]", _njit(**_OPTIONS, _nrt=False, forceinline=True)(function))
