"""journal owns what the report takes from journal.jsonl: trials, patches with what came of them, pages, calls."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
from pydantic import ValidationError

from maestro_protocol.base import Frozen
from maestro_protocol.errors import DataError, UnknownVersion
from maestro_protocol.messages.campaign import HoldoutOpened, TrialRecorded
from maestro_protocol.messages.gate import GateDecided, GateRequest
from maestro_protocol.messages.plan import (
    MetricChange,
    ModelCalled,
    OnePagePlan,
    PatchApplied,
    PlanEvent,
    Role,
    RoleFellBack,
)
from maestro_protocol.messages.versions import unknown_word, written_elsewhere
from maestro_protocol.space import Value

_SPAN = re.compile(r"^seg(\d+)_test(\d+)")


class _Line(msgspec.Struct):
    id: str
    body: msgspec.Raw
    causation: str | None = None


class _Kind(msgspec.Struct):
    type: str


_SHOWN: tuple[type[Frozen], ...] = (
    GateDecided, GateRequest, HoldoutOpened, ModelCalled, OnePagePlan, PatchApplied, PlanEvent, RoleFellBack,
    TrialRecorded,
)  # fmt: skip
_KINDS: Mapping[str, type[Frozen]] = {kind.__name__: kind for kind in _SHOWN}


@dataclass(frozen=True, slots=True)
class JournalStep:
    """One parameter's part of a patch."""

    parameter: str
    old: Value | None
    """Null where nobody knows it."""
    new: Value


@dataclass(frozen=True, slots=True)
class PatchStory:
    """One patch from the asking to its end: who, why, from where, and what it was worth."""

    steps: tuple[JournalStep, ...]
    asked_by: tuple[Role, ...]
    """Who asked for it first, and who agreed."""
    rule: str | None
    reason: str
    applied_to: str
    status: str
    """applied (and never measured), kept, reverted or refused."""
    said: str
    """Why it was refused, or what the measurement said."""
    effect: MetricChange | None

    @property
    def start(self) -> tuple[int, int] | None:
        """Segment and number of the first test it reached; None where ``applied_to`` says it otherwise."""
        found = _SPAN.match(self.applied_to)
        return (int(found[1]), int(found[2])) if found else None

    def step(self, parameter: str) -> JournalStep | None:
        return next((step for step in self.steps if step.parameter == parameter), None)


@dataclass(slots=True)
class JournalFacts:
    """What the journal tells, in its order."""

    trials: list[TrialRecorded] = field(default_factory=list[TrialRecorded])
    pages: list[OnePagePlan] = field(default_factory=list[OnePagePlan])
    calls: list[ModelCalled] = field(default_factory=list[ModelCalled])
    fallbacks: list[RoleFellBack] = field(default_factory=list[RoleFellBack])
    openings: list[HoldoutOpened] = field(default_factory=list[HoldoutOpened])
    gates: list[GateRequest] = field(default_factory=list[GateRequest])
    decided: dict[str, GateDecided] = field(default_factory=dict[str, GateDecided])
    """Outcomes by gate."""
    stories: list[PatchStory] = field(default_factory=list[PatchStory])


class _Reader:
    """Takes the journal's messages one by one."""

    def __init__(self) -> None:
        self.told = JournalFacts()
        self._causes: dict[str, str | None] = {}
        self._plans: dict[str, PlanEvent] = {}
        self._patches: dict[str, list[PatchApplied]] = {}

    def follow(self, message: str, causation: str | None) -> None:
        """Every message is a link of the chain that leads from a patch to who asked for it."""
        self._causes[message] = causation

    def take(self, message: str, causation: str | None, body: Frozen) -> None:
        told = self.told
        match body:
            case PlanEvent():
                self._plans[message] = body
            case PatchApplied():
                self._patches.setdefault(causation or message, []).append(body)
            case TrialRecorded():
                told.trials.append(body)
            case OnePagePlan():
                told.pages.append(body)
            case ModelCalled():
                told.calls.append(body)
            case RoleFellBack():
                told.fallbacks.append(body)
            case HoldoutOpened():
                told.openings.append(body)
            case GateRequest():
                told.gates.append(body)
            case GateDecided():
                told.decided[body.gate_id] = body
            case _:
                pass

    def end(self) -> JournalFacts:
        self.told.stories = [_story(self._askers(cause), said) for cause, said in self._patches.items()]
        return self.told

    def _askers(self, message: str) -> list[PlanEvent]:
        """The plans that led to a patch, the one that began it first."""
        found: list[PlanEvent] = []
        place, seen = message, set[str]()
        while place and place not in seen:
            seen.add(place)
            if place in self._plans:
                found.append(self._plans[place])
            place = self._causes.get(place) or ""
        return found[::-1]


def _story(plans: Sequence[PlanEvent], said: Sequence[PatchApplied]) -> PatchStory:
    first, last = said[0], said[-1]
    steps = {
        s.patch.parameter: JournalStep(s.patch.parameter, s.patch.old_value, s.patch.new_value)
        for s in reversed(said)
    }
    measured = [change for s in said for change in s.metrics_after_patch]
    return PatchStory(
        steps=tuple(reversed(steps.values())),
        asked_by=tuple(dict.fromkeys(plan.agent for plan in plans)) or (first.agent,),
        rule=next((plan.rule for plan in plans if plan.rule), None),
        reason=plans[0].reason if plans else first.patch.reason,
        applied_to=first.applied_to,
        status=last.status,
        said="" if last.status == "applied" else last.reason,
        effect=measured[-1] if measured else None,
    )


def read_journal(path: Path) -> JournalFacts:
    """The parts of the journal that the report shows. Raises DataError naming the line that cannot be read."""
    reader = _Reader()
    for message, causation, body in _messages(path):
        reader.follow(message, causation)
        if body is not None:
            reader.take(message, causation, body)
    return reader.end()


def _messages(path: Path) -> Iterator[tuple[str, str | None, Frozen | None]]:
    """Id, causation and body of each message; the body of a kind that is not shown stays unread."""
    line_of = msgspec.json.Decoder(_Line)
    kind_of = msgspec.json.Decoder(_Kind)
    with path.open("rb") as file:
        for number, text in enumerate(file, start=1):
            try:
                line = line_of.decode(text)
                kind = _KINDS.get(kind_of.decode(line.body).type)
                body = kind.model_validate_json(bytes(line.body)) if kind else None
            except (msgspec.DecodeError, ValidationError) as error:
                if (word := unknown_word(error)) is not None:
                    raise UnknownVersion(f"{path}: line {number} {written_elsewhere(None, word)}") from None
                raise DataError(
                    f"{path}: line {number} is not a journal entry ({first_line(error)}); export the journal again"
                ) from None
            yield line.id, line.causation, body


def first_line(error: Exception) -> str:
    """What is wrong, in one short line."""
    if isinstance(error, ValidationError):
        problem = error.errors(include_url=False, include_input=False)[0]
        return f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}"[:200]
    return str(error).splitlines()[0][:200]
