"""clock owns the one real clock; everything else is handed it, or a test's."""

from __future__ import annotations

import time


class SystemClock:
    """Time as the machine tells it."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000  # noqa: TID251 # this is the clock that is injected

    def monotonic(self) -> float:
        return time.monotonic()
