"""replays owns the telling again of a finished campaign from its folder: no database, no model, no cost."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from maestro.clock import SystemClock
from maestro.control.campaign import Campaign
from maestro.control.context import Observer
from maestro.control.durable_run import Steps
from maestro.control.record.journal_hash import first_difference, journal_hash, timeless
from maestro.control.record.manifest import altered
from maestro.control.record.replay_diff import after_the_end, against_digests, against_files, against_lines
from maestro.report.pages import write_report
from maestro.settings import Settings
from maestro.wiring import brains, gates, markets, workspace
from maestro.wiring.campaigns import desk_of
from maestro_agents.api import Budget
from maestro_protocol.bus import LocalBus
from maestro_protocol.envelope import ENVELOPE, Envelope
from maestro_protocol.errors import DataError, LooksOvertaken, StoreError, UsageError
from maestro_protocol.ids import CampaignId
from maestro_protocol.messages.campaign import CampaignConfig, CampaignFinished, LooksCounted
from maestro_protocol.messages.sealed import Claim, Looks, SealedBars
from maestro_protocol.ports import Amount, Exchange, Hold

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

    @property
    def same(self) -> bool:
        return self.recorded == self.replayed and not self.files


class RecordedCalls:
    """The CallLog port over a folder's recordings: it recalls, and takes nothing new."""

    def __init__(self, exchanges: Sequence[Exchange]) -> None:
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

    async def exchanges(self, campaign: CampaignId) -> Sequence[Exchange]:
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


def read_journal(folder: Path) -> list[Envelope]:
    """The journal that lies in a campaign's folder. Raises UsageError where it is missing or damaged."""
    path = folder / "journal.jsonl"
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror}); has the campaign finished?") from None
    journal: list[Envelope] = []
    for number, line in enumerate(lines, start=1):
        try:
            journal.append(ENVELOPE.validate_json(line))
        except ValueError:
            raise UsageError(f"{path}: is damaged (line {number} is no journal entry)") from None
    if not journal:
        raise UsageError(f"{path}: is empty; has the campaign begun?")
    return journal


def told_by_the_campaign(journal: Sequence[Envelope]) -> list[Envelope]:
    """The journal up to the campaign's end, without what was asked of its sealed data later."""
    ends = [place for place, envelope in enumerate(journal) if isinstance(envelope.body, CampaignFinished)]
    return list(journal[: ends[0] + 1] if ends else journal)


def read_recordings(folder: Path) -> list[Exchange]:
    """The requests to models that a campaign's folder remembers; none where it asked none."""
    path = folder / "recordings.jsonl"
    try:
        lines = path.read_bytes().splitlines() if path.is_file() else []
        return [Exchange(**json.loads(line)) for line in lines]
    except (OSError, ValueError, TypeError) as error:
        raise UsageError(f"{path}: cannot be read ({str(error).splitlines()[0]})") from None


async def replay_campaign(
    folder: Path, settings: Settings, observer: Observer, jobs: int, data: Path | None = None
) -> Replayed:
    """Run the campaign in *folder* again from its recordings, somewhere else; compare the journals and the lines."""
    everything = read_journal(folder)
    recorded = told_by_the_campaign(everything)
    if not recorded or not isinstance(recorded[0].body, CampaignConfig):
        raise UsageError(f"{folder}: its journal does not begin with what was asked for")
    config = recorded[0].body
    path = data or workspace.known_data(settings, config.data.digest)
    market = markets.market_of(config, markets.bars_again(config, path), jobs)
    with tempfile.TemporaryDirectory(prefix="maestro-replay-") as scratch:
        there = settings.model_copy(update={"runs": Path(scratch), "database_url": None})
        told = await _tell_again(config, market, recorded, read_recordings(folder), there, observer)
        told_there = Path(scratch) / config.campaign
        wrong = (
            *against_lines(folder, told_there),
            *against_digests(folder, recorded),
            *against_files(folder, told_there),
            *_against_report(folder, Path(scratch) / "report"),
            *altered(folder),
            *after_the_end(everything),
        )
    difference = _first_difference(recorded, told)
    return Replayed(config.campaign, journal_hash(recorded), journal_hash(told), difference, wrong[:TOLD])


async def _tell_again(
    config: CampaignConfig,
    market: markets.Market,
    recorded: Sequence[Envelope],
    exchanges: Sequence[Exchange],
    settings: Settings,
    observer: Observer,
) -> Sequence[Envelope]:
    clock, bus = SystemClock(), LocalBus()
    market = markets.running(config, market, settings.runs / config.campaign)
    store = await workspace.open_workspace_store(settings)
    try:
        steps = Steps(config.campaign, store, bus, market.runner, clock, gates.RecordedGate(recorded))
        await steps.open()
        budget = Budget(brains.limits_of(config.budget, {}), clock)
        steps.more_budget = gates.budget_asker(config, steps, budget, recorded, retold=True)
        make = brains.replaying(config, settings, clock, RecordedCalls(exchanges), recorded)
        async with brains.roles_on(bus, config.brains, make):
            desk = desk_of(config, market, steps, settings.runs, observer, RecordedOpenings(recorded))
            await Campaign(desk).run()
        return steps.past()
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
