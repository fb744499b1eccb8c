"""csv_reader owns CSV files of bars: plain, gzipped or zipped, with or without header, whoever wrote them."""
# pyarrow ships no types; everything that leaves this module is typed.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false, reportAttributeAccessIssue=false

from __future__ import annotations

import csv
import gzip
import re
import zipfile
import zlib
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

import pyarrow as pa
import pyarrow.csv as pacsv

from maestro_engine.data.readers.arrow_reader import ARROW_ERRORS, MAX_BYTES, MAX_ROWS, raw_from_arrow
from maestro_engine.data.readers.column_names import (
    HEADERLESS,
    RawBars,
    ReadingNote,
    match_columns,
    one_line,
    require_columns,
)
from maestro_engine.data.readers.joined import ByteStream, WithoutHeaders
from maestro_protocol.errors import DataError

_HEAD_BYTES = 65_536
_HEADER_WITHIN = 5
"""A header may stand below a few lines of a publisher's own."""
_UNPACK_ERRORS = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, csv.Error, *ARROW_ERRORS)
_WRONG_WIDTH = re.compile(r"Row #(\d+): Expected (\d+) columns, got (\d+)")
_TIME_LIKE = re.compile(r"\d{8,19}(\.\d*)?|\d{4}[-./]\d\d[-./]\d\d.*|\d\d\.\d\d\.\d{4}.*|\d{8}[ T].*")
_TIME_OF_DAY = re.compile(r"\d{1,2}:\d\d(:\d\d(\.\d+)?)?|\d{4}|\d{6}")
_COMMA_NUMBER = re.compile(r"-?(\d+),(\d+)")
_CLOCK = "time of day"
_SYSTEM_FILE = re.compile(r"(^|/)(__MACOSX/|\.)")
"""Members of an archive that an operating system put beside the file itself, ``._a.csv`` beside ``a.csv``."""


@dataclass(frozen=True, slots=True)
class _Layout:
    delimiter: str
    skip: int
    width: int
    found: dict[str, int]
    whole_times: bool
    header: dict[str, int]
    """The columns by their names alone, as a header that comes again puts them."""
    decimal: str = "."
    clock: int | None = None
    """Index of the column with the time of day, where ``open_time`` is the date alone."""


def read_csv(path: Path) -> RawBars:
    """The bar columns of a CSV file, also ``.gz`` or ``.zip`` with one CSV inside.

    Raises DataError: damaged, too large, no text, columns not there, a row too short or long, no number.
    """
    try:
        with _opened(path) as stream:
            layout = _layout(stream.read(_HEAD_BYTES))
        text = _Text(path, layout)
        kinds = {column: pa.string() if column == "symbol" else pa.float64() for column in layout.found}
        kinds["open_time"] = pa.int64() if layout.whole_times else pa.string()
        table = text.table(kinds) or text.table(kinds, joined=True)
        if table is None:  # some cell is not of its column's kind: as text, the cell can be named
            table = text.table(dict.fromkeys(layout.found, pa.string()), joined=True, last=True)
        if table is None:
            raise DataError("not UTF-8 text; export it again as UTF-8 CSV")
        raw = raw_from_arrow(_canonical(table, layout))
        return replace(raw, notes=text.notes)
    except _UNPACK_ERRORS as error:
        raise DataError(f"damaged or not CSV ({one_line(error)}); fetch or export it again") from error


def _canonical(table: pa.Table, layout: _Layout) -> dict[str, pa.ChunkedArray]:
    """The table's columns by canonical name, dates and times of day joined, numbers with a decimal point."""
    columns = {column: table.column(column) for column in layout.found}
    if layout.clock is None and layout.decimal == ".":
        return columns
    import pyarrow.compute as pc

    if layout.clock is not None:
        columns["open_time"] = pc.binary_join_element_wise(columns["open_time"], table.column(_CLOCK), " ")
    for name, column in columns.items():
        if layout.decimal == "," and name not in ("open_time", "symbol") and pa.types.is_string(column.type):
            columns[name] = pc.replace_substring(column, ",", ".", max_replacements=1)
    return columns


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
    """The one file of bars in *archive*; what operating systems and publishers put beside it is none."""
    names = [n for n in archive.namelist() if n.lower().endswith(".csv") and not _SYSTEM_FILE.search(n)]
    if len(names) != 1:
        raise DataError(f"the archive holds {len(names)} CSV files; it must hold exactly one: unpack it")
    return names[0]


def _layout(head: bytes) -> _Layout:
    """Where the header is, which columns it has and how numbers are written, from the first bytes."""
    if not head.strip():
        raise DataError("empty; fetch or export it again")
    if b"\x00" in head:
        raise DataError("neither Parquet nor text; give a Parquet file or a CSV file in UTF-8")
    # Split as bytes: text would also split at separators that no CSV reader takes for an end of line.
    lines = [line.decode("utf-8-sig", errors="replace") for line in head.splitlines()]
    if len(head) == _HEAD_BYTES and len(lines) > _HEADER_WITHIN:
        lines.pop()  # cut off in its middle
    for row, line in enumerate(lines[:_HEADER_WITHIN]):
        delimiter, cells = _split(line)
        found = match_columns(cells)
        if "close" in found and len(found) > 1:
            require_columns(found, cells)
            if not any(line.strip() for line in lines[row + 1 :]):
                raise DataError("a header and no bars below it; fetch or export it again")
            rows = [_split(line, delimiter)[1] for line in lines[row + 1 :] if line.strip()]
            return _written(_Layout(delimiter, row + 1, len(cells), found, False, found), cells, rows)
    delimiter, cells = _split(lines[0])
    return _headerless(delimiter, cells, [_split(line, delimiter)[1] for line in lines if line.strip()])


