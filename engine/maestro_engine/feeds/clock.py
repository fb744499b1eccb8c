"""clock owns the clocks feeds run on: one made of supplied functions, a virtual one, and receive stamps."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable

from maestro_engine.feeds.port import Clock


class SuppliedClock:
    """A clock made of two functions, both in nanoseconds; ``speed`` makes all of time run faster.

    The wiring gives it the machine's clocks. With a speed of 60 a minute passes in a second, sleeping included.
    """

    def __init__(self, wall_ns: Callable[[], int], monotonic_ns: Callable[[], int], speed: float = 1.0) -> None:
        self._wall, self._monotonic, self._speed = wall_ns, monotonic_ns, speed
        self._wall0, self._monotonic0 = wall_ns(), monotonic_ns()

    def now_ms(self) -> int:
        return round(self._wall0 + (self._wall() - self._wall0) * self._speed) // 1_000_000

    def monotonic_ns(self) -> int:
        return round((self._monotonic() - self._monotonic0) * self._speed)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(seconds, 0.0) / self._speed)


class VirtualClock:
    """Time that passes only when somebody sleeps: the earliest sleeper is woken, in order, at once."""

    def __init__(self, start_ms: int = 0) -> None:
        self._start_ns = start_ms * 1_000_000
        self._elapsed_ns = 0
        self._sleepers: list[tuple[int, int, asyncio.Future[None]]] = []
        self._count = 0

    def now_ms(self) -> int:
        return (self._start_ns + self._elapsed_ns) // 1_000_000

    def monotonic_ns(self) -> int:
        return self._elapsed_ns

    def advance_to(self, wall_ns: int) -> None:
        """Move on to *wall_ns* (UTC nanoseconds) unless it is past already."""
        self._elapsed_ns = max(self._elapsed_ns, wall_ns - self._start_ns)

    async def sleep(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        self._count += 1
        heapq.heappush(self._sleepers, (self._elapsed_ns + max(round(seconds * 1e9), 0), self._count, future))
        loop.call_soon(self._wake)
        await future

    def _wake(self) -> None:
        while self._sleepers:
            due, _, future = heapq.heappop(self._sleepers)
            if not future.done():
                self._elapsed_ns = max(self._elapsed_ns, due)
                future.set_result(None)
                return


class ReceiveStamps:
    """Receive times in UTC nanoseconds that no jump of the wall clock can disturb.

    The wall clock is read once; from then on the monotonic clock counts.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._base = clock.now_ms() * 1_000_000 - clock.monotonic_ns()

    def now_ns(self) -> int:
        return self._base + self._clock.monotonic_ns()
