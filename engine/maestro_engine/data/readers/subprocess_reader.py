"""subprocess_reader owns the reading of a file in a process of its own.

What a reader of others' formats takes goes with that process: Arrow's libraries and pools are 60 MB, a fifth of what
a whole campaign needs. And so does what a damaged file may do to it: a crash in there is an error here.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import asdict
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO

import numpy as np

from maestro_engine.data.bars import Floats, Ints
from maestro_engine.data.readers.column_names import ALIASES, RawBars, ReadingNote, one_line
from maestro_protocol.errors import DataError

_TIME = "open_time"


def read_in_subprocess(path: Path) -> RawBars:
    """What :func:`~maestro_engine.data.readers.file_reader.read_columns` gives, read by another process.

    Raises DataError as that does, and when the reader comes to a bad end.
    """
    if "\0" in str(path):
        raise DataError("no such file; check the path")  # no argument of a program can hold such a name
    command = [sys.executable, "-P", "-m", __name__, str(path)]  # -P: never modules of the current folder
    with (
        tempfile.TemporaryFile() as complaints,
        subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=complaints,
            process_group=0,  # Ctrl-C is for whoever reads the columns: of the file it says nothing
        ) as reader,
    ):
        assert reader.stdout is not None
        with open(reader.stdout.fileno(), "rb", closefd=False) as stream:
            raw, said = _received(stream)
        code = reader.wait()
        if raw is not None and code == 0:
            return raw
        if said is None:
            complaints.seek(0)
            said = _bad_end(code, complaints.read().decode(errors="replace"))
    raise DataError(said)


def _bad_end(code: int, complaints: str) -> str:
    if code < 0:
        return f"its reader was ended by signal {-code}: damaged, or too large for this machine; fetch it again"
    last = complaints.strip().rpartition("\n")[2] or f"exit code {code}"
    return f"its reader failed ({one_line(last)})"


def _received(stream: BufferedReader) -> tuple[RawBars | None, str | None]:
    """The columns that *stream* carries, or the reader's reason why there are none; neither when it broke off."""
    line = stream.readline()
    if not line.endswith(b"\n"):
        return None, None
    head = json.loads(line)
    if "error" in head:
        return None, str(head["error"])
    rows, columns = int(head["rows"]), list(head["columns"])
    times: Ints = np.empty(rows, np.int64)
    numbers: dict[str, Floats] = {name: np.empty(rows) for name in columns if name != _TIME}
    for name in columns:
        into = (times if name == _TIME else numbers[name]).data.cast("B")
        got = 0
        while got < len(into):
            count = stream.readinto(into[got:])
            if not count:
                return None, None
            got += count
    notes = tuple(
        ReadingNote(note["kind"], note["repaired"], note["text"], note["count"], tuple(note["rows"]))
        for note in head["notes"]
    )
    raw = RawBars.of(times, numbers, symbol=head["symbol"], local_times=head["local_times"], notes=notes)
    return raw, None


def _send(raw: RawBars, stream: BinaryIO) -> None:
    there = [name for name in ALIASES if name != "symbol" and getattr(raw, name) is not None]
    head = {
        "rows": len(raw),
        "columns": there,
        "symbol": raw.symbol,
        "local_times": raw.local_times,
        "notes": [asdict(note) for note in raw.notes],
    }
    stream.write(json.dumps(head).encode() + b"\n")
    for name in there:
        stream.write(np.ascontiguousarray(getattr(raw, name)).data.cast("B"))
    stream.flush()


def _main() -> None:
    from maestro_engine.data.readers.file_reader import read_columns

    try:
        raw = read_columns(Path(sys.argv[1]))
    except DataError as error:
        sys.stdout.buffer.write(json.dumps({"error": str(error)}).encode() + b"\n")
        return
    _send(raw, sys.stdout.buffer)


if __name__ == "__main__":
    _main()
