"""loading owns the door from a bar file to checked bars: kind of file, symbol, checks, one clear error."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

from maestro_engine.data.bars import UNKNOWN_SYMBOL, Bars
from maestro_engine.data.checks import examine
from maestro_engine.data.findings import STRICT, CheckPolicy, DataReport
from maestro_engine.data.readers.column_names import QUOTES, RawBars, one_line
from maestro_engine.data.readers.subprocess_reader import read_in_subprocess
from maestro_protocol.errors import DataError

_QUOTES = "|".join(QUOTES).upper()
_PAIR = re.compile(rf"[A-Z0-9]{{2,14}}(?:{_QUOTES})")
_SYMBOL = r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}"


def load_bars(
    path: Path, *, symbol: str | None = None, policy: CheckPolicy | None = None, apart: bool = False
) -> tuple[Bars, DataReport]:
    """Bars of a Parquet or CSV file, checked and repaired as *policy* allows, and what was found in it.

    *symbol* None: taken from the file's own column of it, else from its name. *apart*: another process reads the
    file, which keeps Arrow and its crashes out of this one.
    Raises DataError: one line with file, place, reason, what to do.
    """
    bars, report = _examined(path, symbol, policy or CheckPolicy(), apart)
    if bars is None:
        raise DataError(f"{one_line(path)}: {report.fatal[0].line}")
    return bars, report


def check_file(
    path: Path, *, symbol: str | None = None, policy: CheckPolicy | None = None, apart: bool = False
) -> DataReport:
    """All that is found in a bar file, fatal or not. Raises DataError when it cannot be read as bars at all."""
    return _examined(path, symbol, policy or CheckPolicy(), apart)[1]


def read_bars(path: Path, symbol: str | None = None) -> Bars:
    """Bars of a file that must need no repair. Raises DataError as ``load_bars``, and for whatever it would mend."""
    return load_bars(path, symbol=symbol, policy=STRICT)[0]


def symbol_of(name: str) -> str:
    """The pair a file's name speaks of (``BTCUSDT-5m-2025-01.csv``, ``BTC_USDT-5m.csv``), else ``UNKNOWN``."""
    parts = re.findall(r"[A-Z0-9]+", name.upper().split(".", maxsplit=1)[0])
    joined = [f"{base}{quote}" for base, quote in pairwise(parts) if re.fullmatch(_QUOTES, quote)]
    return next((part for part in (*parts, *joined) if _PAIR.fullmatch(part)), UNKNOWN_SYMBOL)


def _examined(path: Path, symbol: str | None, policy: CheckPolicy, apart: bool) -> tuple[Bars | None, DataReport]:
    name = one_line(path.name)
    if symbol is not None and not re.fullmatch(_SYMBOL, symbol):
        raise DataError(f"symbol {one_line(symbol, 40)!r}: up to 32 letters, digits, '.', '_' and '-' are allowed")
    try:
        raw = _columns(path, apart)
    except DataError as error:
        raise DataError(f"{one_line(path)}: {error}") from error
    said = symbol or (raw.symbol or "").replace("/", "")
    known = said.upper() if re.fullmatch(_SYMBOL, said) else symbol_of(name)
    return examine(raw, symbol=known, source=name, policy=policy)


def _columns(path: Path, apart: bool) -> RawBars:
    if apart:
        return read_in_subprocess(path)
    from maestro_engine.data.readers.file_reader import read_columns  # brings Arrow, which a reader apart keeps out

    return read_columns(path)
