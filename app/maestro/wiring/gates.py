"""gates owns the meeting of a waiting campaign and the store in which people answer."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import NamedTuple

from maestro.control import gatekeeping
from maestro.control.durable_run import MoreBudget, Steps
from maestro.lines import warn
from maestro.store.gates import GateStore
from maestro.wiring import brains
from maestro_agents.api import DAY_MS, Budget, BudgetLimits, scoped_day
from maestro_protocol.envelope import Envelope
from maestro_protocol.errors import BudgetExceeded, GateRefused
from maestro_protocol.ids import MessageId
from maestro_protocol.messages.campaign import CampaignConfig, Limits
from maestro_protocol.messages.gate import GateDecided, GateRequest
from maestro_protocol.messages.plan import RoleFellBack

POLL_SECONDS = 0.5


class StoreGate:
    """The Gate port over the store: puts the question there and waits until somebody answers or it expires."""

    def __init__(self, gates: GateStore, campaign: str, tell: Callable[[str], None]) -> None:
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
            raise GateRefused(
                f"gate {request.gate_id}: the recorded campaign never decided it; its journal was changed, or this "
                "Maestro asks otherwise"
            )
        return self._decided[request.gate_id]


def budget_decisions(journal: Sequence[Envelope], campaign: str) -> list[GateDecided]:
    """What the owner said so far when the campaign's budget was used up."""
    prefix = gatekeeping.gate_id(campaign, "budget")
    return [e.body for e in journal if isinstance(e.body, GateDecided) and e.body.gate_id.startswith(prefix)]


UNIT_SHORT = {"usd": "usd", "tokens": "tok", "requests": "req", "seconds": "sec"}
"""Units in a gate's name, which is short."""
_RAISE = re.compile(rf"\d+(?:-(?P<scope>[^.]+))?(?:\.(?P<unit>{'|'.join(UNIT_SHORT.values())})(?P<times>\d+))?")


def budget_raises(journal: Sequence[Envelope], campaign: str) -> Counter[str]:
    """How often the owner has doubled each limit: the ``campaign``'s, a role's, that of ``day-2026-11-20``.

    ``critic.tokens`` is one limit of a scope, where the next step needs more of it than a doubling gives.
    """
    prefix = gatekeeping.gate_id(campaign, "budget")
    raises: Counter[str] = Counter()
    for decided in budget_decisions(journal, campaign):
        found = _RAISE.fullmatch(decided.gate_id.removeprefix(prefix))
        if decided.answer == "approved" and found is not None:
            unit = next((name for name, short in UNIT_SHORT.items() if short == found["unit"]), "")
            scope = found["scope"] or "campaign"
            raises[f"{scope}.{unit}" if unit else scope] += int(found["times"] or 1)
    return raises


def doublings(limit: Decimal | float | None, needed: Decimal | None) -> int:
    """How often *limit* must be doubled to hold *needed*; at least once."""
    times = 1
    while limit and needed is not None and Decimal(str(limit)) * 2**times < needed:
        times += 1
    return times


def budget_asker(
    config: CampaignConfig,
    steps: Steps,
    budget: Budget,
    before: Sequence[Envelope],
    *,
    retold: bool = False,
) -> MoreBudget:
    """Asks the owner to double the limits that were reached, and doubles them on a yes. Raises GateRefused on a no.

    A no that stands in *before*, the journal as it was found, is asked again: somebody wants to go on. A day's gate
    ends with its day, and a day that is over is not asked about: the next one has a limit of its own. A campaign that
    is *retold* asks what *before* asked, whatever day it is.
    """
    known = {decided.gate_id for decided in budget_decisions(before, config.campaign)}
    put = {said.body.gate_id for said in before if isinstance(said.body, GateRequest)}

    async def ask(because: MessageId, stopped: RoleFellBack) -> None:
        whose, _, unit = stopped.limit.rpartition(".")
        day = scoped_day(whose)
        if day is None and whose not in brains.ROLES:
            whose = ""  # the campaign's: a role away may say anything
        while True:
            told = steps.told(GateDecided)
            asked = len(budget_decisions(told, config.campaign)) + 1
            raised = budget_raises(told, config.campaign)
            step = _step(brains.limits_of(config.budget, raised), whose, unit, stopped)
            gate_id = gatekeeping.gate_id(
                config.campaign, f"budget{asked}" + (f"-{whose}" if whose else "") + step.suffix
            )
            over = None if day is None else (day + 1) * DAY_MS
            if over is not None and gate_id not in put and (retold or over <= steps.now_ms()):
                return
            raised[step.scope] += step.times
            request = gatekeeping.request(
                gate_id,
                step.action,
                stopped.reason,
                gatekeeping.budget_bytes(config.campaign, asked, raised),
                config.gates.budget,
                config.gates,
                steps.now_ms(),
            )
            if over is not None:  # the next day has a limit of its own: nobody need answer for this one
                request = request.model_copy(update={"expires_at": min(request.expires_at, over)})
            decided = await steps.gate(request, because)
            if decided.answer == "approved":
                budget.raise_to(brains.limits_of(config.budget, raised))
                return
            if decided.answer == "expired" and over is not None and over <= decided.at:
                return
            if decided.gate_id not in known:
                said = "nobody said yes in time to" if decided.answer == "expired" else "the answer was no to"
                raise GateRefused(
                    f"the budget is used up and {said} raising it; the campaign is kept: resume it to be asked again"
                )

    return ask


class _Step(NamedTuple):
    """What a gate asks for: how often the limits of *scope* are doubled, in words, and in its own name."""

    scope: str
    times: int
    action: str
    suffix: str = ""


def _step(limits: BudgetLimits, whose: str, unit: str, stopped: RoleFellBack) -> _Step:
    """The step that is enough for what was stopped: a doubling, or more of the one limit that stopped it.

    Raises BudgetExceeded where no doubling helps.
    """
    limit = _limit(limits, whose, unit)
    if limit == 0:
        raise BudgetExceeded(f"{stopped.reason}; a budget of 0 is not made larger by doubling it")
    times = doublings(limit, stopped.needed)
    scope, of_whom = whose or "campaign", _of_whom(whose)
    if times == 1 or limit is None:
        return _Step(scope, 1, f"double {of_whom} budget for models")
    action = f"raise {of_whom} limit of {limit} {unit} for models to {limit * 2**times}, which the next request needs"
    return _Step(f"{scope}.{unit}", times, action, f".{UNIT_SHORT[unit]}{times}")


def _limit(limits: BudgetLimits, whose: str, unit: str) -> Decimal | float | None:
    day = scoped_day(whose)
    scope = limits.on(day) if day is not None else limits.of(whose) if whose else limits.campaign
    return getattr(scope, unit) if unit in Limits.model_fields else None


def _of_whom(whose: str) -> str:
    if scoped_day(whose) is not None:
        return f"for this campaign the UTC day {whose.removeprefix('day-')}'s"
    return f"the {whose or 'campaign'}'s"


def tell_on_stderr(text: str) -> None:
    """One line for whoever watches the process."""
    warn(text)
