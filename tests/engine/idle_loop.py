"""idle_loop owns an event loop whose time passes only while nothing is under way: hours in no time, on any machine.

Both ends of a connection over loopback live in one such loop. However slow the machine or busy with other tests,
nobody is ever late: the next timer is due when everything that was said has been heard and answered.
"""

from __future__ import annotations

import asyncio
import selectors
from asyncio import Future
from collections.abc import Mapping
from typing import Any

from maestro_engine.feeds.clock import SuppliedClock

LONG_S = 1.0
GRACE = 0.002
"""What is on its way through a busy kernel gets this share of a long wait as real time before that is passed over."""
START_NS = 1_780_000_000 * 1_000_000_000
"""UTC when the clock begins: within a minute, and within no market's tape."""


class _Selector(selectors.DefaultSelector):
    """Instead of waiting for a timer, moves time on."""

    def __init__(self) -> None:
        super().__init__()
        self.elapsed_s = 0.0
        self.threads = 0

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None or timeout <= 0 or self.threads:
            return super().select(timeout)
        ready = super().select(min(timeout, 10.0) * GRACE if timeout > LONG_S else 0)
        if not ready:
            self.elapsed_s += timeout
        return ready


class IdleLoop(asyncio.SelectorEventLoop):
    """Time stands still while there is a callback to run, a socket to read or a thread at work."""

    def __init__(self) -> None:
        self._idle = _Selector()
        super().__init__(self._idle)

    def time(self) -> float:
        return self._idle.elapsed_s

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Future[Any]:
        def back(_: Future[Any]) -> None:
            self._idle.threads -= 1

        self._idle.threads += 1
        future = super().run_in_executor(executor, func, *args)
        future.add_done_callback(back)
        return future


def idle_clock(start_ns: int = START_NS) -> SuppliedClock:
    """The clock of the loop that runs; at its beginning it was *start_ns*."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, IdleLoop)
    return SuppliedClock(lambda: start_ns + round(loop.time() * 1e9), lambda: round(loop.time() * 1e9))


def pytest_asyncio_loop_factories() -> Mapping[str, type[IdleLoop]]:
    """For a conftest: every asynchronous test beside it runs in such a loop."""
    return {"idle": IdleLoop}
