"""bus_messages owns the in-process bus: typed messages a second, from publish to the reader's hands."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from decimal import Decimal
from functools import partial

from maestro_protocol.bus import LocalBus
from maestro_protocol.envelope import Envelope
from maestro_protocol.ids import message_id
from maestro_protocol.messages.events import BatchFinished
from measuring.bench import Bench
from measuring.results import Row, least, rate
from measuring.samples import interleaved, timed

TITLE = "In-process bus"

MESSAGES = 50_000
GROUPS = (1, 4)
AT = 1_735_689_600_000


def envelopes(count: int) -> list[Envelope]:
    """Typed messages as control says them, each validated."""
    return [
        Envelope(
            id=message_id(seq),
            seq=seq,
            time=AT + seq,
            campaign="bench",
            sender="control",
            topic="campaign",
            body=BatchFinished(
                segment=1, batch=seq, tests=(f"test{seq}",), trades=seq, total_pnl=Decimal("12.50"), digest="0" * 64
            ),
        )
        for seq in range(1, count + 1)
    ]


def measure(bench: Bench) -> Iterator[Row]:
    said = envelopes(MESSAGES)
    takers = {str(groups): timed(partial(_carry, said, groups)) for groups in GROUPS}
    made = timed(lambda: envelopes(MESSAGES))
    samples = interleaved({**takers, "made": made}, bench.rounds(5))
    for groups in GROUPS:
        what = f"publish to read, {groups} group{'s' * (groups > 1)} of readers"
        target = least(100_000) if groups == 1 else None
        yield rate(what, samples[str(groups)], MESSAGES, "messages/s", target)
    yield rate("made and validated, before they are published", samples["made"], MESSAGES, "messages/s")


def _carry(said: Sequence[Envelope], groups: int) -> None:
    read = asyncio.run(_through(said, groups))
    assert read == [len(said)] * groups, f"{read} of {len(said)} came through"


async def _through(said: Sequence[Envelope], groups: int) -> list[int]:
    """Publish all with backpressure, each group reading to the end; how many each read."""
    bus = LocalBus()
    subscriptions = [await bus.subscribe("campaign", f"group{n}") for n in range(groups)]

    async def read(place: int) -> int:
        return len([envelope async for envelope in subscriptions[place]])

    readers = [asyncio.create_task(read(place)) for place in range(groups)]
    for envelope in said:
        await bus.publish(envelope)
    await bus.close()
    return list(await asyncio.gather(*readers))
