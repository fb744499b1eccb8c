"""gates owns the meeting of a waiting campaign and the store in which people answer."""

from __future__ import annotations

import asyncio
import getpass
import os
import sys
from collections import Counter
from collections.abc import Callable, Sequence

from maestro.control import gatekeeping
from maestro.control.steps import MoreBudget, Steps
from maestro.store.gates import Gates
from maestro.wiring import brains
from maestro_agents.api import Budget, BudgetLimits
from maestro_protocol.envelope import Envelope
from maestro_protocol.errors import BudgetExceeded, GateRefused
from maestro_protocol.ids import MessageId
from maestro_protocol.messages.campaign import CampaignConfig, Limits
from maestro_protocol.messages.gate import GateDecided, GateRequest
from maestro_protocol.messages.plan import RoleFellBack
from maestro_protocol.printing import printable

POLL_SECONDS = 0.5


def owner(where: str = "cli") -> str:
    """Who sits at this machine, as a voter's name: by the system's word, since a variable says what anybody sets."""
    try:
        import pwd
    except ImportError:
        return f"{where}:{getpass.getuser()}"
    try:
        return f"{where}:{pwd.getpwuid(os.getuid()).pw_name}"
    except KeyError:
        return f"{where}:uid-{os.getuid()}"


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


def budget_raises(journal: Sequence[Envelope], campaign: str) -> Counter[str]:
    """How often the owner has doubled each limit: the ``campaign``'s, a role's, the ``day``'s."""
    allowed = [d.gate_id for d in budget_decisions(journal, campaign) if d.answer == "approved"]
    return Counter(gate_id.removeprefix(campaign).partition("-")[2] or "campaign" for gate_id in allowed)


def budget_asker(config: CampaignConfig, steps: Steps, budget: Budget, before: Sequence[Envelope]) -> MoreBudget:
    """Asks the owner to double the limits that were reached, and doubles them on a yes. Raises GateRefused on a no.

    A no that stands in *before*, the journal as it was found, is asked again: somebody wants to go on.
    """
    known = {decided.gate_id for decided in budget_decisions(before, config.campaign)}

    async def ask(because: MessageId, stopped: RoleFellBack) -> None:
        whose, _, unit = stopped.limit.rpartition(".")
        if whose not in ("day", *brains.ROLES):
            whose = ""  # the campaign's: a role away may say anything
        while True:
            told = steps.told(GateDecided)
            asked = len(budget_decisions(told, config.campaign)) + 1
            raised = budget_raises(told, config.campaign)
            if _limit(brains.limits_of(config.budget, raised), whose, unit) == 0:
                raise BudgetExceeded(f"{stopped.reason}; a budget of 0 is not made larger by doubling it")
            raised[whose or "campaign"] += 1
            request = gatekeeping.request(
                f"{config.campaign}.budget{asked}" + (f"-{whose}" if whose else ""),
                f"double {_of_whom(whose)} budget for models",
                stopped.reason,
                gatekeeping.budget_bytes(config.campaign, asked, raised),
                config.gates.budget,
                config.gates,
                steps.now_ms(),
            )
            decided = await steps.gate(request, because)
            if decided.answer == "approved":
                budget.raise_to(brains.limits_of(config.budget, raised))
                return
            if decided.gate_id not in known:
                raise GateRefused(
                    f"the budget is used up and raising it was {decided.answer}; the campaign is kept: resume it to "
                    "be asked again"
                )

    return ask


def _limit(limits: BudgetLimits, whose: str, unit: str) -> object:
    scope = limits.day if whose == "day" else limits.of(whose) if whose else limits.campaign
    return getattr(scope, unit) if unit in Limits.model_fields else None


def _of_whom(whose: str) -> str:
    return {"": "the campaign's", "day": "for this campaign the day's"}.get(whose, f"the {whose}'s")


def tell_on_stderr(text: str) -> None:
    """One line for whoever watches the process."""
    sys.stderr.write(f"{printable(text)}\n")
