"""maestro_risk_officer is a role from outside: it asks for wider stops where one is nearer than the noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from maestro_protocol.messages.plan import Advice
from maestro_protocol.messages.report import Briefing
from maestro_protocol.values import Change, as_mapping

LEAST_STOP = 1.5


@dataclass(frozen=True)
class RiskOfficer:
    name: str = "risk_officer"
    duty: str = "looks for stops that noise alone would hit"
    prompt: str = "- A stop nearer than 1.5 ATR is hit by noise: ask for a wider one."
    asked: Literal["after_proposal"] = "after_proposal"

    def advise(self, briefing: Briefing) -> Advice:
        """A wider stop for the first proposed variation whose stop is near."""
        variations = briefing.proposal.variations if briefing.proposal else ()
        near = [
            stop for v in variations if (stop := as_mapping(v.params).get("atr_stop_mult", LEAST_STOP)) < LEAST_STOP
        ]
        change = (Change(parameter="atr_stop_mult", old=near[0], new=LEAST_STOP),) if near else ()
        text = f"{len(near)} of {len(variations)} stops are nearer than {LEAST_STOP} ATR"
        return Advice(agent=self.name, turn=briefing.turn, text=text, suggested_changes=change, confidence=0.6)


ROLE = RiskOfficer()
