"""reserve owns the room on disk that an orderly end needs: kept from the start, given up when the disk is full."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable
from pathlib import Path

from maestro_protocol.errors import StoreError

RESERVE = "reserve.bin"
Write = Callable[[Callable[[], object]], bool]
"""Does what writes; False where it could not be written and lives in memory alone."""
BYTES = 4 * 1024 * 1024
"""State twice, the last lines of the trail, metrics, summary and report of a session of weeks take less than this."""
FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class DiskReserve:
    """A file in *folder* that takes up room. *full* is called once, when the disk is full and it was given up."""

    def __init__(self, folder: Path, full: Callable[[], None], size: int = BYTES) -> None:
        self._path, self._full, self._size = folder / RESERVE, full, size
        self._given_up = False
        self.lost = False
        """Whether something could not be written even so; it lives in memory alone."""

    def hold(self) -> None:
        """Take the room. Raises :class:`StoreError` where there is not that much: such a session does not start."""
        try:
            with self._path.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, self._size)
        except OSError as error:
            self.release()
            needed = f"{self._size // 1_048_576} MB, which an orderly end needs"
            raise StoreError(f"{self._path.parent}: no room for {needed} ({error.strerror}); free some") from None

    def release(self) -> None:
        """Give the room back."""
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)

    def write(self, do: Callable[[], object]) -> bool:
        """Do what writes; where the disk is full, once more in the room that was kept. False: it was not written.

        Raises what has nothing to do with room.
        """
        try:
            do()
        except OSError as error:
            if error.errno not in FULL:
                raise
        else:
            return True
        if not self._given_up:
            self._given_up = True
            self.release()
            self._full()
        try:
            do()
        except OSError as error:
            if error.errno not in FULL:
                raise
            self.lost = True
            return False
        return True


def plainly(do: Callable[[], object]) -> bool:
    """Write without any room kept: what cannot be written is the caller's error."""
    do()
    return True
