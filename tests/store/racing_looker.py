"""Opens sealed bars each time it is told to, as one of several processes; a test runs it.

    racing_looker.py URL CAMPAIGN

Says ``ready``. For each line on its standard input, the number of a UTC day, it counts the looks at that day's bars
and opens them, counting again where somebody else was first, and says how many looks it found before its own.
"""

from __future__ import annotations

import asyncio
import sys

from maestro.store.opening import open_store
from maestro_protocol.envelope import Envelope
from maestro_protocol.errors import LooksOvertaken
from maestro_protocol.messages.campaign import HoldoutOpened
from maestro_protocol.messages.sealed import SealedBars, SealedDay

DAY_MS = 86_400_000


async def look(url: str, campaign: str) -> None:
    store = await open_store(url)
    print("ready", flush=True)
    for seq, line in enumerate(sys.stdin, start=1):
        first, end = int(line) * DAY_MS, (int(line) + 1) * DAY_MS
        bars = SealedBars("BTCUSDT", first, end, (SealedDay(first, end, None, ()),))
        name = f"{campaign} {line}"
        while True:
            earlier = (await store.openings.looks(bars, name)).earlier
            body = HoldoutOpened(finalists=("seg1",), opening=1, first_bar=0, bars=1, earlier=earlier)
            said = Envelope(
                id=f"m{seq:06d}", seq=seq, time=seq, campaign=campaign, sender="control", topic="campaign", body=body
            )
            try:
                await store.commit(campaign, [said], opened=store.openings.claim(bars, name, earlier))
                break
            except LooksOvertaken:
                continue
        print(earlier, flush=True)
    await store.close()


if __name__ == "__main__":
    asyncio.run(look(sys.argv[1], sys.argv[2]))
