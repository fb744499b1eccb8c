"""bus owns the in-process bus: topics, groups, backpressure and a clean end, on asyncio alone."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from typing import Self

from maestro_protocol.envelope import Envelope
from maestro_protocol.errors import BusClosed

SEEN = 4_096
"""Ids a group remembers: an envelope published again (a retry, a replay) is not delivered twice within it."""


class _Group:
    """The envelopes that one group of readers has yet to read."""

    def __init__(self, topic: _Topic) -> None:
        self.topic = topic
        self.waiting: deque[Envelope] = deque()
        self.readers: set[LocalSubscription] = set()
        self._seen: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._asleep: deque[asyncio.Future[None]] = deque()

    def put(self, envelope: Envelope) -> None:
        key = (envelope.campaign, envelope.id)  # ids are counted in each campaign
        if key in self._seen:
            return
        self._seen[key] = None
        if len(self._seen) > SEEN:
            self._seen.popitem(last=False)
        self.waiting.append(envelope)
        if self._asleep:
            self.wake()

    def wake(self) -> None:
        while self._asleep:
            future = self._asleep.popleft()
            if not future.done():
                future.set_result(None)

    async def change(self) -> None:
        future = asyncio.get_running_loop().create_future()
        self._asleep.append(future)
        await future


class _Topic:
    """The groups of one topic, and the publishers that wait for the slowest of them: in the order they came."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.closed = False
        self.groups: dict[str, _Group] = {}
        self.tickets: deque[asyncio.Future[None]] = deque()

    def full(self) -> bool:
        return any(len(group.waiting) >= self.capacity for group in self.groups.values())

    def deliver(self, envelope: Envelope) -> None:
        """To all groups at once, so that all of them see one order."""
        for group in self.groups.values():
            group.put(envelope)

    def admit(self) -> None:
        """Let the publisher at the head of the queue go on, when there is room."""
        if self.tickets and not self.tickets[0].done() and not self.full():
            self.tickets[0].set_result(None)

    async def queue(self, envelope: Envelope) -> None:
        ticket = asyncio.get_running_loop().create_future()
        self.tickets.append(ticket)
        try:
            await ticket
            if self.closed:
                raise _not_carried(envelope)
            self.deliver(envelope)
        finally:
            self.tickets.remove(ticket)
            self.admit()

    def close(self) -> None:
        self.closed = True
        for ticket in self.tickets:
            if not ticket.done():
                ticket.set_result(None)
        for group in self.groups.values():
            group.wake()


class LocalSubscription:
    """One reader of a group in this process; several readers of one group share its envelopes.

    A reader that closes before it asked for the next envelope gives the last one back to its group. The last
    reader to close takes the group with it: nobody could come back for what it left, and publishers would wait.
    """

    def __init__(self, name: str, group: _Group) -> None:
        self._name = name
        self._group = group
        self._open = True
        self._held: Envelope | None = None
        group.readers.add(self)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Envelope:
        group = self._group
        self._held = None
        while self._open and not group.waiting and not group.topic.closed:
            await group.change()
        if not self._open or not group.waiting:
            raise StopAsyncIteration
        self._held = envelope = group.waiting.popleft()
        if group.topic.tickets:
            group.topic.admit()
        return envelope

    async def close(self) -> None:
        """Leave the group; an envelope in hand goes back to it."""
        if not self._open:
            return
        self._open = False
        group = self._group
        group.readers.discard(self)
        if not group.readers:
            group.topic.groups.pop(self._name, None)
            group.topic.admit()
        elif self._held is not None:
            group.waiting.appendleft(self._held)
        group.wake()


class LocalBus:
    """The embedded bus. Nothing survives the process; the journal does."""

    def __init__(self, capacity: int = 1_000) -> None:
        self._capacity = capacity
        self._topics: dict[str, _Topic] = {}
        self._closed = False

    async def publish(self, envelope: Envelope) -> None:
        """Put *envelope* on its topic; waits while the slowest group has no room. Raises BusClosed."""
        if self._closed:
            raise _not_carried(envelope)
        topic = self._topics.get(envelope.topic)
        if topic is None:
            return
        if topic.tickets or topic.full():
            await topic.queue(envelope)
        else:
            topic.deliver(envelope)

    async def subscribe(self, topic: str, group: str) -> LocalSubscription:
        """A reader of *topic* for *group*; what is published from now on reaches it. Raises BusClosed."""
        if self._closed:
            raise BusClosed(f"{topic}: the bus is closed")
        place = self._topics.get(topic)
        if place is None:
            place = self._topics[topic] = _Topic(self._capacity)
        return LocalSubscription(group, place.groups.setdefault(group, _Group(place)))

    async def close(self) -> None:
        """Take nothing more; readers end once they have read what was published."""
        self._closed = True
        for topic in self._topics.values():
            topic.close()


def _not_carried(envelope: Envelope) -> BusClosed:
    return BusClosed(f"{envelope.topic}: the bus is closed; {envelope.id} was not carried")
