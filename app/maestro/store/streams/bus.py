"""bus owns the bus between processes: Redis Streams with consumer groups, at least once, one delivery per id."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from importlib import resources
from typing import Any, Self, TypeVar, cast

from pydantic import ValidationError
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, RedisError, ResponseError
from redis.exceptions import ConnectionError as Unreachable
from redis.exceptions import TimeoutError as TooSlow

from maestro_protocol.bus import SEEN
from maestro_protocol.envelope import ENVELOPE, Envelope
from maestro_protocol.errors import BusClosed, BusError

T = TypeVar("T")

LOOK_MS = 200
"""How long a read waits at the server before it looks whether its subscription was closed."""

PAUSE = 0.02
"""Seconds between two tries of a publisher that waits for a slow group, or of a call whose server is away."""


class StreamBus:
    """The :class:`~maestro_protocol.ports.Bus` on a Redis server, shared by all processes with the same *prefix*.

    A stream per topic. Closing this bus ends this process's publishers and readers; the groups, what they have not
    read and what they have not acknowledged stay for the processes that come back. An envelope in the hands of a
    reader that died is given to another reader of its group after *idle* seconds. Capacity counts what a group has
    not acknowledged; ids are remembered for the last 4,096 envelopes of a topic.

    Every door tries for *patience* seconds to reach a server that is away, then raises :class:`BusError`.
    """

    def __init__(
        self,
        url: str,
        prefix: str = "maestro",
        capacity: int = 1_000,
        idle: float = 15.0,
        patience: float = 30.0,
    ) -> None:
        self.redis = Redis.from_url(  # pyright: ignore[reportUnknownMemberType] - its **kwargs have no type
            url, retry=Retry(NoBackoff(), 0), socket_connect_timeout=2
        )
        self.idle = idle
        self.closed = False
        self._prefix = prefix
        self._capacity = capacity
        self._patience = patience
        self._order: dict[str, asyncio.Lock] = {}
        self._publish = (resources.files("maestro.store.streams") / "publish.lua").read_text(encoding="utf-8")

    def stream(self, topic: str) -> str:
        return f"{self._prefix}:{topic}"

    async def publish(self, envelope: Envelope) -> None:
        topic = envelope.topic
        async with self._order.setdefault(topic, asyncio.Lock()):  # publishers of one process keep their order
            while not self.closed:
                if await self.patiently(lambda: self._offer(envelope)) != b"full":
                    return
                await asyncio.sleep(PAUSE)
        raise BusClosed(f"{topic}: the bus is closed; {envelope.id} was not carried")

    async def _offer(self, envelope: Envelope) -> bytes:
        stream = self.stream(envelope.topic)
        name = f"{envelope.campaign}/{envelope.id}"  # ids are counted in each campaign
        keys = stream, f"{stream}:seen"
        arguments = name, envelope.model_dump_json(), self._capacity, SEEN
        return await cast("Awaitable[bytes]", self.redis.eval(self._publish, len(keys), *keys, *arguments))

    async def subscribe(self, topic: str, group: str) -> StreamSubscription:
        """A reader of *topic* for *group*. A group that exists goes on where it was."""
        if self.closed:
            raise BusClosed(f"{topic}: the bus is closed")
        stream = self.stream(topic)
        await self.patiently(lambda: self.join(stream, group, "$"))
        number = await self.patiently(lambda: self.redis.incr(f"{self._prefix}:readers"))
        return StreamSubscription(self, stream, group, f"reader-{number}")

    async def join(self, stream: str, group: str, start: str) -> None:
        try:
            await self.redis.xgroup_create(stream, group, start, mkstream=True)
        except ResponseError as error:
            if "BUSYGROUP" not in str(error):
                raise

    async def close(self) -> None:
        self.closed = True
        await self.hang_up()

    async def hang_up(self) -> None:
        """Close the connections that nobody uses; a reader that is still at it closes its own when it ends."""
        await self.redis.connection_pool.disconnect(inuse_connections=False)

    async def patiently(self, call: Callable[[], Awaitable[T]]) -> T:
        """*call*'s answer, tried again while the server is away. *call* must be safe to repeat."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._patience
        while True:
            try:
                return await call()
            except AuthenticationError as error:  # one of "unreachable" to redis-py, and no patience helps
                raise BusError("bus: Redis refuses user or password; correct them in MAESTRO_BUS_URL") from error
            except (Unreachable, TooSlow, ConnectionResetError) as error:
                if loop.time() >= deadline:
                    raise BusError(f"bus: Redis is away; start it, then resume ({error})") from error
                await asyncio.sleep(PAUSE)
            except RedisError as error:
                raise BusError(f"bus: Redis refuses ({error}); see its log") from error


