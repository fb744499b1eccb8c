"""connection owns one WebSocket connection that is kept up: connecting, pinging, watching, reconnecting."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from maestro_engine.feeds.clock import PauseDetector, ReceiveStamps
from maestro_engine.feeds.live.backoff import Backoff, ReconnectPolicy
from maestro_engine.feeds.live.watchdog import StreamWatchdog, Verdict, WatchLimits
from maestro_engine.feeds.port import FeedClock, State, Witness
from maestro_protocol.errors import ConfigError

PONG = "#pong"
"""What ``on_frame`` gives back for an exchange's own answer to a text ping."""
LARGEST_FRAME = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class LineSpec:
    """Where to connect, what to say first, and the streams that are expected to speak."""

    url: str
    streams: tuple[str, ...]
    hello: tuple[str, ...] = ()
    text_ping: Callable[[int], str] | None = None
    """Makes the exchange's own ping from UTC milliseconds; None pings as the WebSocket protocol does."""

    def __post_init__(self) -> None:
        if not self.url.startswith(("ws://", "wss://")):
            raise ConfigError(f"feed address {self.url!r} is no WebSocket address; it starts with ws:// or wss://")


@dataclass(frozen=True, slots=True)
class LineOwner:
    """What a line asks of the feed that owns it."""

    on_frame: Callable[[bytes, int], str]
    """Takes a frame and its receive time; gives the stream that spoke, or nothing when it was garbage."""
    on_status: Callable[[State, str, str], None]
    """Takes a state, a line of detail and a stream (empty: the whole connection)."""
    room: Callable[[], Awaitable[None]]
    """Returns when the consumer has room; meanwhile the socket is not read and TCP holds the exchange back."""
    moved: Callable[[str], Awaitable[bool | None]]
    """REST's testimony about a silent stream, see :mod:`watchdog`."""


