"""bus owns the in-process bus: topics, groups, backpressure and a clean end, on asyncio alone."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Self

from maestro_protocol.envelope import Envelope
from maestro_protocol.errors import BusClosed

SEEN = 4_096
"""Ids a group remembers: an envelope published again (a retry, a replay) is not delivered twice within it."""


class _Group:
    """The envelopes that one group of readers has yet to read."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.waiting: deque[Envelope] = deque()
        self.seen: dict[str, None] = {}
        self.closed = False
        self._changed: set[asyncio.Future[None]] = set()

    def wake(self) -> None:
        for future in self._changed:
            if not future.done():
                future.set_result(None)
        self._changed.clear()

    async def change(self) -> None:
        future = asyncio.get_running_loop().create_future()
        self._changed.add(future)
        try:
            await future
        finally:
            self._changed.discard(future)

    async def put(self, envelope: Envelope) -> None:
        while len(self.waiting) >= self.capacity and not self.closed:
            await self.change()
        if self.closed:
            raise BusClosed(f"{envelope.topic}: the bus is closed; {envelope.id} was not carried")
        if envelope.id in self.seen:
            return
        self.seen[envelope.id] = None
        if len(self.seen) > SEEN:
            del self.seen[next(iter(self.seen))]
        self.waiting.append(envelope)
        self.wake()


class LocalSubscription:
    """One reader of a group in this process; several readers of one group share its envelopes."""

    def __init__(self, group: _Group) -> None:
        self._group = group
        self._open = True

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Envelope:
        group = self._group
        while self._open and not group.waiting and not group.closed:
            await group.change()
        if not self._open or not group.waiting:
            raise StopAsyncIteration
        envelope = group.waiting.popleft()
        if group.waiting or len(group.waiting) + 1 >= group.capacity:
            group.wake()
        return envelope

    async def close(self) -> None:
        self._open = False
        self._group.wake()


class LocalBus:
    """The embedded bus. Nothing survives the process; the journal does."""

    def __init__(self, capacity: int = 1_000) -> None:
        self._capacity = capacity
        self._topics: dict[str, dict[str, _Group]] = {}
        self._closed = False

    async def publish(self, envelope: Envelope) -> None:
        if self._closed:
            raise BusClosed(f"{envelope.topic}: the bus is closed; {envelope.id} was not carried")
        for group in self._topics.get(envelope.topic, {}).values():
            await group.put(envelope)

    async def subscribe(self, topic: str, group: str) -> LocalSubscription:
        if self._closed:
            raise BusClosed(f"{topic}: the bus is closed")
        groups = self._topics.setdefault(topic, {})
        return LocalSubscription(groups.setdefault(group, _Group(self._capacity)))

    async def close(self) -> None:
        self._closed = True
        for groups in self._topics.values():
            for group in groups.values():
                group.closed = True
                group.wake()
