"""audit owns the trail: events.jsonl, every line numbered, none lost or doubled whenever the process dies.

Lines that go with a change of state are staged, saved *with* that state, and only then written. After a crash
the saved ones that the file does not have are written; a line cut short is taken off first. Where a simulation or
recording goes back to its saved state, what was told after it is taken off too, for it is lived, and told, again.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from maestro_engine.session.evidence.records import BINDING, Record
from maestro_engine.session.evidence.scrub import Scrubber
from maestro_engine.session.safety.reserve import Write, plainly
from maestro_engine.trading.venue.money import json_of
from maestro_protocol.errors import DataError

TAIL = 1 << 16


class _Numbered(msgspec.Struct):
    seq: int
    ts: int = 0


class Audit:
    """Appends to *path*. *told* is handed every line once it is written (a dashboard, a notifier).

    *write* does what writes, where the disk is full in room that was kept; what cannot be written stays staged.
    """

    def __init__(
        self, path: Path, scrub: Scrubber, told: Callable[[bytes], None] | None = None, write: Write = plainly
    ) -> None:
        self._path, self._scrub, self._told, self._write = path, scrub, told, write
        self._staged: list[bytes] = []
        last = _mend(path)
        self.seq = last.seq
        """Number of the last line, staged ones included."""
        self._ts = last.ts
        self.binding = False
        """Whether what is staged must be saved with the state first."""
        self._file = path.open("ab", buffering=0)  # a line that does not fit is not kept back to be written later

    def say(self, record: Record, ts: int) -> None:
        """Stage one line of the time *ts* (UTC milliseconds), or of the last line's where that is later."""
        self.seq += 1
        self._ts = ts = max(ts, self._ts)
        body = self._scrub.clean(json_of(record).decode()).encode()
        self._staged.append(b'{"seq":%d,"ts":%d,' % (self.seq, ts) + body[1:] + b"\n")
        self.binding = self.binding or isinstance(record, BINDING)

    def pending(self) -> list[str]:
        """What is staged, to be saved with the state."""
        return [line.decode() for line in self._staged]

    def flush(self) -> None:
        """Write what is staged."""
        if self._staged and self._write(lambda: self._append(self._staged)):
            told, self._staged, self.binding = self._staged, [], False
            self._tell(told)

    def recover(self, saved_seq: int, pending: Sequence[str], *, again: bool = False) -> int:
        """Write the saved lines that the file does not have; gives how many told lines are lost (0 but for damage).

        The state is what counts, so a torn trail does not keep a session from its position; its numbers show it.
        *again*: what was told after the state was saved will be told again, so it is taken off.
        """
        if again and self.seq > saved_seq:
            self._take_off(self.seq - saved_seq)
        saved = [line.encode() for line in pending]
        first = _numbered(saved[0]).seq if saved else saved_seq + 1
        lost = max(0, first - 1 - self.seq)
        missing = [line for line in saved if _numbered(line).seq > self.seq]
        self._append(missing)
        self._tell(missing)
        self._ts = max([self._ts, *(_numbered(line).ts for line in missing)])
        self.seq = max(self.seq, saved_seq)
        return lost

    def _take_off(self, count: int) -> None:
        """The last *count* lines: a few seconds' worth, as often as a state is saved."""
        kept = self._path.read_bytes().splitlines(keepends=True)[:-count]
        os.truncate(self._path, sum(map(len, kept)))
        last = _numbered(kept[-1]) if kept else _Numbered(0)
        self.seq, self._ts = last.seq, last.ts

    def sync(self) -> None:
        """See that all told lines reach the disk, so that no power cut takes lines which a saved state knows."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """What is only staged is dropped: no state knows of it."""
        self.sync()
        self._file.close()

    def _append(self, lines: Sequence[bytes]) -> None:
        """All of *lines* or, where the disk is full, none of them."""
        left = memoryview(b"".join(lines))
        before = os.fstat(self._file.fileno()).st_size
        try:
            while left:
                left = left[self._file.write(left) or 0 :]
        except OSError:
            os.ftruncate(self._file.fileno(), before)
            raise

    def _tell(self, lines: Sequence[bytes]) -> None:
        if self._told is not None:
            for line in lines:
                self._told(line)


def _numbered(line: bytes) -> _Numbered:
    return msgspec.json.decode(line, type=_Numbered)


def _mend(path: Path) -> _Numbered:
    """Cut off what follows the last line break; gives the last line's number, 0 for none. Raises DataError."""
    if not path.exists():
        return _Numbered(0)
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
            return _Numbered(0)
        file.truncate(start + end)
    last = tail[:end].rstrip(b"\n").rpartition(b"\n")[2]
    try:
        return _numbered(last)
    except msgspec.DecodeError as error:
        raise DataError(f"{path}: its last line is damaged ({error}); restore the file") from None