@dataclass(slots=True)
class StreamConnection:
    """Keeps one connection up until patience runs out; ``run`` returns only then."""

    spec: LineSpec
    owner: LineOwner
    clock: FeedClock
    stamps: ReceiveStamps
    rng: np.random.Generator
    policy: ReconnectPolicy = field(default_factory=ReconnectPolicy)
    limits: WatchLimits = field(default_factory=WatchLimits)
    proxy: str | None = None
    _dog: StreamWatchdog | None = None

    def witnesses(self) -> list[Witness]:
        """What is known of this connection's streams now."""
        dog, now_ns = self._dog, self.clock.monotonic_ns()
        if dog is None:
            return [Witness(stream, "down") for stream in self.spec.streams]
        return [dog.witness(stream, now_ns) for stream in self.spec.streams]

    async def run(self) -> None:
        backoff = Backoff(self.policy, self.rng, self.clock.monotonic_ns())
        while True:
            opened_ns = self.clock.monotonic_ns()
            self.owner.on_status("connecting", self.spec.url, "")
            why = await self._connection(backoff)
            backoff.closed(opened_ns)
            self.owner.on_status("disconnected", why, "")
            delay = backoff.delay_s(self.clock.monotonic_ns())
            if delay is None:
                self.owner.on_status("lost", f"{self.spec.url}: nothing for {self.policy.patience_s:g} s", "")
                return
            self.owner.on_status("reconnecting", f"in {delay:.2f} s", "")
            backoff.away(await PauseDetector(self.clock).sleep(delay))

    async def _connection(self, backoff: Backoff) -> str:
        """One connection from opening to its end; gives the reason of the end."""
        try:
            async with connect(
                self.spec.url,
                proxy=self.proxy,
                compression=None,  # inflating costs more time than the bytes it saves
                ping_interval=None,  # the watchdog pings, because it needs the answers as a witness
                close_timeout=1,
                max_size=LARGEST_FRAME,
                max_queue=64,
            ) as socket:
                self.owner.on_status("connected", self.spec.url, "")
                try:
                    await self._talk(socket, backoff)
                except asyncio.CancelledError:
                    await socket.close()  # leaving is no error, and the exchange should not read it as one
                    raise
        except (OSError, TimeoutError, WebSocketException) as error:
            return f"{type(error).__name__}: {error}"
        return "closed by the exchange"

    async def _talk(self, socket: ClientConnection, backoff: Backoff) -> None:
        for text in self.spec.hello:
            await socket.send(text)
        dog = StreamWatchdog(self.spec.streams, self.limits, self.clock.monotonic_ns())
        self._dog = dog
        watching = asyncio.create_task(self._watch(socket, dog, backoff))
        try:
            while True:
                raw = await socket.recv(decode=False)
                stream = self.owner.on_frame(raw, self.stamps.now_ns())
                if stream == PONG:
                    dog.ponged(self.clock.monotonic_ns())
                elif stream:
                    now_ns = self.clock.monotonic_ns()
                    dog.frame(stream, now_ns)
                    backoff.heard(now_ns)
                await self.owner.room()
        finally:
            self._dog = None
            watching.cancel()
            _surface(await asyncio.gather(watching, return_exceptions=True))

    async def _watch(self, socket: ClientConnection, dog: StreamWatchdog, backoff: Backoff) -> None:
        verdicts: dict[str, tuple[Verdict, int]] = {}
        pauses = PauseDetector(self.clock)
        asking: set[asyncio.Task[None]] = set()
        try:
            while True:
                away_ns = await pauses.sleep(min(1.0, self.limits.stale_s / 5))
                if away_ns:
                    dog.away(away_ns)
                    backoff.away(away_ns)
                now_ns = self.clock.monotonic_ns()
                if dog.ping_due(now_ns):
                    await self._ping(socket, dog, now_ns)
                for stream in dog.questions(now_ns):
                    task = asyncio.create_task(self._ask(dog, stream))
                    asking.add(task)
                    task.add_done_callback(asking.discard)
                if self._judge(dog, verdicts, now_ns):
                    socket.transport.abort()  # closing politely needs a peer that answers
                    return
        finally:
            for task in asking:
                task.cancel()
            _surface(await asyncio.gather(*asking, return_exceptions=True))

    def _judge(self, dog: StreamWatchdog, verdicts: dict[str, tuple[Verdict, int]], now_ns: int) -> bool:
        """Tell changes of verdict, and each time that REST says anew it is quiet; True: the connection must go."""
        doomed = False
        for stream in self.spec.streams:
            verdict = dog.verdict(stream, now_ns)
            said = (verdict, dog.testified(stream) if verdict == "quiet" else 0)
            if said != verdicts.get(stream, ("live", 0)) and verdict != "dead":
                self.owner.on_status(verdict, stream, stream)
            verdicts[stream] = said
            doomed = doomed or verdict in ("frozen", "dead")
        return doomed

    async def _ping(self, socket: ClientConnection, dog: StreamWatchdog, now_ns: int) -> None:
        dog.pinged(now_ns)
        if self.spec.text_ping is not None:
            await socket.send(self.spec.text_ping(self.stamps.now_ns() // 1_000_000))
            return
        answer = asyncio.ensure_future(await socket.ping())

        def answered(pong: asyncio.Future[float]) -> None:
            if not pong.cancelled() and pong.exception() is None:
                dog.ponged(self.clock.monotonic_ns())

        answer.add_done_callback(answered)

    async def _ask(self, dog: StreamWatchdog, stream: str) -> None:
        moved = await self.owner.moved(stream)
        dog.answered(stream, moved, self.clock.monotonic_ns())


def _surface(outcomes: Sequence[object]) -> None:
    """Raise what went wrong in tasks that are over, unless the connection just ended under them."""
    for outcome in outcomes:
        if isinstance(outcome, Exception) and not isinstance(outcome, WebSocketException | OSError):
            raise outcome
