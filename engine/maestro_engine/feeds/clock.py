"""clock owns the clocks feeds run on: one made of supplied functions, a virtual one, and receive stamps."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable

from maestro_engine.feeds.port import FeedClock


class SuppliedClock:
    """A clock made of two functions, both in nanoseconds; ``speed`` makes all of time run faster.

    The wiring gives it the machine's clocks. With a speed of 60 a minute passes in a second, sleeping included.
    """

    def __init__(self, wall_ns: Callable[[], int], monotonic_ns: Callable[[], int], speed: float = 1.0) -> None:
        self._wall, self._monotonic, self._speed = wall_ns, monotonic_ns, speed
        self.began_ns, self._monotonic0 = wall_ns(), monotonic_ns()
        """UTC nanoseconds when ``monotonic_ns`` was 0."""

    def now_ms(self) -> int:
        return round(self.began_ns + (self._wall() - self.began_ns) * self._speed) // 1_000_000

    def monotonic_ns(self) -> int:
        return round((self._monotonic() - self._monotonic0) * self._speed)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(seconds, 0.0) / self._speed)


SETTLE = 4
"""Turns of the event loop that whoever was woken gets before virtual time moves on."""
STRIDES = 8


class VirtualClock:
    """Time that passes only when everybody sleeps: then the earliest sleepers are woken, at once and in order."""

    def __init__(self, start_ms: int = 0) -> None:
        self._start_ns = start_ms * 1_000_000
        self._elapsed_ns = 0
        self._sleepers: list[tuple[int, int, asyncio.Future[None]]] = []
        self._count = 0
        self._moving = False
        self._turns = SETTLE
        self._strides = 0
        self._alone = False
        """Whether one sleeper alone was woken last: all others have slept since they were."""

    def now_ms(self) -> int:
        return (self._start_ns + self._elapsed_ns) // 1_000_000

    def monotonic_ns(self) -> int:
        return self._elapsed_ns

    def advance_to(self, wall_ns: int) -> None:
        """Move on to *wall_ns* (UTC nanoseconds) unless it is past already."""
        self._elapsed_ns = max(self._elapsed_ns, wall_ns - self._start_ns)

    async def stride(self, ahead_ns: int) -> None:
        """As :meth:`sleep`, for who makes what the others wait for; without one where nobody is to be woken before.

        Whoever waits for something else than this clock gets his turn after ``STRIDES`` of these at the latest.
        """
        until_ns = self._elapsed_ns + ahead_ns
        if not self._alone or (self._sleepers and self._sleepers[0][0] <= until_ns):
            await self.sleep(ahead_ns / 1e9)
            return
        self._elapsed_ns = until_ns
        self._turns = SETTLE  # who strides is at work: the next sleeper waits as if he had slept
        self._strides += 1
        if self._strides % STRIDES == 0:
            await asyncio.sleep(0)

    async def sleep(self, seconds: float) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._count += 1
        heapq.heappush(self._sleepers, (self._elapsed_ns + max(round(seconds * 1e9), 0), self._count, future))
        if not self._moving:
            self._moving = True
            self._turns = SETTLE
            self._settle()
        await future

    def _settle(self) -> None:
        if self._turns:
            self._turns -= 1
            asyncio.get_running_loop().call_soon(self._settle)
        else:
            self._wake()

    def _wake(self) -> None:
        while self._sleepers and self._sleepers[0][2].done():  # cancelled meanwhile
            heapq.heappop(self._sleepers)
        if not self._sleepers:
            self._moving = False
            return
        due = self._sleepers[0][0]
        self._elapsed_ns = max(self._elapsed_ns, due)
        woken = 0
        while self._sleepers and self._sleepers[0][0] == due:
            future = heapq.heappop(self._sleepers)[2]
            if not future.done():
                future.set_result(None)
                woken += 1
        self._alone = woken == 1
        self._turns = SETTLE
        self._settle()


async def stride(clock: FeedClock, ahead_ns: int) -> None:
    """Wait on *clock* for the moment of the next event; see :meth:`VirtualClock.stride`."""
    if isinstance(clock, VirtualClock):
        await clock.stride(ahead_ns)
    else:
        await clock.sleep(ahead_ns / 1e9)


AWAY_S = 3.0
"""Who comes back from sleeping later than asked by more than this was not late but away: stopped, or suspended."""


class PauseDetector:
    """Sleeps for one who looks again and again, and notices when this process was away, from its beginning on.

    What the world sent meanwhile lies in the sockets: whoever judges by silence takes that time off first.
    """

    def __init__(self, clock: FeedClock) -> None:
        self._clock = clock
        self._looked_ns = clock.monotonic_ns()

    async def sleep(self, seconds: float) -> int:
        """Sleep; gives the nanoseconds that were lost since the last look, 0 where this process was not away."""
        await self._clock.sleep(seconds)
        now_ns = self._clock.monotonic_ns()
        over_ns, self._looked_ns = now_ns - self._looked_ns - round(seconds * 1e9), now_ns
        return over_ns if over_ns > AWAY_S * 1e9 else 0


class ReceiveStamps:
    """Receive times in UTC nanoseconds that no jump of the wall clock can disturb.

    The wall clock is read once; from then on the monotonic clock counts. All stamps of one :class:`SuppliedClock`
    can be compared: milliseconds are too coarse to find out twice when it began.
    """

    def __init__(self, clock: FeedClock) -> None:
        self._clock = clock
        known = isinstance(clock, SuppliedClock)
        self._base = clock.began_ns if known else clock.now_ms() * 1_000_000 - clock.monotonic_ns()

    def now_ns(self) -> int:
        return self._base + self._clock.monotonic_ns()
