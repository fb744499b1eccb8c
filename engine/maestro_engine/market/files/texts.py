"""texts owns CSV files of bars: plain, gzipped or zipped, with or without header, whoever wrote them."""
# pyarrow ships no types; everything that leaves this module is typed.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false

from __future__ import annotations

import csv
import gzip
import re
import zipfile
import zlib
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pyarrow as pa
import pyarrow.csv as pacsv

from maestro_engine.market.files.columns import (
    HEADERLESS,
    RawBars,
    match_columns,
    one_line,
    require_columns,
)
from maestro_engine.market.files.tables import ARROW_ERRORS, MAX_BYTES, MAX_ROWS, raw_from_arrow
from maestro_protocol.errors import DataError

_HEAD_BYTES = 65_536
_HEADER_WITHIN = 5
"""A header may stand below a few lines of a publisher's own."""
_UNPACK_ERRORS = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, csv.Error, *ARROW_ERRORS)
_WRONG_WIDTH = re.compile(r"Row #(\d+): Expected (\d+) columns, got (\d+)")
_TIME_LIKE = re.compile(r"\d{8,19}(\.\d*)?|\d{4}-\d\d-\d\d.*")


@dataclass(frozen=True, slots=True)
class _Layout:
    delimiter: str
    skip: int
    width: int
    found: dict[str, int]
    whole_times: bool


def read_csv(path: Path) -> RawBars:
    """The bar columns of a CSV file, also ``.gz`` or ``.zip`` with one CSV inside.

    Raises DataError: damaged, too large, no text, columns not there, a row too short or long, no number.
    """
    try:
        with _opened(path) as stream:
            head = stream.read(_HEAD_BYTES)
        layout = _layout(head)
        kinds = {column: pa.string() if column == "symbol" else pa.float64() for column in layout.found}
        if layout.whole_times:
            kinds["open_time"] = pa.int64()
        else:
            kinds["open_time"] = pa.string()
        table = _table(path, layout, kinds)
        if table is None:  # some cell is not of its column's kind: as text, the cell can be named
            table = _table(path, layout, dict.fromkeys(layout.found, pa.string()))
        if table is None:
            raise DataError("not UTF-8 text; export it again as UTF-8 CSV")
        return raw_from_arrow({column: table.column(column) for column in layout.found})
    except _UNPACK_ERRORS as error:
        raise DataError(f"damaged or not CSV ({one_line(error)}); fetch or export it again") from error


class _Bounded:
    """A stream that refuses to give more than MAX_BYTES: a small archive may unpack to anything."""

    def __init__(self, stream: IO[bytes] | gzip.GzipFile) -> None:
        self._stream = stream
        self._left = MAX_BYTES
        self.closed = False

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size if 0 <= size <= self._left else self._left + 1)
        self._left -= len(data)
        if self._left < 0:
            raise DataError(f"over {MAX_BYTES:,} bytes unpacked; split the file")
        return data

    def close(self) -> None:
        self.closed = True


@contextmanager
def _opened(path: Path) -> Generator[_Bounded]:
    """The text inside *path*; how it is packed is told by its first bytes, not by its name."""
    with path.open("rb") as file:
        magic = file.read(4)
        file.seek(0)
        if magic[:2] == b"\x1f\x8b":
            with gzip.open(file) as stream:
                yield _Bounded(stream)
        elif magic == b"PK\x03\x04":
            with zipfile.ZipFile(file) as archive, archive.open(_only_member(archive)) as stream:
                yield _Bounded(stream)
        else:
            yield _Bounded(file)


def _only_member(archive: zipfile.ZipFile) -> str:
    names = [n for n in archive.namelist() if n.lower().endswith(".csv") and not n.startswith("__MACOSX/")]
    if len(names) != 1:
        raise DataError(f"the archive holds {len(names)} CSV files; it must hold exactly one: unpack it")
    return names[0]


def _layout(head: bytes) -> _Layout:
    """Where the header is and which columns it has, from the first bytes."""
    if not head.strip():
        raise DataError("empty; fetch or export it again")
    if b"\x00" in head:
        raise DataError("neither Parquet nor text; give a Parquet file or a CSV file in UTF-8")
    # Split as bytes: text would also split at separators that no CSV reader takes for an end of line.
    lines = [line.decode("utf-8-sig", errors="replace") for line in head.splitlines()[: _HEADER_WITHIN + 1]]
    for row, line in enumerate(lines[:_HEADER_WITHIN]):
        delimiter, cells = _split(line)
        found = match_columns(cells)
        if "close" in found and len(found) > 1:
            require_columns(found, cells)
            if not any(line.strip() for line in lines[row + 1 :]):
                raise DataError("a header and no bars below it; fetch or export it again")
            after = _split(lines[row + 1])[1]
            return _Layout(delimiter, row + 1, len(cells), found, _whole(after, found["open_time"]))
    delimiter, cells = _split(lines[0])
    return _headerless(delimiter, cells)


def _headerless(delimiter: str, cells: list[str]) -> _Layout:
    if not _TIME_LIKE.fullmatch(cells[0]):
        require_columns({}, cells)
    if len(cells) not in (6, 11, 12):
        raise DataError(f"{len(cells)} columns without a header; the exchange's klines have 12: add a header")
    found = match_columns(HEADERLESS[: len(cells)])
    return _Layout(delimiter, 0, len(cells), found, _whole(cells, found["open_time"]))


def _split(line: str) -> tuple[str, list[str]]:
    delimiter = max(",;\t|", key=line.count)
    cells = next(csv.reader([line], delimiter=delimiter), [""])
    return delimiter, [cell.strip() for cell in cells] or [""]


def _whole(cells: list[str], index: int) -> bool:
    return index < len(cells) and cells[index].isascii() and cells[index].isdigit()


def _table(path: Path, layout: _Layout, kinds: dict[str, pa.DataType]) -> pa.Table | None:
    """The columns of *kinds*, read in blocks so that memory stays bounded; None when a cell is of another kind."""
    names = [f"unused {i}" for i in range(layout.width)]
    for column, index in layout.found.items():
        names[index] = column
    batches: list[pa.RecordBatch] = []
    rows = 0
    try:
        with _opened(path) as stream:
            reader = pacsv.open_csv(
                pa.PythonFile(stream, mode="r"),
                read_options=pacsv.ReadOptions(use_threads=False, column_names=names, skip_rows=layout.skip),
                parse_options=pacsv.ParseOptions(delimiter=layout.delimiter),
                convert_options=pacsv.ConvertOptions(
                    column_types=kinds, include_columns=list(kinds), strings_can_be_null=True
                ),
            )
            for batch in reader:
                rows += batch.num_rows
                if rows > MAX_ROWS:
                    raise DataError(f"over {MAX_ROWS:,} rows; split the file")
                batches.append(batch)
    except pa.ArrowInvalid as error:
        if width := _WRONG_WIDTH.search(str(error)):
            line, expected, there = width.groups()
            raise DataError(f"line {line}: {there} columns where {expected} are expected; mend the line") from error
        if "conversion error" in str(error):
            return None
        raise
    return pa.Table.from_batches(batches, reader.schema)
