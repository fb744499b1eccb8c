"""busy_exchange owns the double of an exchange in a process of its own, as busy as is asked for.

Task: ``open`` gives its address; it serves until standard input ends.
"""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import numpy as np
from wire import serve

from maestro_engine.feeds.clock import SuppliedClock
from maestro_engine.feeds.sim import SimSettings
from maestro_engine.testing.exchange_server.server import serve as listening
from maestro_engine.testing.exchange_server.tape import SimTape


def open_(trades_per_s: float) -> dict[str, Any]:
    ready: list[str] = []
    there = threading.Event()

    async def run() -> None:
        clock = SuppliedClock(time.time_ns, time.monotonic_ns)
        start_ms = time.time_ns() // 60_000_000_000 * 60_000
        tape = SimTape(SimSettings(5, start_ms=start_ms, trades_per_s=trades_per_s))
        async with listening(tape, clock, np.random.default_rng(5)) as double:
            ready.append(f"127.0.0.1:{double.port}")
            there.set()
            await asyncio.Event().wait()

    threading.Thread(target=lambda: asyncio.run(run()), daemon=True).start()
    there.wait()
    return {"address": ready[0]}


if __name__ == "__main__":
    serve({"open": open_})
