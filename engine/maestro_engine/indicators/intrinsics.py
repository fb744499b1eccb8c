"""intrinsics owns what machines can do and numba has no word for; every machine gives the same bits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from maestro_engine.data.bars import Floats

Function = TypeVar("Function", bound=Callable[..., object])
Emit = Callable[[Any, Any, Any, Any], object]
"""What writes an instruction: numba's context and builder, the call's types, and its arguments."""
_intrinsic = cast("Callable[[Callable[..., tuple[object, Emit]]], object]", intrinsic)
_types, _ir = cast("Any", types), cast("Any", ir)

LANES = 64
"""Values that are compared at once, a bit for each."""
_ALIGN = 8


def _as(_: Function) -> Callable[[Callable[..., tuple[object, Emit]]], Function]:
    """A compiled call of what is decorated has the types of the function given; its own are numba's."""
    return lambda written: cast("Function", _intrinsic(written))


def _fused(x: float, y: float, z: float, /) -> float: ...


@_as(_fused)
def fma(_typing: object, _x: object, _y: object, _z: object) -> tuple[object, Emit]:
    """``x * y + z``, rounded once (IEEE 754, fusedMultiplyAdd): one step of the machine where there were two."""
    number = _types.float64
    return number(number, number, number), lambda _, builder, __, values: builder.fma(*values)


def _trailing(bits: np.uint64 | int, /) -> int: ...


@_as(_trailing)
def lowest_bit(_typing: object, _bits: object) -> tuple[object, Emit]:
    """The place of the lowest bit that is set in *bits*, of which one must be."""
    never_zero = _ir.Constant(_ir.IntType(1), 1)
    return _types.int64(_types.uint64), lambda _, builder, __, values: builder.cttz(*values, never_zero)


def _signs(values: Floats, first: int, /) -> int: ...


def _against_zero(comparison: str) -> Callable[[Floats, int], int]:
    """A function of *values* and *first*: bit *i* says whether ``values[first + i]`` compares so; NaN never does.

    All :data:`LANES` values are read; who calls sees to it that they are there.
    """
    lanes = _ir.VectorType(_ir.DoubleType(), LANES)
    zero = _ir.Constant(lanes, [_ir.Constant(_ir.DoubleType(), 0.0)] * LANES)

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> object:
        values = context.make_array(signature.args[0])(context, builder, arguments[0])
        place = builder.gep(values.data, [arguments[1]])
        found = builder.load(builder.bitcast(place, lanes.as_pointer()), align=_ALIGN)
        return builder.bitcast(builder.fcmp_ordered(comparison, found, zero), _ir.IntType(LANES))

    @_as(_signs)
    def compared(_typing: object, values: object, _first: object) -> tuple[object, Emit]:
        return _types.uint64(values, _types.intp), emit

    return compared


above, below = _against_zero(">"), _against_zero("<")
at_most, at_least = _against_zero("<="), _against_zero(">=")
