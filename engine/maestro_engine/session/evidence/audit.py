"""audit owns the trail: events.jsonl, every line numbered, none lost or doubled whenever the process dies.

Lines that go with a change of state are staged, saved *with* that state, and only then written. After a crash
the saved ones that the file does not have are written; a line cut short is taken off first.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from maestro_engine.session.evidence.records import BINDING, Record
from maestro_engine.session.evidence.scrub import Scrubber
from maestro_protocol.errors import DataError

TAIL = 1 << 16
_encode = msgspec.json.Encoder().encode


class _Numbered(msgspec.Struct):
    seq: int


class Audit:
    """Appends to *path*. *told* is handed every line once it is written (a dashboard, a notifier)."""

    def __init__(self, path: Path, scrub: Scrubber, told: Callable[[bytes], None] | None = None) -> None:
        self._path, self._scrub, self._told = path, scrub, told
        self._staged: list[bytes] = []
        self.seq = _mend(path)
        """Number of the last line, staged ones included."""
        self.binding = False
        """Whether what is staged must be saved with the state first."""
        self._file = path.open("ab")

    def say(self, record: Record, ts: int) -> None:
        """Stage one line of the time *ts* (UTC milliseconds)."""
        self.seq += 1
        body = self._scrub.clean(_encode(record).decode()).encode()
        self._staged.append(b'{"seq":%d,"ts":%d,' % (self.seq, ts) + body[1:] + b"\n")
        self.binding = self.binding or isinstance(record, BINDING)

    def pending(self) -> list[str]:
        """What is staged, to be saved with the state."""
        return [line.decode() for line in self._staged]

    def flush(self) -> None:
        """Write what is staged."""
        if self._staged:
            self._append(self._staged)
            self._staged = []
            self.binding = False

    def recover(self, saved_seq: int, pending: Sequence[str]) -> None:
        """Write the saved lines that the file does not have. Raises :class:`DataError` where lines are missing."""
        missing = [line.encode() for line in pending if _number(line.encode()) > self.seq]
        if missing and _number(missing[0]) != self.seq + 1:
            raise DataError(
                f"{self._path}: line {self.seq + 1} is missing (saved state begins at {_number(missing[0])});"
                " restore the file, or move the run's folder away"
            )
        if not missing and self.seq < saved_seq:
            raise DataError(f"{self._path}: ends at line {self.seq}, saved state knows {saved_seq}; restore the file")
        self._append(missing)
        self.seq = max(self.seq, saved_seq)

    def close(self) -> None:
        """See that all told lines reach the disk. What is only staged is dropped: no state knows of it."""
        os.fsync(self._file.fileno())
        self._file.close()

    def _append(self, lines: Sequence[bytes]) -> None:
        self._file.write(b"".join(lines))
        self._file.flush()
        if self._told is not None:
            for line in lines:
                self._told(line)


def _number(line: bytes) -> int:
    return msgspec.json.decode(line, type=_Numbered).seq


def _mend(path: Path) -> int:
    """Cut off what follows the last line break; gives the last line's number, 0 for none. Raises DataError."""
    if not path.exists():
        return 0
    with path.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        start = max(0, size - TAIL)
        file.seek(start)
        tail = file.read()
        end = tail.rfind(b"\n") + 1
        if not end:
            if start:
                raise DataError(f"{path}: its last line is longer than {TAIL} bytes; it is no trail")
            file.truncate(0)
            return 0
        file.truncate(start + end)
    last = tail[:end].rstrip(b"\n").rpartition(b"\n")[2]
    try:
        return _number(last)
    except msgspec.DecodeError as error:
        raise DataError(f"{path}: its last line is damaged ({error}); restore the file") from None
