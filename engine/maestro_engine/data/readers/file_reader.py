"""file_reader owns the way from a path to a file's columns: what kind of file it is, told by its first bytes."""

from __future__ import annotations

from pathlib import Path

from maestro_engine.data.readers.arrow_reader import MAX_BYTES, read_parquet
from maestro_engine.data.readers.column_names import RawBars, one_line
from maestro_engine.data.readers.csv_reader import read_csv
from maestro_protocol.errors import DataError


def read_columns(path: Path) -> RawBars:
    """The bar columns of a Parquet or CSV file, unjudged. Raises DataError without the file's name."""
    try:
        if path.is_dir():
            raise DataError("is a folder; give a Parquet or CSV file")
        if not path.exists():
            raise DataError("no such file; check the path")
        if not path.is_file():
            raise DataError("not a regular file; give a Parquet or CSV file")
        size = path.stat().st_size
        if size == 0:
            raise DataError("empty; fetch or export it again")
        if size > MAX_BYTES:
            raise DataError(f"{size:,} bytes; at most {MAX_BYTES:,} are read: split the file")
        with path.open("rb") as file:
            magic = file.read(4)
    except (OSError, ValueError) as error:
        raise DataError(f"cannot be opened ({one_line(error)})") from error
    if magic == b"PAR1":
        return read_parquet(path)
    if path.suffix.lower() in (".parquet", ".pq"):
        raise DataError("not Parquet, whatever its name says; fetch or export it again")
    return read_csv(path)
