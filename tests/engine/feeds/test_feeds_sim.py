"""The simulated market as a feed, and plans of faults: the same every time, and refused where not understood."""

from __future__ import annotations

import asyncio
import itertools
import time

import pytest
from feeds_support import (
    assert_book_agrees_with_quotes,
    closed,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from maestro_engine.feeds.clock import ReceiveStamps, SuppliedClock, VirtualClock
from maestro_engine.feeds.port import (
    DepthSnapshot,
    DepthUpdate,
    Kline,
    Place,
    StreamRequest,
)
from maestro_engine.feeds.sim import SimFeed, SimSettings, Simulation
from maestro_engine.testing.exchange_server.faults import Fault, read_plan
from maestro_protocol.errors import ConfigError


async def test_simulated_feed_is_the_same_every_time_and_at_every_pace():
    settings = SimSettings(seed=11)
    wanted = (StreamRequest("BTCUSDT", "trade"), StreamRequest("BTCUSDT", "kline", "1m"))
    end = settings.start_ms + 180_000
    at_once = [e async for e in SimFeed(settings, wanted, until_ms=end).events()]
    clock = VirtualClock(settings.start_ms)
    paced = [e async for e in SimFeed(settings, wanted, clock, until_ms=end).events()]
    assert at_once == paced
    assert clock.monotonic_ns() == pytest.approx(180e9, rel=0.02)
    assert [e async for e in SimFeed(SimSettings(seed=12), wanted, until_ms=end).events()] != at_once
    history = await SimFeed(settings, wanted).history("BTCUSDT", "1m", 50)
    bars = history + closed(at_once)
    assert [b.open_ms - a.open_ms for a, b in itertools.pairwise(bars)] == [60_000] * (len(bars) - 1)


async def heard(feed: SimFeed, count: int) -> list:
    events = feed.events()
    told = [await anext(events) for _ in range(count)]
    await events.aclose()
    return told


@settings(max_examples=25)
@given(
    count=st.integers(1, 12_000),
    how=st.sampled_from([("1m", 5.0), ("5m", 5.0), ("15m", 5.0), ("1m", 0.02)]),
)
def test_who_stopped_listening_anywhere_goes_on_with_the_very_path_and_its_history(count, how):
    """Whatever was heard, what follows and what one knows by then are those of who never stopped."""
    interval, rate = how
    made = SimSettings(seed=count % 5, trades_per_s=rate)
    wanted = [StreamRequest("BTCUSDT", name) for name in ("trade", "book_ticker", "mark_price")]
    wanted.append(StreamRequest("BTCUSDT", "kline", interval))
    whole = asyncio.run(heard(SimFeed(made, wanted), count + 400))
    place = Place()
    for event in whole[:count]:
        place.hear(event.local_ns // 1_000_000)
    again = SimFeed(made, wanted, after=place)
    assert asyncio.run(heard(again, 400)) == whole[count:]
    known = asyncio.run(SimFeed(made, wanted).history("BTCUSDT", interval, 500))
    lived = [event for event in whole[:count] if isinstance(event, Kline) and event.closed]
    rows = [(k.open_ms, k.open, k.high, k.low, k.close, k.volume, k.taker_buy_volume) for k in (*known, *lived)]
    history = asyncio.run(again.history("BTCUSDT", interval, len(rows)))
    mine = [(k.open_ms, k.open, k.high, k.low, k.close, k.volume, k.taker_buy_volume) for k in history]
    assert mine[-min(500, len(mine)) :] == rows[-min(500, len(mine)) :]


async def test_going_on_after_days_takes_a_second_at_most_and_the_memory_of_its_candles():
    made, days = SimSettings(seed=3), 3
    place = Place(made.start_ms + days * 86_400_000 + 1_234, 1)
    began = time.process_time()
    told = await heard(SimFeed(made, [StreamRequest("BTCUSDT", "kline", "1m")], after=place), 50)
    assert time.process_time() - began < 5
    assert told[0].local_ns // 1_000_000 >= place.ms


def test_simulated_trades_and_quotes_do_not_depend_on_who_wants_the_book():
    sim = Simulation(SimSettings(seed=4))
    full = list(itertools.islice(sim.events(), 4_000))
    plain = list(itertools.islice(sim.events(depth=False), 2_000))
    assert [e for e in full if not isinstance(e, DepthSnapshot | DepthUpdate)][:2_000] == plain
    assert assert_book_agrees_with_quotes(full) > 1_000


def test_fault_plans_are_data_and_refuse_what_they_do_not_know():
    assert read_plan('[{"kind":"drop","after_s":3,"seconds":2}]') == (Fault("drop", 3.0, seconds=2.0),)
    for wrong in ('[{"kind":"explode"}]', '[{"kind":"drop","when":3}]', '[{"kind":"drop","after_s":-1}]', "{"):
        with pytest.raises(ConfigError, match="fault plan"):
            read_plan(wrong)


@settings(max_examples=60)
@given(
    steps=st.lists(st.integers(1, 700), min_size=1, max_size=80),
    ticks=st.lists(st.integers(50, 900), min_size=0, max_size=3),
)
def test_striding_wakes_whom_sleeping_wakes_and_when(steps, ticks):
    """Milliseconds: what the maker of events does at each step, and how often each of the others looks."""

    async def told(stride: bool) -> list[tuple[int, str]]:
        clock, said = VirtualClock(1_000), []

        async def look(name: str, every_ms: int) -> None:
            while True:
                said.append((clock.now_ms(), name))
                await clock.sleep(every_ms / 1_000)

        async def make() -> None:
            for step in steps:
                await (clock.stride(step * 1_000_000) if stride else clock.sleep(step / 1_000))
                said.append((clock.now_ms(), "event"))

        making = asyncio.create_task(make())  # first, so that it could run away from those who have not begun
        looking = [asyncio.create_task(look(f"every {every}, {i}", every)) for i, every in enumerate(ticks)]
        await making
        for task in looking:
            task.cancel()
        await asyncio.gather(*looking, return_exceptions=True)
        return said

    slept, strode = asyncio.run(told(False)), asyncio.run(told(True))
    assert sorted(slept) == sorted(strode), "the same at the same moments"
    assert [ms for ms, _ in strode] == sorted(ms for ms, _ in strode), "time does not go back"


def test_stamps_of_one_clock_can_be_compared_to_the_microsecond():
    """Milliseconds told twice differ by up to one: that would be most of what is measured with them."""
    wall, monotonic = iter([1_700_000_000_123_999_999] * 9), iter(range(0, 10**9, 900_000))
    clock = SuppliedClock(lambda: next(wall), lambda: next(monotonic))
    one, two = ReceiveStamps(clock), ReceiveStamps(clock)
    assert two.now_ns() - one.now_ns() == -900_000, "asked in this order, 0.9 ms apart"
