"""watchdog owns the thread that looks at the event loop from outside: does it still turn, is there memory left?"""

from __future__ import annotations

import os
import resource
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

MEMORY_CAP = 1_500 * 1_000_000
"""Bytes of resident memory at which a session ends."""
FREEZE_S = 10.0
"""So long without a turn, and the loop is taken for frozen. No callback of a session takes a tenth of that."""
_STATM = Path("/proc/self/statm")


@dataclass(frozen=True, slots=True)
class WatchdogLimits:
    """*freeze_s* in seconds, *memory* in bytes."""

    freeze_s: float = FREEZE_S
    memory: int = MEMORY_CAP


class Watchdog:
    """Its own thread while the context is entered.

    *frozen* is called from that thread when the loop has not turned (``beat``) for ``freeze_s``: it must end the
    process, for nobody else will. *full* is called once, with the bytes, when memory is over the cap.
    """

    def __init__(
        self,
        limits: WatchdogLimits,
        *,
        monotonic: Callable[[], float],
        rss: Callable[[], int],
        frozen: Callable[[float], None],
        full: Callable[[int], None],
    ) -> None:
        self._limits, self._monotonic, self._rss = limits, monotonic, rss
        self._frozen, self._full = frozen, full
        self._beats = self._seen = 0
        self._since = self._looked = 0.0
        self._warned = False
        self._done = threading.Event()
        self._thread: threading.Thread | None = None

    def beat(self) -> None:
        """The loop turns."""
        self._beats += 1

    def look(self) -> None:
        """One look; the thread takes several a freeze time."""
        now, beats = self._monotonic(), self._beats
        away, self._looked = now - self._looked >= self._limits.freeze_s / 2, now
        if away:  # this very thread stood still: the whole process was stopped, and the loop has not had its turn
            self._since = now
        if beats != self._seen:
            self._seen, self._since = beats, now
        elif now - self._since >= self._limits.freeze_s:
            self._since = now
            self._frozen(self._limits.freeze_s)
        used = self._rss()
        if used > self._limits.memory and not self._warned:
            self._warned = True
            self._full(used)

    def __enter__(self) -> Self:
        self._since = self._looked = self._monotonic()
        self._thread = threading.Thread(target=self._run, name="session-watchdog", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        assert self._thread is not None
        self._thread.join()

    def _run(self) -> None:
        while not self._done.wait(self._limits.freeze_s / 10):
            self.look()


def rss_bytes() -> int:
    """Resident memory of this process now; the peak where the system does not tell the present."""
    try:
        return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
