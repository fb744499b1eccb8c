"""replays owns the telling again of a finished campaign from its folder: no database, no model, no cost."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from pydantic import ValidationError

from maestro.clock import SystemClock
from maestro.control.campaign import Campaign
from maestro.control.context import Observer
from maestro.control.durable_run import Steps
from maestro.control.record.journal_hash import first_difference, journal_hash, recorded_hash, timeless
from maestro.control.record.manifest import altered
from maestro.control.record.replay_diff import after_the_end, against_digests, against_files, against_lines
from maestro.control.record.rerun import broken_chain, rerun_tests
from maestro.report.pages import write_report
from maestro.settings import Settings
from maestro.wiring import brains, gates, markets, workspace
from maestro.wiring.campaigns import desk_of
from maestro_agents.api import Budget
from maestro_protocol.bus import LocalBus
from maestro_protocol.envelope import ENVELOPE, Envelope
from maestro_protocol.errors import DataError, LooksOvertaken, MaestroError, StoreError, UnknownVersion, UsageError
from maestro_protocol.ids import CampaignId, RunId
from maestro_protocol.messages.campaign import CampaignConfig, CampaignFinished, LooksCounted
from maestro_protocol.messages.events import BatchFinished
from maestro_protocol.messages.sealed import Claim, Looks, SealedBars
from maestro_protocol.messages.versions import this_version, unknown_word, writer, writer_of, written_elsewhere
from maestro_protocol.ports import Amount, Hold, ModelCallRecord

TOLD = 20
"""Differences between files that are told; more say no more."""


@dataclass(frozen=True)
class Replayed:
    """What a replay found: the two hashes, and where the journals or the tests' files part if they do."""

    campaign: str
    recorded: str
    replayed: str
    difference: str | None
    files: tuple[str, ...]
    """What is wrong with the trades and scores in the folder, a sentence each; the first of them where it is much."""
    writer: str | None = None
    """The Maestro that wrote the record where it is another than this one: ``Maestro 0.1.0``."""
    entries: int = 0
    """Messages that the record has."""
    tests_rerun: int | None = None
    """Tests of another Maestro that left the same trades and scores when they ran again from their ``run.yaml``."""

    @property
    def same(self) -> bool:
        """Whether everything was told again, word for word, and lies in the folder as it was told."""
        return self.difference is None and not self.files

    @property
    def intact(self) -> bool:
        """Whether all that this Maestro can check of the record holds."""
        return not self.files and (self.same or self.tests_rerun is not None)


class RecordedCalls:
    """The CallLog port over a folder's recordings: it recalls, and takes nothing new."""

    def __init__(self, exchanges: Sequence[ModelCallRecord]) -> None:
        self._exchanges = tuple(exchanges)
        self._replies = {e.key: e.reply for e in exchanges if e.state == "answered"}

    async def opened(
        self, campaign: CampaignId, key: str, role: str, request: str, hold: Hold | None = None
    ) -> Amount:
        raise StoreError("a replay asks no model")

    async def answered(self, campaign: CampaignId, key: str, reply: str, took: Amount | None = None) -> None:
        raise StoreError("a replay asks no model")

    async def failed(self, campaign: CampaignId, key: str, reason: str, took: Amount | None = None) -> None:
        raise StoreError("a replay asks no model")

    async def recall(self, campaign: CampaignId, key: str) -> str | None:
        return self._replies.get(key)

    async def exchanges(self, campaign: CampaignId) -> Sequence[ModelCallRecord]:
        return self._exchanges


class RecordedOpenings:
    """The Openings port over a journal: looks are counted as they were, and nothing is counted anew."""

    def __init__(self, journal: Sequence[Envelope]) -> None:
        self._counted = [e.body for e in journal if isinstance(e.body, LooksCounted)]

    async def looks(self, bars: SealedBars, look: str) -> Looks:
        if not self._counted:
            raise StoreError("the recorded campaign never counted looks at its sealed data; its journal was changed")
        counted = self._counted.pop(0)
        return Looks(counted.earlier, counted.seen)

    def claim(self, bars: SealedBars, look: str, earlier: int | None) -> Claim | None:
        if self._counted:
            raise LooksOvertaken("somebody else looked at the same bars, when it was recorded")
        return None


