"""journal owns what the report takes from journal.jsonl: trials, patches with what came of them, pages, calls."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec
from pydantic import ValidationError

from maestro_protocol.base import Frozen
from maestro_protocol.errors import DataError
from maestro_protocol.messages.campaign import HoldoutOpened, TrialRecorded
from maestro_protocol.messages.plan import (
    MetricChange,
    ModelCalled,
    OnePagePlan,
    PatchApplied,
    PlanEvent,
    Role,
    RoleFellBack,
)
from maestro_protocol.space import Value

_SPAN = re.compile(r"^seg(\d+)_test(\d+)")


class _Line(msgspec.Struct):
    id: str
    body: msgspec.Raw
    causation: str | None = None


class _Kind(msgspec.Struct):
    type: str


_KINDS: Mapping[str, type[Frozen]] = {
    kind.__name__: kind
    for kind in (HoldoutOpened, ModelCalled, OnePagePlan, PatchApplied, PlanEvent, RoleFellBack, TrialRecorded)
}


@dataclass(frozen=True, slots=True)
class PatchStory:
    """One parameter's patch from the asking to its end: who, why, from where, and what it was worth."""

    parameter: str
    old: Value
    new: Value
    asked_by: Role
    rule: str | None
    reason: str
    applied_to: str
    status: str
    """applied (and never measured), kept, reverted or refused."""
    said: str
    """Why it was refused, or what the measurement said."""
    effect: MetricChange | None = None

    @property
    def start(self) -> tuple[int, int] | None:
        """Segment and number of the first test it reached; None where ``applied_to`` says it otherwise."""
        found = _SPAN.match(self.applied_to)
        return (int(found[1]), int(found[2])) if found else None


@dataclass(slots=True)
class Told:
    """What the journal tells, in its order."""

    trials: list[TrialRecorded] = field(default_factory=list[TrialRecorded])
    pages: list[OnePagePlan] = field(default_factory=list[OnePagePlan])
    calls: list[ModelCalled] = field(default_factory=list[ModelCalled])
    fallbacks: list[RoleFellBack] = field(default_factory=list[RoleFellBack])
    openings: list[HoldoutOpened] = field(default_factory=list[HoldoutOpened])
    stories: list[PatchStory] = field(default_factory=list[PatchStory])


def read_journal(path: Path) -> Told:
    """The parts of the journal that the report shows. Raises DataError naming the line that cannot be read."""
    told = Told()
    asked: dict[str, PlanEvent] = {}
    stories: dict[tuple[str, str], PatchStory] = {}
    keep: dict[type[Frozen], Callable[..., None]] = {
        TrialRecorded: told.trials.append,
        OnePagePlan: told.pages.append,
        ModelCalled: told.calls.append,
        RoleFellBack: told.fallbacks.append,
        HoldoutOpened: told.openings.append,
    }
    for message, causation, body in _messages(path):
        if isinstance(body, PlanEvent):
            asked[message] = body
        elif isinstance(body, PatchApplied):
            key = (causation or message, body.patch.parameter)
            stories[key] = _told_on(stories.get(key), body, asked.get(causation or ""))
        else:
            keep[type(body)](body)
    told.stories = list(stories.values())
    return told


def _told_on(story: PatchStory | None, body: PatchApplied, asked: PlanEvent | None) -> PatchStory:
    effect = body.metrics_after_patch[0] if body.metrics_after_patch else None
    if story is not None:
        return replace(story, status=body.status, said=body.reason, effect=effect or story.effect)
    return PatchStory(
        parameter=body.patch.parameter,
        old=body.patch.old_value,
        new=body.patch.new_value,
        asked_by=asked.agent if asked else body.agent,
        rule=asked.rule if asked else None,
        reason=asked.reason if asked else body.patch.reason,
        applied_to=body.applied_to,
        status=body.status,
        said=body.reason if body.status != "applied" else "",
        effect=effect,
    )


def _messages(path: Path) -> Iterator[tuple[str, str | None, Frozen]]:
    """Id, causation and body of each message of a kind that is shown; the others are skipped unread."""
    line_of = msgspec.json.Decoder(_Line)
    kind_of = msgspec.json.Decoder(_Kind)
    with path.open("rb") as file:
        for number, text in enumerate(file, start=1):
            try:
                line = line_of.decode(text)
                kind = _KINDS.get(kind_of.decode(line.body).type)
                if kind is not None:
                    yield line.id, line.causation, kind.model_validate_json(bytes(line.body))
            except (msgspec.DecodeError, ValidationError) as error:
                raise DataError(
                    f"{path}: line {number} is not a journal entry ({first_line(error)}); export the journal again"
                ) from None


def first_line(error: Exception) -> str:
    """What is wrong, in one short line."""
    if isinstance(error, ValidationError):
        problem = error.errors(include_url=False, include_input=False)[0]
        return f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}"[:200]
    return str(error).splitlines()[0][:200]
