"""What the bus between processes adds: readers and servers that die lose nothing, and streams stay short."""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

pytest.importorskip("redis", reason="redis is not installed: pip install maestro[redis]")

from redis.asyncio import Redis

from maestro.store.streams.bus import StreamBus
from maestro_protocol.errors import BusError

READER = """
import asyncio, sys
from maestro.store.streams.bus import StreamBus

async def main(url, prefix):
    bus = StreamBus(url, prefix, idle=0.3)
    reader = await bus.subscribe("trials", "workers")
    print("ready", flush=True)
    async for envelope in reader:
        print(envelope.seq, flush=True)
        await asyncio.to_thread(sys.stdin.readline)  # handles it until it is told to go on

asyncio.run(main(*sys.argv[1:]))
"""

_numbers = itertools.count()
Open = Callable[..., StreamBus]


@pytest.fixture
def prefix() -> str:
    return f"maestro-test-{os.getpid()}-streams-{next(_numbers)}"


@pytest.fixture
async def connect(redis_url: str, prefix: str) -> AsyncIterator[Open]:
    """Opens one process's end of the bus after another."""
    ends: list[StreamBus] = []

    def open_end(url: str = redis_url, **options: Any) -> StreamBus:
        ends.append(StreamBus(url, prefix, **{"capacity": 100, "idle": 0.3, "patience": 5.0} | options))
        return ends[-1]

    yield open_end
    for end in ends:
        await end.close()
    async with Redis.from_url(redis_url) as redis:
        async for key in redis.scan_iter(f"{prefix}:*"):
            await redis.delete(key)


