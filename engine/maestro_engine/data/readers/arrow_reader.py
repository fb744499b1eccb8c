"""arrow_reader owns Parquet files, and Arrow columns as numbers with the row of whatever is not one."""
# pyarrow ships no types; everything that leaves this module is typed.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false, reportAttributeAccessIssue=false

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from maestro_engine.data.bars import Bars, Floats, Ints
from maestro_engine.data.readers.column_names import RawBars, match_columns, one_line, require_columns
from maestro_protocol.errors import DataError

MAX_BYTES = 2 * 1024**3
"""Most bytes a file may have, packed or unpacked."""
MAX_ROWS = 20_000_000
"""Most bars a file may have: 38 years of minutes."""

ARROW_ERRORS = (pa.ArrowException, OSError, ValueError, KeyError, IndexError, MemoryError, NotImplementedError)
"""What pyarrow raises on a damaged file."""

# A time's unit is told by its size: under 10**11 it is seconds, and the ranges of milliseconds, microseconds and
# nanoseconds since 1970 do not meet between 1973 and 2100. The exchange's spot archives changed from ms to us in
# January 2025, so one file joined from several may hold both.
_EARLIEST_MS, _LATEST_MS = 10**11, 4_102_444_800_000
_PER_MS = {"ms": 1, "us": 10**3, "ns": 10**6}
_Number = TypeVar("_Number", np.int64, np.float64)
_ISO = (pa.timestamp("ns"), pa.timestamp("ns", "UTC"))


def read_parquet(path: Path) -> RawBars:
    """The bar columns of a Parquet file. Raises DataError: damaged, too large, or columns not there or no numbers."""
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            names = [str(name) for name in file.schema_arrow.names]
            found = match_columns(names)
            require_columns(found, names)
            _refuse_large(file.metadata)
            table = file.read(columns=[names[i] for i in found.values()], use_threads=False)
        raw = raw_from_arrow({column: table.column(names[i]) for column, i in found.items()})
        del table
        pa.default_memory_pool().release_unused()  # bars are small; what decoding took is not kept for more
        return raw
    except ARROW_ERRORS as error:
        raise DataError(f"damaged or not Parquet ({one_line(error)}); fetch or export it again") from error


def write_parquet(bars: Bars, path: Path) -> None:
    """Write *bars* in the exchange's column names, times as ``timestamp[ms, UTC]``; optional columns if there."""
    columns: dict[str, pa.Array] = {"open_time": pa.array(bars.open_time, pa.timestamp("ms", "UTC"))}
    for name in ("open", "high", "low", "close", "volume", "taker_buy_volume", "funding_rate"):
        values = getattr(bars, name)
        if values is not None:
            columns[name] = pa.array(values, pa.float64())
    pq.write_table(pa.table(columns), path, compression="zstd", write_page_checksum=True)


def raw_from_arrow(columns: Mapping[str, pa.ChunkedArray]) -> RawBars:
    """Arrow columns by canonical name as numpy columns. Raises DataError naming column and row of a non-number."""
    times, local = _times(columns["open_time"])
    symbol = _symbol(columns["symbol"]) if "symbol" in columns else None
    numbers: dict[str, Floats] = {
        name: _floats(name, col) for name, col in columns.items() if name not in ("open_time", "symbol")
    }
    return RawBars.of(times, numbers, symbol=symbol, local_times=local)


def _refuse_large(metadata: pq.FileMetaData) -> None:
    if metadata.num_rows > MAX_ROWS:
        raise DataError(f"{metadata.num_rows:,} rows; at most {MAX_ROWS:,} are read: split the file")
    unpacked = sum(metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups))
    if unpacked > MAX_BYTES:
        raise DataError(f"{unpacked:,} bytes unpacked; at most {MAX_BYTES:,} are read: split the file")


def _symbol(column: pa.ChunkedArray) -> str | None:
    """The one symbol of all rows. Raises DataError where there are several: such bars are no one market's."""
    said = [text for text in _plain("symbol", column).unique().to_pylist() if text is not None]
    if len(said) > 1:
        first, second = (one_line(text, 24) for text in said[:2])
        raise DataError(f"bars of {len(said)} symbols ({first}, {second}, ...); keep those of one")
    return one_line(said[0]) if said else None


def _floats(name: str, column: pa.ChunkedArray) -> Floats:
    column = _plain(name, column)
    kind = column.type
    numeric = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    if not (numeric or _is_text(kind) or pa.types.is_null(kind)):
        raise DataError(f"column {name} is {one_line(kind, 40)}, not a number")
    if pa.types.is_decimal(kind):
        column = column.cast(pa.string())  # Arrow's own cast of a decimal can miss the nearest float
    # The integer cast is unsafe only in that 2**53 and above lose digits, which no price or volume has.
    cast = _cast(column, pa.float64(), safe=not pa.types.is_integer(kind))
    if cast is None:
        row = _first_failing(column, pa.float64())
        raise DataError(f"row {row + 1}, column {name}: {one_line(column[row].as_py(), 40)!r} is not a number")
    return _numbers(cast.fill_null(math.nan) if cast.null_count else cast, np.float64)


def _times(column: pa.ChunkedArray) -> tuple[Ints, bool]:
    """Milliseconds since 1970, and whether the file gave clock readings that name no zone."""
    column = _plain("open_time", column)
    if column.null_count:
        row = column.is_null().index(True).as_py()
        raise DataError(f"row {row + 1}: no time")
    if _is_text(column.type):
        column = _parsed(column)
    kind = column.type
    local = pa.types.is_date(kind) or (pa.types.is_timestamp(kind) and kind.tz is None)
    if pa.types.is_date(kind):
        column, kind = column.cast(pa.timestamp("ms")), pa.timestamp("ms")
    if pa.types.is_timestamp(kind):
        ticks = _numbers(column, np.int64)
        times: Ints = ticks * 1000 if kind.unit == "s" else ticks // _PER_MS[kind.unit]
    elif pa.types.is_integer(kind):
        times = _ms_from_integers(column)
    elif pa.types.is_floating(kind):
        times = _ms_from_floats(_numbers(column.cast(pa.float64()), np.float64))
    else:
        raise DataError(f"the time column is {one_line(kind, 40)}, neither a time nor a number")
    _refuse_odd_times(times)
    return np.ascontiguousarray(times, dtype=np.int64), local


