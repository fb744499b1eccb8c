"""process owns what is set once for a whole process: streams, looks for cycles, memory given back,
threads of libraries.
"""

from __future__ import annotations

import ctypes
import gc
import os
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
_LARGE = 32 << 20  # the most that is allowed


def spare() -> None:
    """Spare time and memory from here on."""
    # A command makes many small frozen objects and hardly a cycle: looking for some takes a fifth of its time.
    gc.set_threshold(500_000, 50, 50)
    # A campaign's own threads share its work. A product of matrices that several more share takes twice the
    # processor's time, and its last digits depend on how many they are. numpy reads this when it is loaded: later.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # noqa: TID251 - said, not read
    # Each thread's own arena keeps what the thread gave back, 20 MB of a campaign, or returns it to the system, whose
    # fresh pages cost a batch on two threads a fifth of its time; and the threads hardly wait for the one they share.
    # What is given back is kept for what is asked for next: fresh pages cost a batch as much as its backtests do, and
    # a test of a million bars half as much again.
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # glibc's alone
    if mallopt is not None:
        mallopt(_ARENA_MAX, 1)
        mallopt(_MMAP_THRESHOLD, _LARGE)
        mallopt(_TRIM_THRESHOLD, 16 * _LARGE)


def open_streams() -> None:
    """Where standard output or error is closed, as some schedulers start programs: let what is said go nowhere."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w", encoding="utf-8"))


def leave() -> None:
    """End without the interpreter's last look for cycles at objects that all go away: it takes half a second."""
    gc.freeze()
