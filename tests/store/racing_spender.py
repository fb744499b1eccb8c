"""Asks for the last dollar of a day each time it is told to, as one of several processes; a test runs it.

    racing_spender.py URL CAMPAIGN

Says ``ready``. For each line on its standard input, the number of a UTC day, it opens a call that may take 1 USD of
that day's 1 USD, and says ``granted`` or which limit refused it.
"""

from __future__ import annotations

import asyncio
import sys
from decimal import Decimal

from maestro.store.opening import open_store
from maestro_agents.budget import DAY_MS, Budget, BudgetLimits
from maestro_protocol.errors import BudgetExceeded
from maestro_protocol.messages.campaign import Limits
from maestro_protocol.ports import Amount

OFF = Limits(usd=None, tokens=None, requests=None, seconds=None)
DOLLAR = Limits(usd=Decimal(1), tokens=None, requests=None, seconds=None)


class Calendar:
    """The day that the test says it is."""

    day = 0

    def now_ms(self) -> int:
        return self.day * DAY_MS

    def monotonic(self) -> float:
        return 0.0


async def spend(url: str, campaign: str) -> None:
    clock = Calendar()
    budget = Budget(BudgetLimits(campaign=OFF, role=OFF, day=DOLLAR), clock)
    store = await open_store(url)
    print("ready", flush=True)
    for line in sys.stdin:
        clock.day = int(line)
        try:
            hold = budget.hold(campaign, "critic", Amount(usd=Decimal(1), requests=1))
            await store.calls.opened(campaign, f"{clock.day:064d}", "critic", "{}", hold)
            print("granted", flush=True)
        except BudgetExceeded as refused:
            print(refused.limit, flush=True)
    await store.close()


if __name__ == "__main__":
    asyncio.run(spend(sys.argv[1], sys.argv[2]))
