"""lineage owns the answer to "who set this parameter?": the chain of runs, words and approvals behind it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from maestro.yaml_reader import parse, read_bytes
from maestro_protocol.config import RunConfig
from maestro_protocol.envelope import Envelope
from maestro_protocol.errors import ConfigError, ParameterError, UnknownVersion, UsageError
from maestro_protocol.messages import Message
from maestro_protocol.messages.gate import GateDecided
from maestro_protocol.messages.plan import Critique, PlanEvent, Proposal, RunConfigDraft, SegmentPlan
from maestro_protocol.messages.versions import unknown_word, written_elsewhere
from maestro_protocol.space import Value

MAX_CHAIN = 1_000


@dataclass(frozen=True)
class Statement:
    """One message of the chain: who said it, in which words, on which evidence."""

    id: str
    sender: str
    type: str
    words: str
    evidence: str


@dataclass(frozen=True)
class Link:
    """One run in which the parameter got another value, the newest first."""

    run: str
    parent: str | None
    old: Value | None
    new: Value
    said: tuple[Statement, ...]
    """What set it, and what that followed from."""
    approved_by: tuple[str, ...]
    """People who approved it at a gate; empty where the policy asks nobody."""


@dataclass(frozen=True)
class Lineage:
    """How a run came to a parameter's value, back to the declared default."""

    run: str
    parameter: str
    value: Value
    links: tuple[Link, ...]
    converted: str = ""
    """What an amount of money comes to at this run's size; empty for what does not scale."""


def explain(folder: Path, journal: Iterable[Envelope], run: str, parameter: str) -> Lineage:
    """The chain behind *parameter* of *run*. Raises UsageError, ParameterError for what is not known."""
    by_id = {envelope.id: envelope for envelope in journal}
    config = read_run(folder, run)
    if parameter not in config.values():
        raise ParameterError(
            f"{run} has no parameter {parameter[:64]!r}; it has {', '.join(sorted(config.values()))}"
        )
    links: list[Link] = []
    current: RunConfig | None = config
    while current is not None and len(links) < MAX_CHAIN:
        links.extend(_links(current, parameter, by_id))
        current = read_run(folder, current.parent_run) if current.parent_run is not None else None
    value = config.values()[parameter]
    return Lineage(run, parameter, value, tuple(links), _converted(config, parameter, value))


def _converted(config: RunConfig, parameter: str, value: Value) -> str:
    """How an amount of money, stated for one size, trades at this run's."""
    sizing = config.sizing
    if sizing.declared_for is None or parameter not in sizing.scaled:
        return ""
    stated = f"stated for {sizing.declared_for:,f} USD"
    if sizing.quantity is not None:
        return f"{stated}; a position of {sizing.quantity} trades by its own share of that, as its trail says"
    return f"{stated}; at {sizing.notional_usd:,f} USD it trades as {value * float(sizing.share):g}"


def _links(config: RunConfig, parameter: str, by_id: Mapping[str, Envelope]) -> list[Link]:
    return [
        Link(
            run=config.run_id,
            parent=config.parent_run,
            old=change.old,
            new=change.new,
            said=tuple(_words(change.because, by_id)),
            approved_by=tuple(_approvers(change.because, by_id)),
        )
        for change in config.changes_from_parent
        if change.parameter == parameter
    ]


def _words(message: str | None, by_id: Mapping[str, Envelope]) -> Iterable[Statement]:
    """The message that set the value, and the role's words it followed from."""
    while message is not None and message in by_id:
        envelope = by_id[message]
        words, evidence = in_words(envelope.body)
        if words:
            yield Statement(envelope.id, envelope.sender, envelope.body.type, words, evidence)
        message = envelope.causation


def _approvers(message: str | None, by_id: Mapping[str, Envelope]) -> Iterable[str]:
    for envelope in by_id.values():
        if isinstance(envelope.body, GateDecided) and envelope.causation == message and message is not None:
            yield from (f"{who} ({envelope.body.answer} {envelope.body.gate_id})" for who in envelope.body.by)


def in_words(body: Message) -> tuple[str, str]:
    """The sentence of a message that set a value, and its evidence; empty for what is only on the way."""
    if isinstance(body, PlanEvent):
        rule = f" (rule {body.rule})" if body.rule else ""
        return f"{body.action}: {body.reason}{rule}", body.evidence
    if isinstance(body, Proposal):
        return body.proposal, "; ".join(variation.rationale for variation in body.variations)
    if isinstance(body, Critique):
        return f"{body.verdict}: {body.next_step}", "; ".join(item.problem for item in body.analysis)
    if isinstance(body, SegmentPlan):  # nobody proposed the value: it was drawn by lot for the segment's goal
        return body.reason, f"drawn by lot for {body.goal.replace('_', ' ')}"
    if isinstance(body, RunConfigDraft):
        strays = ", ".join(f"{j.parameter} by {j.steps} steps" for j in body.jitter if j.steps)
        return body.notes, f"lets tests stray: {strays}" if strays else ""
    return "", ""


def read_run(folder: Path, run: str) -> RunConfig:
    """The run config of *run* in a campaign's folder. Raises UsageError where there is none or it is damaged."""
    for path in _places(folder, run):
        if path.is_file():
            try:
                return RunConfig.model_validate(parse(read_bytes(path), path.name))
            except (ConfigError, ValidationError) as error:
                if (word := unknown_word(error)) is not None:
                    raise UnknownVersion(f"{path}: {written_elsewhere(None, word)}") from None
                raise UsageError(f"{path}: is damaged ({str(error).splitlines()[0]})") from None
    raise UsageError(f"run {run[:80]!r} is not in {folder.name}; runs are named like seg1_test051, seg1-p1 or root")


def _places(folder: Path, run: str) -> Iterable[Path]:
    if run == "root":
        yield folder / "root.yaml"
        return
    segment = "".join(c for c in run.removeprefix("seg").split("_")[0].split("-")[0] if c.isdigit())
    base = folder / f"segment_{segment}"
    _, _, test = run.partition("_test")
    if test.isdigit():
        yield base / f"test_{test}" / "run.yaml"
    elif all(c.isalnum() or c == "-" for c in run):
        yield base / "lineage" / f"{run}.yaml"
