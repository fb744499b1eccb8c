"""patching owns the way from an alert to a change: who is asked, what is checked, who permits it, what is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from maestro.control import gatekeeping, patcher
from maestro.control.context import Desk
from maestro_protocol.config import Patch, RunConfig
from maestro_protocol.envelope import Envelope
from maestro_protocol.errors import GateRefused, UsageError
from maestro_protocol.ids import MessageId, RunId
from maestro_protocol.messages.plan import Goal, MetricChange, PatchApplied, PlanEvent
from maestro_protocol.messages.report import Alert
from maestro_protocol.space import ParameterSpace, Value
from maestro_protocol.values import Change

Status = Literal["applied", "refused", "kept", "reverted"]
ACTIONS = {"applied": "apply", "refused": "apply", "kept": "measure", "reverted": "revert"}


@dataclass
class Changing:
    """Changes of one segment's configurations, or of a chain's."""

    desk: Desk
    segment: int
    goal: Goal
    tests: int
    approved: Mapping[str, Value] = field(default_factory=dict[str, Value])
    """Of each parameter the value that the variation began with, or that a person approved since."""

    async def agreed(self, alerts: tuple[Alert, ...], template: RunConfig) -> Envelope | None:
        """Critic asks, strategist has the last word: their PlanEvent, or None where the critic keeps all."""
        desk = self.desk
        more: dict[str, object] = {"alerts": alerts, "current": desk.standings.report(template.run_id)}
        asked = await desk.steps.ask(
            desk.briefing("critic", "PlanEvent", self.segment, self.goal, self.tests, **more)
        )
        event = asked.body
        assert isinstance(event, PlanEvent)
        if event.action == "keep":
            return None
        more["asked"] = event
        briefing = desk.briefing("strategist", "PlanEvent", self.segment, self.goal, self.tests, **more)
        return await desk.steps.ask(briefing, because=asked.id)

    async def patched(
        self,
        template: RunConfig,
        event: PlanEvent,
        because: MessageId,
        run_id: RunId,
        reach: str,
        refused: str | None = None,
    ) -> RunConfig | None:
        """*template* with the event's changes, as run *run_id*; None, and told, where they do not hold.

        *refused* is a reason not even to try.
        """
        desk = self.desk
        space = desk.space(template.methods)
        try:
            if refused is not None:
                raise UsageError(refused)
            patched = patcher.apply_changes(template, event.change, space, run_id, because, event.reason)
            desk.runner.check(patched)
            self.approved = await self._permission(patched, event, space, because)
        except (UsageError, GateRefused) as error:
            desk.patches_refused += 1
            values = template.values() | {change.parameter: change.new for change in event.change}
            desk.steps.say(desk.ledger.refuse(run_id, self.segment, "critic", template.methods, values, str(error)))
            desk.notes.extend(f"refused: {step(c)} ({error})" for c in patcher.with_old(event.change, template))
            self.tell(template, event.change, "refused", reach, str(error), "the tests go on as they are", because)
            return None
        desk.patches_applied += 1
        return patched

    async def _permission(
        self, patched: RunConfig, event: PlanEvent, space: ParameterSpace, because: MessageId
    ) -> Mapping[str, Value]:
        """What is approved with this patch: ask the owner where the policy says so. Raises GateRefused."""
        desk, approved = self.desk, self.approved
        policy = desk.config.gates
        risk = gatekeeping.risk_of(event.change, approved, space, policy)
        if policy.classes.of(risk).needs == 0:
            return approved
        now = desk.steps.now_ms()
        request = gatekeeping.patch_request(patched, approved, risk, policy, event.reason, now, desk.config.campaign)
        decided = await desk.steps.gate(request, because)
        if decided.answer != "approved":
            raise GateRefused(f"the patch was {decided.answer}: {decided.reason}")
        return gatekeeping.approving(approved, event.change)

    def tell(
        self,
        template: RunConfig,
        changes: Sequence[Change],
        status: Status,
        reach: str,
        reason: str,
        next_step: str,
        because: MessageId,
        measured: MetricChange | None = None,
    ) -> None:
        """Say of each of *changes* to *template* what became of it."""
        desk = self.desk
        for change in patcher.with_old(changes, template):
            patch = Patch(
                parameter=change.parameter,
                old_value=change.old,
                new_value=change.new,
                reason=reason[:300],
                applied_at=None if status == "refused" else desk.steps.now_ms(),
            )
            said = PatchApplied.model_validate(
                {
                    "agent": "maestro",
                    "turn": desk.turn,
                    "action": ACTIONS[status],
                    "patch": patch,
                    "applied_to": reach,
                    "metrics_after_patch": () if measured is None else (measured,),
                    "status": status,
                    "reason": reason[:300],
                    "next_step": next_step,
                }
            )
            desk.steps.say(said, sender="maestro", because=because)


def step(change: Change) -> str:
    """A change in a few characters."""
    return f"{change.parameter} {'unknown' if change.old is None else change.old} -> {change.new}"