class StreamSubscription:
    """One reader of a group. Asking for the next envelope acknowledges the last one."""

    def __init__(self, bus: StreamBus, stream: str, group: str, name: str) -> None:
        self._bus = bus
        self._stream = stream
        self._group = group
        self._name = name
        self._open = True
        self._held: bytes | None = None
        self._own_first = False
        self._next_claim = 0.0
        self._pulse: asyncio.Task[None] | None = None
        self._ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Envelope:
        while self._open:
            draining = self._bus.closed  # looked at before the read: what was published by then is still read
            found = await self._bus.patiently(self._read)
            if found is not None:
                return self._hold(*found)
            if draining:
                await self.close()
        raise StopAsyncIteration

    def _hold(self, entry: bytes, fields: dict[bytes, bytes]) -> Envelope:
        self._held = entry
        if self._pulse is None:
            self._pulse = asyncio.get_running_loop().create_task(self._beat())
        try:
            return ENVELOPE.validate_json(fields[b"envelope"])
        except (KeyError, ValidationError) as error:
            raise BusError(f"{self._stream}: entry {entry.decode()} is no envelope; it is skipped") from error

    async def _read(self) -> tuple[bytes, dict[bytes, bytes]] | None:
        """Acknowledge the last entry, then: own unread ones after a broken line, a dead reader's, a new one."""
        try:
            return await self._own() or await self._claimed() or await self._new()
        except ResponseError as error:
            if "NOGROUP" not in str(error):
                raise
            # The server lost its memory; all that is in the stream now was published since.
            await self._bus.join(self._stream, self._group, "0")
            self._held = None
            return None
        except BaseException:
            self._own_first = True  # an entry may be on record as ours that never reached us
            raise

    async def _own(self) -> tuple[bytes, dict[bytes, bytes]] | None:
        if not self._own_first:
            return None
        await self._acknowledge()
        found = await self._ask("0", None)
        self._own_first = found is not None
        return found

    async def _claimed(self) -> tuple[bytes, dict[bytes, bytes]] | None:
        now = asyncio.get_running_loop().time()
        if now < self._next_claim:
            return None
        await self._acknowledge()
        idle = int(self._bus.idle * 1_000)
        answer: Any = await self._bus.redis.xautoclaim(self._stream, self._group, self._name, idle, count=1)
        entries = cast("list[tuple[bytes, dict[bytes, bytes]]]", answer[1])
        if entries:
            return entries[0]
        self._next_claim = now + self._bus.idle / 2
        return None

    async def _new(self) -> tuple[bytes, dict[bytes, bytes]] | None:
        return await self._ask(">", None if self._bus.closed else LOOK_MS)

    async def _ask(self, start: str, block: int | None) -> tuple[bytes, dict[bytes, bytes]] | None:
        line = self._bus.redis.pipeline(transaction=False)  # one way to the server and back
        if self._held is not None:
            line.xack(self._stream, self._group, self._held)
        line.xreadgroup(self._group, self._name, {self._stream: start}, count=1, block=block)
        answers: list[Any] = await line.execute()
        self._held = None
        streams = cast("list[tuple[bytes, list[tuple[bytes, dict[bytes, bytes]]]]]", answers[-1])
        return streams[0][1][0] if streams and streams[0][1] else None

    async def _acknowledge(self) -> None:
        if self._held is not None:
            await self._bus.redis.xack(self._stream, self._group, self._held)
            self._held = None

    async def _beat(self) -> None:
        """Keep what is held from being taken for a dead reader's while its handler works on it."""
        while self._open and not self._bus.closed:
            await self._mark(idle=0)
            await asyncio.wait([self._ended], timeout=self._bus.idle / 3)

    async def _mark(self, idle: int) -> None:
        if self._held is None:
            return
        try:
            await self._bus.redis.xclaim(
                self._stream, self._group, self._name, 0, [self._held], idle=idle, justid=True
            )
        except (RedisError, OSError):  # the read that follows will say so
            self._own_first = True

    async def close(self) -> None:
        """Stop reading. What was not acknowledged goes to another reader of the group, now or when one comes."""
        if not self._open:
            return
        self._open = False
        self._ended.set_result(None)
        if self._pulse is not None:  # not cancelled: a call cut off while it connects would leak its socket
            await self._pulse
        await self._mark(idle=int(self._bus.idle * 1_000))
        if self._bus.closed:
            await self._bus.hang_up()
