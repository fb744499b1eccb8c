"""lock owns that one session runs in a workspace: a lock of the operating system, which no dead process holds."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import msgspec

from maestro_protocol.errors import Refused

NAME, DOOR = "session.lock", "session.door"
"""The lock itself, and what everyone holds who takes it or only looks: so no look is ever taken for a session."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Who runs, as the lock file says; only worth anything while the lock is held."""

    run: str
    pid: int


class AlreadyRunning(Refused):
    """Another session holds the workspace."""


class SessionLock:
    """Held from entering to leaving the context, or until the process dies, however it dies.

    The file stays behind and means nothing: what counts is the lock on it (POSIX flock). *brief*: for work of
    milliseconds, which a session that wants to start waits for. Raises :class:`AlreadyRunning`.
    """

    def __init__(self, folder: Path, *, brief: bool = False) -> None:
        self._path, self._brief = folder / NAME, brief
        self._file = -1
        self._way = contextlib.ExitStack()

    def __enter__(self) -> Self:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as way:
            way.enter_context(_door(self._path.parent))
            self._take()
            if self._brief:
                self._way = way.pop_all()
        return self

    def _take(self) -> None:
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._file)
            other = _read(self._path)
            who = f"session {other.run} (process {other.pid})" if other else "a session"
            raise AlreadyRunning(f"already_running: {who} holds {self._path.parent}; stop it first") from None
        self.name("starting")

    def name(self, run: str) -> None:
        """Leave word who holds it."""
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, msgspec.json.encode(Holder(run, os.getpid())), 0)

    def __exit__(self, *_: object) -> None:
        os.ftruncate(self._file, 0)
        os.close(self._file)  # which gives the lock back
        self._way.close()


def holder(folder: Path) -> Holder | None:
    """Who holds the workspace *folder* right now; None when nobody does."""
    path = folder / NAME
    if not path.exists():
        return None
    with _door(folder, looking=True):
        file = os.open(path, os.O_RDONLY)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return _read(path) or Holder("unknown", 0)
        else:
            return None
        finally:
            os.close(file)


@contextlib.contextmanager
def _door(folder: Path, *, looking: bool = False) -> Generator[None]:
    """Hold the door. Who is only *looking* needs no right to write there, and no door where nobody made one."""
    path = folder / DOOR
    if looking and not path.exists():
        yield
        return
    file = os.open(path, os.O_RDONLY if looking else os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)


def _read(path: Path) -> Holder | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Holder)
    except (OSError, msgspec.DecodeError):
        return None