def _headerless(delimiter: str, cells: list[str], rows: list[list[str]]) -> _Layout:
    if not _TIME_LIKE.fullmatch(cells[0]):
        require_columns({}, cells)
    names: tuple[str, ...] = HEADERLESS
    if len(cells) == 7 and _TIME_OF_DAY.fullmatch(cells[1]):
        names = ("date", "time", *HEADERLESS[1:6])
    elif len(cells) not in (6, 11, 12):
        raise DataError(f"{len(cells)} columns without a header; the exchange's klines have 12: add a header")
    found = match_columns(names[: len(cells)])
    return _written(_Layout(delimiter, 0, len(cells), found, False, found), names, rows)


def _written(layout: _Layout, names: Sequence[str], rows: list[list[str]]) -> _Layout:
    """*layout* with how times and numbers are written in the file's first *rows*."""
    plain = [re.sub(r"[^a-z]", "", name.lower()) for name in names]
    found, clock, first = dict(layout.found), None, rows[0]
    if found["open_time"] in (place := [plain.index(name) for name in ("date", "time") if name in plain]):
        date, clock = place if len(place) == 2 else (place[0], None)
        if clock is not None and max(date, clock) < len(first) and _TIME_OF_DAY.fullmatch(first[clock]):
            found["open_time"] = date
        else:
            clock = None
    at = found["open_time"]
    whole = clock is None and at < len(first) and first[at].isascii() and first[at].isdigit()
    whole = whole and not re.fullmatch(r"(19|20)\d{6}", first[at])
    numbers = [place for name, place in found.items() if name not in ("open_time", "symbol")]
    cells = (row[place] for row in rows for place in numbers if place < len(row))
    return replace(layout, found=found, clock=clock, whole_times=whole, decimal=_decimal(cells))


def _decimal(cells: Iterable[str]) -> str:
    """The decimal mark of *cells*. Raises DataError where a comma may be one or may group thousands."""
    commas = [match for cell in cells if (match := _COMMA_NUMBER.fullmatch(cell))]
    if not commas:
        return "."
    if all(len(match[2]) == 3 and 1 <= len(match[1]) <= 3 and match[1] != "0" for match in commas):
        raise DataError(
            f"{commas[0][0]!r}: whether that is a decimal comma or groups thousands cannot be known; "
            "export it again with a decimal point"
        )
    return ","


def _split(line: str, delimiter: str | None = None) -> tuple[str, list[str]]:
    # Of as many semicolons as commas the semicolons divide: the commas are decimal ones.
    delimiter = delimiter or max(";\t|,", key=line.count)
    cells = next(csv.reader([line], delimiter=delimiter), [""])
    return delimiter, [cell.strip() for cell in cells] or [""]


class _Text:
    """A CSV file of a known layout, read as a table; ``notes`` says what was special about it."""

    def __init__(self, path: Path, layout: _Layout) -> None:
        self._path = path
        self._layout = layout
        decimal = ReadingNote("decimal_comma", repaired=False, text="numbers have a decimal comma: read so", count=1)
        self.notes: tuple[ReadingNote, ...] = (decimal,) if layout.decimal == "," else ()

    def table(self, kinds: Mapping[str, pa.DataType], *, joined: bool = False, last: bool = False) -> pa.Table | None:
        """The columns of *kinds*, read in blocks so that memory stays bounded.

        *joined*: headers that stand between the rows are left out. None when a cell is of another kind, or a row of
        another width; *last*: the latter raises DataError instead.
        """
        layout = self._layout
        names = [f"unused {i}" for i in range(layout.width)]
        for column, index in layout.found.items():
            names[index] = column
        if layout.clock is not None:
            names[layout.clock] = _CLOCK
            kinds = {**kinds, _CLOCK: pa.string()}
        left_out = 0
        try:
            with _opened(self._path) as stream:
                if not joined:
                    return self._read(stream, names, kinds, layout.skip)
                rest = WithoutHeaders(stream, layout.delimiter, layout.header, layout.skip)
                try:
                    table = self._read(rest, names, kinds, 0)
                finally:
                    left_out = layout.skip + rest.count
                if rest.count:
                    text = "the header again, as in files joined from several: left out"
                    note = ReadingNote("header_again", True, text, rest.count, tuple(rest.rows))
                    self.notes = (*(n for n in self.notes if n.kind != note.kind), note)
                return table
        except pa.ArrowInvalid as error:
            width = _WRONG_WIDTH.search(str(error))
            if width is not None and last:
                line, expected, there = width.groups()
                raise DataError(
                    f"line {int(line) + left_out}: {there} columns where {expected} are expected; mend the line"
                ) from error
            if width is not None or "conversion error" in str(error):
                return None
            raise

    def _read(self, stream: ByteStream, names: list[str], kinds: Mapping[str, pa.DataType], skip: int) -> pa.Table:
        reader = pacsv.open_csv(
            pa.PythonFile(stream, mode="r"),
            read_options=pacsv.ReadOptions(use_threads=False, column_names=names, skip_rows=skip),
            parse_options=pacsv.ParseOptions(delimiter=self._layout.delimiter),
            convert_options=pacsv.ConvertOptions(
                column_types=kinds,
                include_columns=list(kinds),
                strings_can_be_null=True,
                decimal_point=self._layout.decimal,
            ),
        )
        batches: list[pa.RecordBatch] = []
        rows = 0
        for batch in reader:
            rows += batch.num_rows
            if rows > MAX_ROWS:
                raise DataError(f"over {MAX_ROWS:,} rows; split the file")
            batches.append(batch)
        return pa.Table.from_batches(batches, reader.schema)