def last_test(journal: Iterable[Envelope]) -> RunId:
    """The run of the last test that *journal* tells of. Raises UsageError where none was run."""
    done = [envelope.body for envelope in journal if isinstance(envelope.body, BatchFinished)]
    if not done:
        raise UsageError("last: no test has been run yet")
    return done[-1].tests[-1]


def read_journal(folder: Path) -> list[Envelope]:
    """The journal that lies in a campaign's folder.

    Raises UsageError where it is missing or damaged, UnknownVersion where it has words of another Maestro.
    """
    return read_lines(folder)[1]


def read_lines(folder: Path) -> tuple[list[bytes], list[Envelope]]:
    """The journal's lines as they were written, and what each says. Raises as :func:`read_journal`."""
    path = folder / "journal.jsonl"
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror}); has the campaign finished?") from None
    journal: list[Envelope] = []
    for number, line in enumerate(lines, start=1):
        try:
            journal.append(ENVELOPE.validate_json(line))
        except ValidationError as error:
            word = unknown_word(error)
            if word is None:
                raise UsageError(f"{path}: is damaged (line {number} is no journal entry)") from None
            by = _writer_named_in(lines[0])
            raise UnknownVersion(f"{path}: line {number} {written_elsewhere(by, word)}") from None
    if not journal:
        raise UsageError(f"{path}: is empty; has the campaign begun?")
    return lines, journal


def hash_of(folder: Path) -> str:
    """The hash of the journal in a campaign's folder, as its own Maestro gave it. Raises as :func:`read_journal`."""
    lines, _ = read_lines(folder)
    return recorded_hash(lines)


def _writer_named_in(line: bytes) -> str | None:
    """The version of Maestro that a journal's first line names, read as plain data."""
    try:
        first: object = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return writer_of(cast("dict[str, object]", first).get("body")) if isinstance(first, dict) else None


def written_by_another(lines: Sequence[bytes], journal: Sequence[Envelope]) -> str | None:
    """Which other Maestro wrote the journal: by the version it names, or by fields that it does not have yet."""
    config = journal[0].body
    named = writer(config.versions) if isinstance(config, CampaignConfig) else None
    if named is not None and named != this_version():
        return f"Maestro {named}"
    lacks = any(json.loads(line) != entry.model_dump(mode="json") for line, entry in zip(lines, journal, strict=True))
    return f"an earlier Maestro {named or ''}".strip() if lacks else None


def told_by_the_campaign(journal: Sequence[Envelope]) -> list[Envelope]:
    """The journal up to the campaign's end, without what was asked of its sealed data later."""
    ends = [place for place, envelope in enumerate(journal) if isinstance(envelope.body, CampaignFinished)]
    return list(journal[: ends[0] + 1] if ends else journal)


def read_recordings(folder: Path) -> list[ModelCallRecord]:
    """The requests to models that a campaign's folder remembers; none where it asked none."""
    path = folder / "recordings.jsonl"
    try:
        lines = path.read_bytes().splitlines() if path.is_file() else []
        return [ModelCallRecord(**json.loads(line)) for line in lines]
    except (OSError, ValueError, TypeError) as error:
        raise UsageError(f"{path}: cannot be read ({str(error).splitlines()[0]})") from None


