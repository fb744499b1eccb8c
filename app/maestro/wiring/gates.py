"""gates owns the meeting of a waiting campaign and the store in which people answer."""

from __future__ import annotations

import asyncio
import getpass
import sys
from collections.abc import Callable, Sequence

from maestro.control import gatekeeping
from maestro.control.steps import MoreBudget, Steps
from maestro.store.gates import Gates
from maestro.wiring.brains import limits_of
from maestro_agents.api import Budget, BudgetLimits
from maestro_protocol.envelope import Envelope
from maestro_protocol.errors import BudgetExceeded, GateRefused
from maestro_protocol.ids import MessageId
from maestro_protocol.messages.campaign import CampaignConfig
from maestro_protocol.messages.gate import GateDecided, GateRequest

POLL_SECONDS = 0.5


def owner() -> str:
    """Who sits at this machine, as a voter's name."""
    try:
        return f"cli:{getpass.getuser()}"
    except (OSError, KeyError):
        return "cli:owner"


class StoreGate:
    """The Gate port over the store: puts the question there and waits until somebody answers or it expires."""

    def __init__(self, gates: Gates, campaign: str, tell: Callable[[str], None]) -> None:
        self._gates = gates
        self._campaign = campaign
        self._tell = tell

    async def ask(self, request: GateRequest) -> GateDecided:
        state = await self._gates.request(request, self._campaign)
        if state.decided is None:
            self._tell(f"waiting at gate {request.gate_id}: {request.action}; maestro gate approve {request.gate_id}")
        while state.decided is None:
            await asyncio.sleep(POLL_SECONDS)
            state = await self._gates.get(request.gate_id)
        return state.decided


class RecordedGate:
    """The Gate port over a journal: gates are decided as they were."""

    def __init__(self, journal: Sequence[Envelope]) -> None:
        self._decided = {e.body.gate_id: e.body for e in journal if isinstance(e.body, GateDecided)}

    async def ask(self, request: GateRequest) -> GateDecided:
        if request.gate_id not in self._decided:
            raise GateRefused(f"gate {request.gate_id}: the recorded campaign never decided it")
        return self._decided[request.gate_id]


def budget_decisions(journal: Sequence[Envelope], campaign: str) -> list[GateDecided]:
    """What the owner said so far when the campaign's budget was used up."""
    prefix = f"{campaign}.budget"
    return [e.body for e in journal if isinstance(e.body, GateDecided) and e.body.gate_id.startswith(prefix)]


def budget_asker(config: CampaignConfig, steps: Steps, budget: Budget, before: Sequence[Envelope]) -> MoreBudget:
    """Asks the owner to double the budget, and doubles it on a yes. Raises GateRefused on a no.

    A no that stands in *before*, the journal as it was found, is asked again: somebody wants to go on.
    """
    known = {decided.gate_id for decided in budget_decisions(before, config.campaign)}

    async def ask(because: MessageId, reason: str) -> None:
        while True:
            told = budget_decisions(steps.told(), config.campaign)
            raised = sum(decided.answer == "approved" for decided in told) + 1
            if limits_of(config.budget, raised) == limits_of(config.budget, raised - 1):
                raise BudgetExceeded(f"{reason}; a budget of 0 is not made larger by doubling it")
            request = gatekeeping.request(
                f"{config.campaign}.budget{len(told) + 1}",
                "double the budget for models",
                reason,
                gatekeeping.budget_bytes(config.campaign, len(told) + 1, raised),
                config.gates.budget,
                config.gates,
                steps.now_ms(),
            )
            decided = await steps.gate(request, because)
            if decided.answer == "approved":
                budget.raise_to(BudgetLimits(campaign=limits_of(config.budget, raised)))
                return
            if decided.gate_id not in known:
                raise GateRefused(
                    f"the budget is used up and raising it was {decided.answer}; the campaign is kept: resume it to "
                    "be asked again"
                )

    return ask


def tell_on_stderr(text: str) -> None:
    """One line for whoever watches the process."""
    sys.stderr.write(f"{text}\n")
