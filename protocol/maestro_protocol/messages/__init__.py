"""messages owns the one union of everything that is said: told apart by ``type``, versioned by its envelope.

To add a message: define it in the file of its subject with a ``type`` literal, list it in ``Message``,
and regenerate the schemas with ``maestro schema --write``.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field

from maestro_protocol.messages.campaign import (
    CampaignConfig,
    CampaignFinished,
    HoldoutOpened,
    LooksCounted,
    TrialRecorded,
    Verdict,
)
from maestro_protocol.messages.events import BatchFinished, ScoreEvent, TradeEvent
from maestro_protocol.messages.gate import GateDecided, GateRequest, GateVote
from maestro_protocol.messages.legacy_keys import typed
from maestro_protocol.messages.plan import (
    Advice,
    Critique,
    ModelCalled,
    Nomination,
    OnePagePlan,
    PatchApplied,
    PlanEvent,
    Proposal,
    RoleFellBack,
    RunConfigDraft,
    SegmentPlan,
)
from maestro_protocol.messages.report import Briefing, SegmentFinished
from maestro_protocol.messages.work import TaskAssigned, TaskSpec

Message = Annotated[
    Advice
    | BatchFinished
    | Briefing
    | CampaignConfig
    | CampaignFinished
    | Critique
    | GateDecided
    | GateRequest
    | GateVote
    | HoldoutOpened
    | LooksCounted
    | ModelCalled
    | Nomination
    | OnePagePlan
    | PatchApplied
    | PlanEvent
    | Proposal
    | RoleFellBack
    | RunConfigDraft
    | ScoreEvent
    | SegmentFinished
    | SegmentPlan
    | TaskAssigned
    | TaskSpec
    | TradeEvent
    | TrialRecorded
    | Verdict,
    Field(discriminator="type"),
    BeforeValidator(typed),
]
"""Everything that can be said on the bus or stand in the journal."""
