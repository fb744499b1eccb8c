"""agent_worker owns a role in a process of its own: it answers the campaigns of a bus, each within its own budget."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from maestro.clock import SystemClock
from maestro.settings import Settings
from maestro.wiring import brains, gates, workspace
from maestro.wiring.remote import AgentBus, open_streams, place_of
from maestro_agents.api import Agent, Budget, build_agent, rules_of, serve
from maestro_protocol.envelope import Envelope
from maestro_protocol.errors import AgentError, ConfigError, StoreError, UsageError
from maestro_protocol.ids import CampaignId
from maestro_protocol.messages import Message
from maestro_protocol.messages.campaign import BrainChoice, CampaignConfig
from maestro_protocol.ports import Clock

if TYPE_CHECKING:
    from maestro.store.repository import SqlStore

CAMPAIGNS_AT_ONCE = 16
"""Campaigns whose budgets and connections are kept open; the one asked for longest ago goes first."""


async def answer_questions(choice: BrainChoice, settings: Settings, tell: Callable[[str], None]) -> None:
    """Answer as *choice* says until cancelled. Offline rules need the bus alone, a model the campaigns' store too.

    Raises ConfigError for a key or bus that is not there, StoreError where the store cannot be opened, BusError
    when the bus stays away.
    """
    clock = SystemClock()
    streams = open_streams(settings)
    store = None if choice.brain == "offline" else await _store_of(choice, settings)
    agent = build_agent(choice, clock=clock) if store is None else HiredAgent(choice, settings, clock, store)
    bus = AgentBus(streams, choice, place_of(settings), tell)
    try:
        async with bus.present():
            await serve(agent, bus)
    finally:
        await streams.close()
        if store is not None:
            await store.close()


async def _store_of(choice: BrainChoice, settings: Settings) -> SqlStore:
    """The store in which the campaigns keep their calls to models."""
    brains.client_of(choice, settings)  # a missing key is told before anybody asks
    try:
        return await workspace.open_workspace_store(settings)
    except (StoreError, ConfigError) as error:
        raise type(error)(
            f"{choice.role}: the {choice.brain} brain keeps what it pays for in its campaigns' store and cannot open "
            f"it ({error}); set MAESTRO_DATABASE_URL or --out as for the campaign"
        ) from None


@dataclass
class _Hire:
    """One campaign's agent, with its budget's limits; what counts in them is in the store."""

    agent: Agent
    config: CampaignConfig
    budget: Budget
    read: int = 0
    """Journal up to which raises of the budget are known."""
    raised: Counter[str] = field(default_factory=Counter[str])


class HiredAgent(Agent):
    """One role for every campaign whose journal is in *store*: the campaign's config says how it may think."""

    def __init__(self, choice: BrainChoice, settings: Settings, clock: Clock, store: SqlStore) -> None:
        super().__init__(rules_of(choice.role), clock=clock)
        self._choice = choice
        self._settings = settings
        self._store = store
        self._hires: OrderedDict[CampaignId, _Hire] = OrderedDict()

    async def handle(self, envelope: Envelope) -> Sequence[Message]:
        """As :meth:`Agent.handle`. Raises AgentError for a campaign that is not in the store."""
        hire = self._hires.get(envelope.campaign) or await self._hire(envelope.campaign)
        self._hires.move_to_end(envelope.campaign)
        await self._catch_up(envelope.campaign, hire)
        return await hire.agent.handle(envelope)

    async def _hire(self, campaign: CampaignId) -> _Hire:
        from maestro.wiring.campaigns import config_of  # brings the engine, which offline rules have no need of

        try:
            config = await config_of(campaign, self._store)
        except UsageError as error:
            raise AgentError(
                f"the agent's store is not the campaign's ({error}); start the agent with the same "
                "MAESTRO_DATABASE_URL or --out"
            ) from None
        budget = Budget(brains.limits_of(config.budget, {}), self.clock)
        make = brains.paying(config, self._settings, self.clock, self._store.calls, budget)
        hire = self._hires[campaign] = _Hire(make(self._choice), config, budget)
        if len(self._hires) > CAMPAIGNS_AT_ONCE:
            _, oldest = self._hires.popitem(last=False)
            await oldest.agent.close()
        return hire

    async def _catch_up(self, campaign: CampaignId, hire: _Hire) -> None:
        """Learn what the owner has allowed since."""
        records = await self._store.records(campaign, after=hire.read, types=("GateDecided",))
        if not records:
            return
        hire.read = records[-1].seq
        hire.raised += gates.budget_raises([record.envelope() for record in records], campaign)
        hire.budget.raise_to(brains.limits_of(hire.config.budget, hire.raised))

    async def close(self) -> None:
        for hire in self._hires.values():
            await hire.agent.close()
