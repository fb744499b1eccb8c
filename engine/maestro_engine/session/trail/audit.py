"""audit owns the writing of a trail: every line numbered, none lost or doubled whenever the process dies.

Lines that go with a change of state are staged, saved *with* that state, and only then written. After a crash
the saved ones that the file does not have are written; a line cut short is taken off first. Where a simulation or
recording goes back to its saved state, what was told after it is taken off too, for it is lived, and told, again.

A part that is large enough is sealed right after a saved state that knows all of it (:mod:`sealing`), so nothing of a
sealed part is ever taken off.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from maestro_engine.session.safety.reserve import FULL, Write, plainly
from maestro_engine.session.trail import sealing
from maestro_engine.session.trail.parts import sealed_parts
from maestro_engine.session.trail.records import BINDING, Record, TrailThinned
from maestro_engine.session.trail.retention import RetentionPolicy
from maestro_engine.session.trail.scrub import Scrubber
from maestro_engine.trading.venue.money import json_of
from maestro_protocol.errors import DataError

TAIL = 1 << 16
Beside = Callable[[Callable[[], None]], Callable[[], object]]


def at_once(work: Callable[[], None]) -> Callable[[], object]:
    """Do *work* now: nobody has to wait for it."""
    work()
    return lambda: None


def in_thread(work: Callable[[], None]) -> Callable[[], object]:
    """Do *work* in a thread of its own; what is given waits for its end."""
    thread = threading.Thread(target=work, name="session-trail", daemon=True)
    thread.start()
    return thread.join


class _Numbered(msgspec.Struct):
    seq: int
    ts: int = 0


class Audit:
    """Appends to *path*. *told* is handed every line once it is written (a dashboard, a notifier).

    *write* does what writes, where the disk is full in room that was kept; what cannot be written stays staged.
    Without a *retention* policy all goes into one file. *beside* has the work on sealed parts done beside the
    writing; what it gives waits for that. Raises :class:`DataError` where the file is damaged.
    """

    def __init__(
        self,
        path: Path,
        scrub: Scrubber,
        told: Callable[[bytes], None] | None = None,
        write: Write = plainly,
        retention: RetentionPolicy | None = None,
        beside: Beside = at_once,
    ) -> None:
        self._path, self._scrub, self._told, self._write = path, scrub, told, write
        self._retention, self._beside = retention, beside
        self._wait: Callable[[], object] = at_once(lambda: None)
        self._due: list[TrailThinned] = []
        """What the policy has thinned by now, to be told at the head of the next part."""
        self._staged: list[bytes] = []
        last = _mend(path)
        self.seq = last.seq
        """Number of the last line, staged ones included."""
        self._ts = last.ts
        self.binding = False
        """Whether what is staged must be saved with the state first."""
        self._file = path.open("ab", buffering=0)  # a line that does not fit is not kept back to be written later
        self._size = os.fstat(self._file.fileno()).st_size
        self._seal_at = retention.part_bytes if retention is not None else None
        try:
            self._seal_what_is_sealed()
            sealing.tidy(path)
        except BaseException:
            self._file.close()
            raise

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

    @property
    def full(self) -> bool:
        """Whether this part is to be sealed, once a state is saved that knows all of it."""
        return self._seal_at is not None and self._size >= self._seal_at

    def rotate(self) -> bool:
        """Seal this part, and stage what the next one begins with; to be saved, flushed and then :meth:`tidy`-ed.

        Every line of it must have been saved and flushed. False where the disk has no room: it goes on in this part.
        """
        assert self._retention is not None, "without a policy no part is full"
        if self._staged:  # on a full disk, whose session ends
            return False
        self._wait()
        try:
            number = sealing.set_aside(self._path, self._file.fileno())
            file = self._path.open("ab", buffering=0)
        except OSError as error:
            if error.errno not in FULL:
                raise
            sealing.take_back(self._path)
            self._seal_at = self._size + self._retention.part_bytes // 8
            return False
        self._file.close()
        self._file, self._size, self._seal_at = file, 0, self._retention.part_bytes
        seal = sealing.seal_of(self._path, number)
        self.say(seal, seal.last_ms)
        for thinning in self._due:
            self.say(thinning, seal.last_ms)
        self._due = []
        return True

    def tidy(self) -> None:
        """Compress what was sealed, and drop what was told to be dropped; what the disk has no room for waits.

        It takes as long as a heartbeat on a busy machine, so it is done beside the writing.
        """
        policy, now_ms = self._retention, self._ts
        assert policy is not None, "without a policy nothing is sealed"

        def work() -> None:
            sealing.tidy(self._path)
            self._due = sealing.due(self._path, policy, now_ms)

        self._wait = self._beside(work)

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
        lines = self._path.read_bytes().splitlines(keepends=True)
        if count > len(lines):
            raise DataError(f"{self._path}: a part was sealed after the saved state that is left; restore state.json")
        kept = lines[:-count]
        self._size = sum(map(len, kept))
        os.truncate(self._path, self._size)
        last = _numbered(kept[-1]) if kept else _Numbered(0)
        self.seq, self._ts = last.seq, last.ts
        self._seal_what_is_sealed()

    def _seal_what_is_sealed(self) -> None:
        """Begin this part with the seal of the one before it, where whoever set that aside died before."""
        if self._size:
            return
        number = max(sealed_parts(self._path), default=0)
        if number:
            seal = sealing.seal_of(self._path, number)
            self.seq, self._ts = seal.last_seq, seal.last_ms
            self.say(seal, seal.last_ms)
            self._append(self._staged)
            told, self._staged, self.binding = self._staged, [], False
            self._tell(told)

    def sync(self) -> None:
        """See that all told lines reach the disk, so that no power cut takes lines which a saved state knows."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """What is only staged is dropped: no state knows of it."""
        self._wait()
        self.sync()
        self._file.close()

    def _append(self, lines: Sequence[bytes]) -> None:
        """All of *lines* or, where the disk is full, none of them."""
        left = memoryview(b"".join(lines))
        before = os.fstat(self._file.fileno()).st_size
        after = before + len(left)
        try:
            while left:
                left = left[self._file.write(left) or 0 :]
        except OSError:
            os.ftruncate(self._file.fileno(), before)
            raise
        self._size = after

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
