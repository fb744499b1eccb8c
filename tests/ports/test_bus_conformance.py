"""What every Bus must do, in one process or between many."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from maestro_protocol.bus import SEEN, LocalBus
from maestro_protocol.envelope import Envelope
from maestro_protocol.errors import BusClosed
from maestro_protocol.ports import Bus, Subscription

Build = Callable[[int], Awaitable[Bus]]
_numbers = itertools.count()


@pytest.fixture(params=["local", "redis"])
async def build(request: pytest.FixtureRequest) -> AsyncIterator[Build]:
    """Makes a bus of a given capacity."""
    made: list[Bus] = []
    if request.param == "local":

        async def local(capacity: int = 100) -> Bus:
            made.append(LocalBus(capacity))
            return made[-1]

        yield local
    else:
        from redis.asyncio import Redis

        from maestro.store.streams.bus import StreamBus

        url: str = request.getfixturevalue("redis_url")
        prefix = f"maestro-test-{os.getpid()}-{next(_numbers)}"

        async def streams(capacity: int = 100) -> Bus:
            made.append(StreamBus(url, prefix, capacity, idle=0.3, patience=5))
            return made[-1]

        yield streams
        async with Redis.from_url(url) as redis:
            async for key in redis.scan_iter(f"{prefix}:*"):
                await redis.delete(key)
    for bus in made:
        await bus.close()


async def take(reader: Subscription, count: int) -> list[int]:
    async with asyncio.timeout(20):
        return [(await anext(reader)).seq for _ in range(count)]


async def rest(reader: Subscription) -> list[int]:
    async with asyncio.timeout(20):
        return [envelope.seq async for envelope in reader]


async def settled(task: asyncio.Task[Any], turns: int = 30) -> bool:
    """Whether *task* ends while everybody else gets their turns."""
    await asyncio.wait([task], timeout=0.01 * turns)
    return task.done()


async def test_each_group_gets_every_envelope_once_and_in_order(build: Build, make: Any) -> None:
    bus = await build(100)
    readers = [await bus.subscribe("trials", group) for group in ("a", "b")]
    said: list[Envelope] = make.trials(1, 50)
    for envelope in said:
        await bus.publish(envelope)
    await bus.close()
    for reader in readers:
        assert await rest(reader) == list(range(1, 51))


async def test_an_envelope_arrives_as_it_was_sent(build: Build, make: Any) -> None:
    bus = await build(100)
    reader = await bus.subscribe("trials", "a")
    sent = make.trial(1, reason="açúcar ☃ \x00 'x'")
    await bus.publish(sent)
    assert await anext(reader) == sent
    await reader.close()


async def test_readers_of_one_group_share_its_envelopes(build: Build, make: Any) -> None:
    bus = await build(100)
    readers = [await bus.subscribe("trials", "a") for _ in range(3)]
    for envelope in make.trials(1, 30):
        await bus.publish(envelope)
    await bus.close()
    got = await asyncio.gather(*(rest(reader) for reader in readers))
    assert sorted(itertools.chain(*got)) == list(range(1, 31))


async def test_topics_are_apart_and_nobody_listening_is_no_error(build: Build, make: Any) -> None:
    bus = await build(2)
    reader = await bus.subscribe("plans", "a")
    for envelope in make.trials(1, 10):
        await bus.publish(envelope)  # "trials": no group there, so nobody is behind
    await bus.publish(make.trial(11).model_copy(update={"topic": "plans"}))
    assert await take(reader, 1) == [11]
    await reader.close()


async def test_what_was_published_before_the_group_does_not_reach_it(build: Build, make: Any) -> None:
    bus = await build(100)
    early = await bus.subscribe("trials", "early")
    await bus.publish(make.trial(1))
    late = await bus.subscribe("trials", "late")
    await bus.publish(make.trial(2))
    await bus.close()
    assert await rest(early) == [1, 2]
    assert await rest(late) == [2]


async def test_an_id_is_delivered_once_in_its_campaign(build: Build, make: Any) -> None:
    bus = await build(100)
    reader = await bus.subscribe("trials", "a")
    for campaign in ("c1", "c2", "c1"):
        await bus.publish(make.trial(1, campaign))
    await bus.publish(make.trial(2))
    await bus.close()
    got = [(envelope.campaign, envelope.seq) async for envelope in reader]
    assert got == [("c1", 1), ("c2", 1), ("c1", 2)]


async def test_ids_are_remembered_over_thousands_of_envelopes(make: Any) -> None:
    bus = LocalBus(2 * SEEN)
    reader = await bus.subscribe("trials", "a")
    for envelope in [*make.trials(1, SEEN), make.trial(1), make.trial(SEEN)]:
        await bus.publish(envelope)
    await bus.close()
    assert await rest(reader) == list(range(1, SEEN + 1))


async def test_a_publisher_waits_for_the_slowest_group_and_is_released_by_it(build: Build, make: Any) -> None:
    bus = await build(4)
    quick, slow = await bus.subscribe("trials", "quick"), await bus.subscribe("trials", "slow")
    for envelope in make.trials(1, 4):
        await bus.publish(envelope)
    assert await take(quick, 4) == [1, 2, 3, 4]
    fifth = asyncio.create_task(bus.publish(make.trial(5)))
    assert not await settled(fifth)
    assert await take(slow, 2) == [1, 2]  # by asking for the second, the first is handled
    await asyncio.wait_for(fifth, 5)
    assert await take(quick, 1) == [5]
    assert await take(slow, 3) == [3, 4, 5]
    await quick.close()
    await slow.close()


async def test_publishers_that_wait_go_on_in_the_order_they_came(build: Build, make: Any) -> None:
    bus = await build(1)
    reader = await bus.subscribe("trials", "a")
    tasks: list[asyncio.Task[None]] = []
    for envelope in make.trials(1, 12):
        tasks.append(asyncio.create_task(bus.publish(envelope)))
        await asyncio.sleep(0)
    assert await take(reader, 12) == list(range(1, 13))
    await asyncio.gather(*tasks)
    await reader.close()


async def test_a_publisher_that_gives_up_does_not_stop_those_behind_it(build: Build, make: Any) -> None:
    bus = await build(1)
    reader = await bus.subscribe("trials", "a")
    await bus.publish(make.trial(1))
    first, second = (asyncio.create_task(bus.publish(make.trial(seq))) for seq in (2, 3))
    assert not await settled(first, 3)
    first.cancel()
    assert await take(reader, 2) == [1, 3]
    await second
    await reader.close()


async def test_groups_may_come_while_a_publisher_waits(build: Build, make: Any) -> None:
    bus = await build(1)
    reader = await bus.subscribe("trials", "a")
    await bus.publish(make.trial(1))
    waiting = asyncio.create_task(bus.publish(make.trial(2)))
    assert not await settled(waiting, 3)
    newcomer = await bus.subscribe("trials", "b")
    assert await take(reader, 2) == [1, 2]
    await waiting
    assert await take(newcomer, 1) == [2]
    await reader.close()
    await newcomer.close()


async def test_closing_the_bus_ends_readers_after_what_was_published(build: Build, make: Any) -> None:
    bus = await build(100)
    reader, idle = await bus.subscribe("trials", "a"), await bus.subscribe("trials", "b")
    waiting = asyncio.create_task(rest(idle))
    for envelope in make.trials(1, 3):
        await bus.publish(envelope)
    await bus.close()
    assert await rest(reader) == [1, 2, 3]
    assert await waiting == [1, 2, 3]
    assert await rest(reader) == []
    with pytest.raises(BusClosed, match="m000004 was not carried"):
        await bus.publish(make.trial(4))
    with pytest.raises(BusClosed):
        await bus.subscribe("trials", "c")
    await bus.close()


async def test_closing_the_bus_tells_publishers_that_wait(build: Build, make: Any) -> None:
    bus = await build(1)
    reader = await bus.subscribe("trials", "a")
    await bus.publish(make.trial(1))
    waiting = [asyncio.create_task(bus.publish(make.trial(seq))) for seq in (2, 3)]
    assert not await settled(waiting[1], 3)
    await bus.close()
    for task in waiting:
        with pytest.raises(BusClosed, match="was not carried"):
            await task
    assert await rest(reader) == [1]


async def test_a_closed_reader_ends_even_while_it_waits(build: Build) -> None:
    bus = await build(100)
    reader = await bus.subscribe("trials", "a")
    waiting = asyncio.create_task(rest(reader))
    await asyncio.sleep(0)
    await reader.close()
    assert await waiting == []
    await reader.close()


async def test_what_a_reader_left_unhandled_goes_to_another_of_its_group(build: Build, make: Any) -> None:
    bus = await build(100)
    leaver = await bus.subscribe("trials", "a")
    for envelope in make.trials(1, 3):
        await bus.publish(envelope)
    assert await take(leaver, 2) == [1, 2]
    stayer = await bus.subscribe("trials", "a")
    await leaver.close()
    assert sorted(await take(stayer, 2)) == [2, 3]
    await stayer.close()


async def test_a_reader_cancelled_while_it_waits_loses_nothing(build: Build, make: Any) -> None:
    bus = await build(100)
    reader = await bus.subscribe("trials", "a")
    got: list[int] = []
    for seq in range(1, 6):
        waiting = asyncio.create_task(take(reader, 1))
        await settled(waiting, 1)
        publishing = asyncio.create_task(bus.publish(make.trial(seq)))
        await asyncio.sleep(0)
        waiting.cancel()
        (outcome,) = await asyncio.gather(waiting, return_exceptions=True)
        got += outcome if isinstance(outcome, list) else []
        await publishing
    await bus.close()
    assert sorted({*got, *await rest(reader)}) == [1, 2, 3, 4, 5]


async def test_readers_that_left_do_not_hold_up_publishers_in_one_process(make: Any) -> None:
    bus = LocalBus(2)
    reader = await bus.subscribe("trials", "a")
    for envelope in make.trials(1, 2):
        await bus.publish(envelope)
    waiting = asyncio.create_task(bus.publish(make.trial(3)))
    assert not await settled(waiting, 3)
    await reader.close()
    await asyncio.wait_for(waiting, 5)
    for envelope in make.trials(4, 9):
        await bus.publish(envelope)