async def replay_campaign(
    folder: Path, settings: Settings, observer: Observer, jobs: int, data: Path | None = None
) -> Replayed:
    """Run the campaign in *folder* again from its recordings, somewhere else; compare the journals and the lines.

    Where another Maestro wrote it and would not decide the same, what can be checked without deciding is: see
    :mod:`maestro.control.record.rerun`.
    """
    lines, everything = read_lines(folder)
    recorded = told_by_the_campaign(everything)
    if not recorded or not isinstance(recorded[0].body, CampaignConfig):
        raise UsageError(f"{folder}: its journal does not begin with what was asked for")
    config = recorded[0].body
    path = data or workspace.known_data(settings, config.data.digest)
    market = markets.market_of(config, markets.bars_again(config, path), jobs)
    with tempfile.TemporaryDirectory(prefix="maestro-replay-") as scratch:
        there = settings.model_copy(update={"runs": Path(scratch), "database_url": None})
        told, stopped = await _told(config, market, recorded, read_recordings(folder), there, observer)
        difference = _first_difference(recorded, told) if stopped is None else f"cannot be told again: {stopped}"
        other = None if difference is None else written_by_another(lines, everything)
        if stopped is not None and other is None:
            difference = _first_difference(recorded[: len(told)], told)
            if difference is None:
                raise stopped
        equal, told_there = None, Path(scratch) / config.campaign
        wrong = [*against_digests(folder, recorded), *altered(folder), *after_the_end(everything)]
        if other is None:
            wrong[:0] = against_lines(folder, told_there)
            wrong += [*against_files(folder, told_there), *_against_report(folder, Path(scratch) / "report")]
        else:
            runner = markets.running(config, market, Path(scratch) / "rerun").runner
            equal, reruns = rerun_tests(folder, recorded, runner)
            wrong[:0] = [*broken_chain(everything), *reruns]
    return Replayed(
        campaign=config.campaign,
        recorded=recorded_hash(lines[: len(recorded)]),
        replayed=journal_hash(told),
        difference=difference,
        files=tuple(wrong[:TOLD]),
        writer=other,
        entries=len(everything),
        tests_rerun=equal,
    )


async def _told(
    config: CampaignConfig,
    market: markets.Market,
    recorded: Sequence[Envelope],
    exchanges: Sequence[ModelCallRecord],
    settings: Settings,
    observer: Observer,
) -> tuple[Sequence[Envelope], MaestroError | None]:
    """What is told again, and why no more of it where it stops: the record has no answer to what is asked now."""
    clock, bus = SystemClock(), LocalBus()
    market = markets.running(config, market, settings.runs / config.campaign)
    store = await workspace.open_workspace_store(settings)
    steps = Steps(config.campaign, store, bus, market.runner, clock, gates.RecordedGate(recorded))
    try:
        await steps.open()
        budget = Budget(brains.limits_of(config.budget, {}), clock)
        steps.more_budget = gates.budget_asker(config, steps, budget, recorded, retold=True)
        make = brains.replaying(config, settings, clock, RecordedCalls(exchanges), recorded)
        desk = desk_of(config, market, steps, settings.runs, observer, RecordedOpenings(recorded))
        async with brains.roles_on(bus, config.brains, make):
            await Campaign(desk).run()
        return steps.past(), None
    except MaestroError as error:
        return steps.past(), error
    finally:
        await store.close()


def _against_report(folder: Path, scratch: Path) -> Iterator[str]:
    """The pages of *folder* that its other files do not tell so; in *scratch* they are written anew."""
    pages = [page for page in ("summary.md", "summary.html") if (folder / page).is_file()]
    if not pages:
        return
    shutil.copytree(folder, scratch, ignore=shutil.ignore_patterns("sessions"))
    try:
        write_report(scratch)
    except DataError as error:
        yield f"{', '.join(pages)}: cannot be told from the other files ({error})"
        return
    for page in pages:
        if (folder / page).read_bytes() != (scratch / page).read_bytes():
            yield f"{page}: is not what the other files tell"


def _first_difference(recorded: Sequence[Envelope], told: Sequence[Envelope]) -> str | None:
    for before, after in zip(recorded, told, strict=False):
        if timeless(before) != timeless(after):
            return f"{before.id} ({before.body.type}): {first_difference(timeless(before), timeless(after))}"
    if len(recorded) != len(told):
        return f"the record has {len(recorded)} messages, the replay {len(told)}"
    return None