def _parsed(column: pa.Array) -> pa.Array:
    """Text as integers since 1970, as ISO 8601 with or without zone, or as another notation of a date and a time."""
    compact = len(column) > 0 and re.match(_COMPACT_DATE, str(column[0].as_py()))
    for kind in _ISO if compact else (pa.int64(), pa.float64(), *_ISO):
        cast = _cast(column, kind)
        if cast is not None:
            return cast
    rewritten = _in_iso(column)
    for kind in _ISO:
        cast = _cast(rewritten, kind)
        if cast is not None:
            return cast
    # The first row says which form the file uses; the row that breaks it is the one to name.
    plain = max(_first_failing(column, kind) for kind in (pa.int64(), *_ISO))
    row = max(plain, *(_first_failing(rewritten, kind) for kind in _ISO))
    text = one_line(column[row].as_py(), 40)
    raise DataError(f"row {row + 1}: {text!r} is not a time; use milliseconds since 1970 or ISO 8601, in UTC")


_COMPACT_DATE = r"(19|20)\d{6}(\D|$)"
_NOTATIONS = (
    (r"^(\d{4})[./](\d\d)[./](\d\d)", r"\1-\2-\3"),
    (r"^(\d\d)\.(\d\d)\.(\d{4})", r"\3-\2-\1"),  # with points a day comes first; with slashes nobody knows
    (r"^((?:19|20)\d\d)(\d\d)(\d\d)($|[ T])", r"\1-\2-\3\4"),
    (r"^(\S{10})[ T](\d\d)(\d\d)(\d\d)($|\D)", r"\1 \2:\3:\4\5"),
    (r"^(\S{10})[ T](\d\d)(\d\d)($|\D)", r"\1 \2:\3\4"),
    (r"^(\S{10})[ T](\d):", r"\1 0\2:"),
    (r"\s*(?:UTC|GMT)\s*([+-]\d\d):?(\d\d)$", r"\1:\2"),
    (r"\s*(?:UTC|GMT|Z)$", "Z"),
)
"""Other notations of a moment -> ISO 8601: points and slashes, no separators at all, a zone in words."""


def _in_iso(column: pa.Array) -> pa.Array:
    import pyarrow.compute as pc  # takes longer to load than most files to read; few need it

    text = pc.utf8_trim_whitespace(column)
    for pattern, replacement in _NOTATIONS:
        text = pc.replace_substring_regex(text, pattern=pattern, replacement=replacement)
    return text


def _ms_from_integers(column: pa.Array) -> Ints:
    cast = _cast(column, pa.int64())
    if cast is None:
        row = _first_failing(column, pa.int64())
        raise DataError(f"row {row + 1}: {column[row].as_py()} is not a time since 1970")
    ticks = _numbers(cast, np.int64)
    return np.select(
        [ticks < 10**11, ticks < 10**14, ticks < 10**17], [ticks * 1000, ticks, ticks // 10**3], ticks // 10**6
    )


def _ms_from_floats(ticks: Floats) -> Ints:
    if not np.all(np.isfinite(ticks) & (np.abs(ticks) < 2.0**62)):
        row = int(np.argmin(np.isfinite(ticks) & (np.abs(ticks) < 2.0**62)))
        raise DataError(f"row {row + 1}: {ticks[row]} is not a time since 1970")
    factor = np.select([ticks < 1e11, ticks < 1e14, ticks < 1e17], [1000.0, 1.0, 1e-3], 1e-6)
    return np.rint(ticks * factor).astype(np.int64)


def _refuse_odd_times(times: Ints) -> None:
    odd = (times < _EARLIEST_MS) | (times >= _LATEST_MS)
    if odd.any():
        row = int(np.argmax(odd))
        raise DataError(f"row {row + 1}: the time {times[row]} ms since 1970 is outside 1973 to 2100")


def _plain(name: str, column: pa.ChunkedArray) -> pa.Array:
    """One array of undictionaried values."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    array = column.combine_chunks()
    if isinstance(array, pa.ChunkedArray):
        raise DataError(f"column {name} holds over 2 GiB of text; store numbers as numbers")
    return array


def _numbers(array: pa.Array, kind: type[_Number]) -> npt.NDArray[_Number]:
    """The values of an array of 8-byte numbers without nulls."""
    # Arrow's own to_numpy imports pandas where there is one: a third of a second and 35 MB.
    if not len(array):
        return np.empty(0, dtype=kind)
    return np.frombuffer(array.buffers()[1], dtype=kind, count=len(array), offset=8 * array.offset)


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)


def _cast(array: pa.Array, kind: pa.DataType, *, safe: bool = True) -> pa.Array | None:
    if array.type == kind:
        return array  # a cast would import Arrow's compute functions, which takes longer than reading the file
    try:
        return array.cast(kind, safe=safe)
    except pa.ArrowException:
        return None


def _first_failing(array: pa.Array, kind: pa.DataType) -> int:
    """Index of the first value that cannot be cast, or the length when all can; a bisection over slices."""
    low, high = 0, len(array)
    while low < high:
        middle = (low + high) // 2
        if _cast(array.slice(low, middle + 1 - low), kind) is None:
            high = middle
        else:
            low = middle + 1
    return low
