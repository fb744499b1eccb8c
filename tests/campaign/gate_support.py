"""gate_support owns the people who answer a campaign's gates in tests: from elsewhere, over a store of their own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from campaign_support import begin

from maestro.clock import SystemClock
from maestro.settings import Settings
from maestro.store.gates import GateStore
from maestro.wiring import workspace
from maestro.wiring.campaigns import CampaignRun, resume_campaign
from maestro.wiring.workspace import owner as owner_here
from maestro_protocol.messages.campaign import CampaignConfig
from maestro_protocol.messages.gate import GateRequest, GateVote

Answer = Callable[[GateStore, GateRequest], Awaitable[None]]


@asynccontextmanager
async def people(settings: Settings, owner: str | None = None) -> AsyncIterator[GateStore]:
    """Somebody at another terminal: a connection of their own to the same store."""
    store = await workspace.open_workspace_store(settings)
    try:
        yield GateStore(store, SystemClock(), owner or owner_here())
    finally:
        await store.close()


def vote(request: GateRequest, approve: bool, **more: Any) -> GateVote:
    given: dict[str, Any] = {"gate_id": request.gate_id, "bound_to": request.bound_to, "approve": approve}
    given |= {"who": owner_here(), "where": "test", "at": 1}
    return GateVote(**(given | more))


async def attended(config: CampaignConfig, settings: Settings, answer: Answer) -> tuple[CampaignRun, list[str]]:
    """The campaign to its end while *answer* is given to every gate; the gates in the order they were seen."""
    await begin(config, settings)
    return await gone_on_with(config.campaign, settings, answer)


async def gone_on_with(campaign: str, settings: Settings, answer: Answer) -> tuple[CampaignRun, list[str]]:
    """As ``attended``, of a campaign that was begun."""
    seen: list[str] = []

    async def attend() -> None:
        async with people(settings) as gates:
            while True:
                for state in await gates.pending():
                    seen.append(state.request.gate_id)
                    await answer(gates, state.request)
                await asyncio.sleep(0.01)

    there = asyncio.create_task(attend())
    try:
        return await resume_campaign(campaign, settings, lambda progress: None, 1), seen
    finally:
        there.cancel()
        with suppress(asyncio.CancelledError):
            await there


async def yes(gates: GateStore, request: GateRequest) -> None:
    await gates.vote(vote(request, True, reason="fine"))


async def no(gates: GateStore, request: GateRequest) -> None:
    await gates.vote(vote(request, False, reason="not on my watch"))
