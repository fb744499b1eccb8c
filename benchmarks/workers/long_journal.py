"""long_journal owns a campaign with a long journal: made once, then walked again the way a resumed campaign does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any, cast

from wire import serve, timed

from maestro.clock import SystemClock
from maestro.control.durable_run import Steps
from maestro.store.opening import open_store
from maestro_protocol.bus import LocalBus
from maestro_protocol.envelope import Envelope
from maestro_protocol.ids import message_id
from maestro_protocol.messages.campaign import TrialRecorded
from maestro_protocol.ports import Gate, Runner
from maestro_protocol.values import as_params

CAMPAIGN = "bench"
AT = 1_735_689_600_000
PORTION = 5_000
PARAMS = as_params(
    {
        "atr_stop_mult": 1.5,
        "hard_tp_usd": 300.0,
        "timeout_bars": 120,
        "macd_fast": 12,
        "macd_slow": 26,
        "gate_cvd": True,
    }
)


def bodies(first: int, count: int) -> Iterator[TrialRecorded]:
    """What is said, over and over: the message a campaign has most of."""
    for number in range(first, first + count):
        yield TrialRecorded(
            run_id=f"seg1-v{number}",
            segment=1,
            proposed_by="strategist",
            methods=("macd_trend",),
            params=PARAMS,
            fate="run",
        )


def make(url: str, rows: int) -> dict[str, Any]:
    async def work() -> None:
        store = await open_store(url)
        for first in range(1, rows + 1, PORTION):
            said = enumerate(bodies(first, PORTION), start=first)
            await store.commit(CAMPAIGN, [_envelope(seq, body) for seq, body in said])
        await store.close()

    asyncio.run(work())
    return {}


def _envelope(seq: int, body: TrialRecorded) -> Envelope:
    return Envelope(
        id=message_id(seq),
        seq=seq,
        time=AT + seq,
        campaign=CAMPAIGN,
        sender="control",
        topic="campaign",
        body=body,
    )


def resume(url: str, rows: int) -> dict[str, Any]:
    """Seconds to open the store and read the journal; *walked* adds walking the same path to where it ended."""
    begun = time.perf_counter()

    async def work() -> Steps:
        store = await open_store(url)
        # nothing is run and no gate is asked while a path is walked again
        steps = Steps(CAMPAIGN, store, LocalBus(), cast("Runner", None), SystemClock(), cast("Gate", None))
        await steps.open()
        await store.close()
        return steps

    spent, steps = timed(lambda: asyncio.run(work()))
    for body in bodies(1, rows):
        steps.say(body)
    walked = time.perf_counter() - begun
    assert steps.place == rows, "the journal was not walked to its end"
    assert not steps.walking_again, "the journal was not walked to its end"
    return {**spent, "walked": walked}


if __name__ == "__main__":
    serve({"make": make, "resume": resume})