class Worker:
    """A reader in another process, which does nothing that it is not told to."""

    def __init__(self, url: str, prefix: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", READER, url, prefix], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    async def __aenter__(self) -> Worker:
        assert await self.line() == "ready"
        return self

    async def __aexit__(self, *_: object) -> None:
        self.kill()

    async def line(self) -> str:
        assert self._process.stdout is not None
        return (await asyncio.wait_for(asyncio.to_thread(self._process.stdout.readline), 20)).strip()

    def go_on(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()


async def take(reader: Any, count: int) -> list[int]:
    async with asyncio.timeout(20):
        return [(await anext(reader)).seq for _ in range(count)]


async def test_a_reader_killed_in_the_middle_loses_nothing(
    connect: Open, redis_url: str, prefix: str, make: Any
) -> None:
    bus = connect()
    async with Worker(redis_url, prefix) as worker:
        for envelope in make.trials(1, 6):
            await bus.publish(envelope)
        assert await worker.line() == "1"
        worker.go_on()
        assert await worker.line() == "2"  # so 1 is handled, and 2 is in its hands
        worker.kill()
    heir = await bus.subscribe("trials", "workers")
    assert sorted(await take(heir, 5)) == [2, 3, 4, 5, 6]
    await heir.close()


@pytest.mark.slow
async def test_readers_killed_at_random_leave_every_envelope_handled(
    connect: Open, redis_url: str, prefix: str, make: Any
) -> None:
    bus, dice = connect(), random.Random(20)
    keeper = await bus.subscribe("trials", "keeper")  # another group, to which nothing happens
    started: set[int] = set()
    for first in (1, 11, 21):
        async with Worker(redis_url, prefix) as worker:
            for envelope in make.trials(first, first + 9):
                await bus.publish(envelope)
            for _ in range(dice.randint(1, 8)):
                started.add(int(await worker.line()))
                worker.go_on()
            worker.kill()
    heir = await bus.subscribe("trials", "workers")
    rest: list[int] = []
    while {*started, *rest} != set(range(1, 31)):
        rest += await take(heir, 1)
    assert await take(keeper, 30) == list(range(1, 31))
    await heir.close()
    await keeper.close()


async def test_a_slow_handler_keeps_what_it_holds(connect: Open, make: Any) -> None:
    bus = connect(idle=0.2)
    slow, other = await bus.subscribe("trials", "workers"), await bus.subscribe("trials", "workers")
    await bus.publish(make.trial(1))
    assert await take(slow, 1) == [1]
    stolen = asyncio.create_task(take(other, 1))
    done, _ = await asyncio.wait([stolen], timeout=1.0)  # five times the idle time
    assert not done
    await bus.publish(make.trial(2))
    assert await stolen == [2]
    await slow.close()
    await other.close()


async def test_a_process_that_comes_back_finds_what_was_said_meanwhile(connect: Open, make: Any) -> None:
    before = connect()
    reader = await before.subscribe("trials", "workers")
    await before.publish(make.trial(1))
    assert await take(reader, 1) == [1]
    await before.close()
    after = connect()
    await after.publish(make.trial(2))
    again = await after.subscribe("trials", "workers")
    assert sorted(await take(again, 2)) == [1, 2]  # 1 was given but not acknowledged
    await reader.close()
    await again.close()


async def test_only_what_every_group_has_acknowledged_is_trimmed(
    connect: Open, redis_url: str, prefix: str, make: Any
) -> None:
    bus = connect(capacity=10)
    quick, slow = await bus.subscribe("trials", "quick"), await bus.subscribe("trials", "slow")
    for envelope in make.trials(1, 10):
        await bus.publish(envelope)
    assert await take(quick, 10) == list(range(1, 11))
    assert await take(slow, 4) == [1, 2, 3, 4]
    await bus.publish(make.trial(11))
    async with Redis.from_url(redis_url) as redis:
        assert await redis.xlen(f"{prefix}:trials") == 8  # 4, which slow still holds, to 11
    assert await take(slow, 7) == list(range(5, 12))
    for envelope in make.trials(12, 60):
        await bus.publish(envelope)
        assert await take(quick, 1)
        assert await take(slow, 1)
    async with Redis.from_url(redis_url) as redis:
        assert await redis.xlen(f"{prefix}:trials") <= 10
    await quick.close()
    await slow.close()


async def test_two_processes_share_topics_and_ids(connect: Open, make: Any) -> None:
    one, two = connect(), connect()
    reader = await one.subscribe("trials", "workers")
    for bus, seq in ((one, 1), (two, 1), (two, 2), (one, 2), (one, 3)):
        await bus.publish(make.trial(seq))
    await two.close()
    assert await take(reader, 3) == [1, 2, 3]
    await reader.close()


async def test_what_is_no_envelope_is_told_and_skipped(connect: Open, redis_url: str, prefix: str, make: Any) -> None:
    bus = connect()
    reader = await bus.subscribe("trials", "workers")
    async with Redis.from_url(redis_url) as redis:
        await redis.xadd(f"{prefix}:trials", {"envelope": b'{"no": "envelope"}'})
    await bus.publish(make.trial(1))
    with pytest.raises(BusError, match="is no envelope; it is skipped"):
        await anext(reader)
    assert await take(reader, 1) == [1]
    await reader.close()


async def test_a_server_killed_and_started_again_loses_nothing(connect: Open, redis_server: Any, make: Any) -> None:
    bus = connect(redis_server.url, patience=20.0)
    reader = await bus.subscribe("trials", "workers")
    for envelope in make.trials(1, 3):
        await bus.publish(envelope)
    assert await take(reader, 2) == [1, 2]
    redis_server.kill()
    publishing = asyncio.create_task(bus.publish(make.trial(4)))
    reading = asyncio.create_task(take(reader, 2))
    await asyncio.wait([publishing, reading], timeout=0.2)
    assert not publishing.done()
    assert not reading.done()
    await asyncio.to_thread(redis_server.start)
    await asyncio.wait_for(publishing, 20)
    assert await reading == [3, 4]
    await bus.publish(make.trial(3))  # remembered over the restart
    await bus.publish(make.trial(5))
    assert await take(reader, 1) == [5]
    await reader.close()


async def test_a_server_that_lost_its_memory_is_used_again(connect: Open, redis_server: Any, make: Any) -> None:
    bus = connect(redis_server.url)
    reader = await bus.subscribe("trials", "workers")
    await bus.publish(make.trial(1))
    assert await take(reader, 1) == [1]
    async with Redis.from_url(redis_server.url) as redis:
        await redis.flushall()
    reading = asyncio.create_task(take(reader, 1))
    async with Redis.from_url(redis_server.url) as redis:
        while not await redis.exists(bus.stream("trials")):  # noqa: ASYNC110 - it happens in the server
            await asyncio.sleep(0)
    await bus.publish(make.trial(2))
    assert await reading == [2]
    await reader.close()


async def test_a_server_that_stays_away_is_told_in_one_line(connect: Open, redis_server: Any, make: Any) -> None:
    bus = connect(redis_server.url, patience=0.1)
    redis_server.kill()
    with pytest.raises(BusError, match="Redis is away; start it, then resume"):
        await bus.publish(make.trial(1))
    with pytest.raises(BusError, match="Redis is away"):
        await bus.subscribe("trials", "workers")
