"""studies owns questions about the product itself: is its verdict honest, and do its agents add anything?

Campaigns of a study run in memory: nothing of them is kept but their answers, and what they see of sealed data is no
look of the workspace, since nobody reads what they found. Where models are asked they run as campaigns that are kept:
what was paid for is not thrown away, it counts in the budget of the day, and their looks at sealed data count too.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from maestro.clock import SystemClock
from maestro.control.campaign import Campaign
from maestro.control.context import Desk
from maestro.control.durable_run import Steps
from maestro.control.learning.measure import window_groups_of
from maestro.control.record.campaign_folder import CampaignFolder
from maestro.settings import Settings
from maestro.wiring import brains, gates, markets, workspace
from maestro.wiring.campaigns import CampaignRequest, keep_campaign, resolve
from maestro.wiring.replays import read_journal
from maestro_agents.api import build_agent
from maestro_engine.api import Market
from maestro_protocol.bus import LocalBus
from maestro_protocol.config import RunConfig
from maestro_protocol.envelope import Envelope
from maestro_protocol.errors import StoreError, UsageError
from maestro_protocol.ids import CampaignId, RunId
from maestro_protocol.messages.campaign import BrainChoice, CampaignConfig, VerdictWord
from maestro_protocol.messages.report import SegmentFinished, TestReport
from maestro_protocol.messages.sealed import Claim, Looks, SealedBars
from maestro_protocol.ports import Record, Runner, Stored

CONFIDENCE_Z = 1.959964


class MemoryStore:
    """The Store port without a disk: a campaign's journal and results while its process lives."""

    def __init__(self) -> None:
        self._journal: dict[CampaignId, list[Envelope]] = {}

    async def commit(
        self,
        campaign: CampaignId,
        entries: Sequence[Envelope],
        results: Sequence[Stored] = (),
        runs: Sequence[RunConfig] = (),
        opened: Claim | None = None,
    ) -> None:
        journal = self._journal.setdefault(campaign, [])
        for entry in entries:
            if entry.seq != len(journal) + 1:
                raise StoreError(f"{campaign}: entry {entry.seq} does not follow {len(journal)}")
            journal.append(entry)

    async def records(self, campaign: CampaignId, after: int = 0, types: Sequence[str] = ()) -> Sequence[Record]:
        said = [e for e in self._journal.get(campaign, [])[after:] if not types or e.body.type in types]
        return [Record(e.seq, e.id, e.body.type, e.time, e.model_dump_json()) for e in said]

    async def results(self, campaign: CampaignId, runs: Sequence[RunId]) -> Sequence[Stored]:
        raise StoreError("a study keeps no results")

    async def campaigns(self) -> Sequence[CampaignId]:
        return list(self._journal)

    async def close(self) -> None:
        self._journal.clear()


class Uncounted:
    """The Openings port of campaigns whose looks nobody has: each is the first, and none is kept."""

    async def looks(self, bars: SealedBars, look: str) -> Looks:
        return Looks(0, 0)

    def claim(self, bars: SealedBars, look: str, earlier: int | None) -> Claim | None:
        return None


class Nowhere(CampaignFolder):
    """A campaign's folder that keeps nothing."""

    def __init__(self) -> None:
        super().__init__(Path())

    def sync(self) -> None:
        return

    def write(self, name: str, content: bytes) -> None:
        return

    def add(self, name: str, content: bytes) -> None:
        return

    def fill(self, folder: Path, files: object) -> None:
        return


@dataclass(frozen=True)
class StudyCampaign:
    """What one campaign of a study ended with."""

    seed: int
    word: VerdictWord
    sentence: str
    tests: tuple[TestReport, ...]
    finalists: tuple[RunConfig, ...] = ()
    """What the sealed part was opened for, the best first; empty too where the campaign was kept."""
    best: RunConfig | None = None
    """The best that it found, worth opening the sealed part for or not; null too where the campaign was kept."""


async def tell(config: CampaignConfig, market: Market, runner: Runner | None = None) -> StudyCampaign:
    """Run *config* in memory, with rules for brains; backtests by *runner* where it is not the market's."""
    clock, bus = SystemClock(), LocalBus()
    runner = runner or market.runner
    steps = Steps(config.campaign, MemoryStore(), bus, runner, clock, gates.RecordedGate([]))
    desk = Desk(
        config=config,
        steps=steps,
        runner=runner,
        statistics=market.statistics,
        judge=market.judge,
        folder=Nowhere(),
        observer=lambda progress: None,
        openings=Uncounted(),
    )
    await steps.open()
    campaign = Campaign(desk)
    async with brains.roles_on(bus, config.brains, lambda choice: build_agent(choice, clock=clock)):
        finished = await campaign.run()
    if finished.verdict is None:
        raise UsageError("a study needs a verdict")
    return StudyCampaign(
        seed=config.seed,
        word=finished.verdict.word,
        sentence=finished.verdict.sentence,
        tests=tuple(desk.tests),
        finalists=tuple(campaign.finalists),
        best=campaign.best,
    )


@dataclass(frozen=True)
class Rate:
    """How many campaigns gave one answer, of how many, with Wilson's 95 % interval of the share."""

    count: int
    share: float
    low: float
    high: float


@dataclass(frozen=True)
class Calibration:
    """How often campaigns on one kind of market gave each answer."""

    market: str
    edge: float | None
    campaigns: int
    survives: Rate
    not_enough: Rate
    does_not: Rate


class Cell(NamedTuple):
    """A kind of market that answers are counted on: simulated, or the bars of a file in another order."""

    market: str
    edge: float | None = None
    """Of ``planted``: expected log return a trade of the rewarded rule."""
    data: Path | None = None
    """Of ``shuffled``."""


EDGES = (0.002, 0.003, 0.004, 0.006)
"""Planted edges of the whole table; fees and slippage of a round trip are 0.0012."""


def whole_table(data: Path | None) -> list[Cell]:
    """The cells of the whole table: noise, *data* shuffled where there is a file, planted edges of four sizes."""
    shuffled = [Cell("shuffled", data=data)] if data is not None else []
    return [Cell("noise"), Cell("volatility_clusters"), *shuffled, *(Cell("planted", edge) for edge in EDGES)]


def calibrate(cell: Cell, campaigns: int, tests: int, jobs: int) -> Iterator[Calibration]:
    """Campaigns on *campaigns* seeded markets, in *jobs* processes; the tally after each one."""
    words: list[str] = []
    with ProcessPoolExecutor(jobs) as pool:
        for word in pool.map(_one, [(cell, seed, tests) for seed in range(1, campaigns + 1)]):
            words.append(word)
            yield _tally(cell, words)


def _one(asked: tuple[Cell, int, int]) -> str:
    cell, seed, tests = asked
    if cell.data is not None:
        bars = markets.shuffled_file(cell.data, seed)
        request = CampaignRequest(tests=tests, seed=seed)
    else:
        bars = markets.simulated_bars(cell.market, seed, cell.edge)
        request = CampaignRequest(market=cell.market, tests=tests, seed=seed)
    config = resolve(request, bars, Settings())
    return asyncio.run(tell(config, markets.market_of(config, bars, jobs=1))).word


def _tally(cell: Cell, words: Sequence[str]) -> Calibration:
    def rate(word: VerdictWord) -> Rate:
        count = words.count(word)
        return Rate(count, count / len(words), *wilson(count, len(words)))

    answers = rate("SURVIVES"), rate("NOT ENOUGH EVIDENCE"), rate("DOES NOT SURVIVE")
    return Calibration(cell.market, cell.edge, len(words), *answers)


def wilson(hits: int, n: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a binomial share (Wilson 1927)."""
    z = CONFIDENCE_Z
    centre = (hits + z * z / 2) / (n + z * z)
    half = z / (n + z * z) * math.sqrt(hits * (n - hits) / n + z * z / 4)
    return max(0.0, centre - half), min(1.0, centre + half)


@dataclass(frozen=True)
class AblationArm:
    """One way to run the campaign, and what its last segment earned on what came after."""

    name: str
    about: str
    verdict: str
    validation_per_day: float
    difference: float | None
    """Of the full campaign over this arm, USD a day, on the same windows; null for the full campaign itself."""
    p_value: float | None
    """One-sided, of "the full campaign is no better": sign flips over windows that do not overlap."""


ARMS: dict[str, tuple[str, dict[str, BrainChoice]]] = {
    "single analyst": (
        "the strategist alone: no critic chooses, objects or asks for changes",
        {"critic": BrainChoice(role="critic", brain="silent")},
    ),
    "random proposals": (
        "proposals by lot, and nobody objects",
        {
            "critic": BrainChoice(role="critic", brain="silent"),
            "strategist": BrainChoice(role="strategist", brain="random"),
        },
    ),
}


def ablate(
    request: CampaignRequest, settings: Settings, jobs: int, progress: Callable[[str], None]
) -> list[AblationArm]:
    """The same campaign in full, with the debate off, and with random proposals, by the brains of *request*.

    Arms with models are kept as campaigns, each within the budget of *request*; an ablation that was stopped goes on
    where it was when it is asked for again. Raises MaestroError.
    """
    bars = markets.read_bars(request.data, request.symbol, request.reading)[0] if request.data else None
    bars = bars or markets.simulated_bars(request.market, request.seed)
    config = resolve(request, bars, settings)
    market = markets.market_of(config, bars, jobs)
    kept = any(choice.model is not None for choice in config.brains)
    if kept and request.data is not None:
        workspace.remember_data(settings, bars.digest, request.data)

    def run(name: str, cast: Sequence[BrainChoice]) -> StudyCampaign:
        named = f"{config.campaign}-{name.replace(' ', '-')}" if kept else config.campaign
        arm = config.model_copy(update={"campaign": named, "brains": tuple(cast)})
        return asyncio.run(_told_and_kept(arm, market, settings) if kept else tell(arm, market))

    progress("running the full campaign")
    full = run("full", config.brains)
    arms = [_arm("full", "strategist, critic, implementer and Maestro", full, None, market, config)]
    for name, (about, replaced) in ARMS.items():
        progress(f"running it with {name}")
        told = run(name, [replaced.get(choice.role, choice) for choice in config.brains])
        arms.append(_arm(name, about, told, full, market, config))
    return arms


async def _told_and_kept(config: CampaignConfig, market: Market, settings: Settings) -> StudyCampaign:
    """Run *config*, with models for brains, as a campaign that is kept."""
    run = await keep_campaign(config, market, settings, lambda progress: None)
    verdict = run.finished.verdict
    if verdict is None:
        raise UsageError("a study needs a verdict")
    said = (envelope.body for envelope in read_journal(run.folder))
    tests = tuple(test for body in said if isinstance(body, SegmentFinished) for test in body.results)
    return StudyCampaign(config.seed, verdict.word, verdict.sentence, tests)


def _arm(
    name: str, about: str, told: StudyCampaign, full: StudyCampaign | None, market: Market, config: CampaignConfig
) -> AblationArm:
    days = config.windows.validation_days
    own = _by_window(told, config.segments, days)
    mean = math.fsum(own.values()) / len(own) if own else 0.0
    if full is None:
        return AblationArm(name, about, told.word, mean, None, None)
    theirs = _by_window(full, config.segments, days)
    shared = sorted(own.keys() & theirs.keys())
    differences = [theirs[window] - own[window] for window in shared]
    groups = window_groups_of([market.runner.windows[window] for window in shared], config.windows)
    p_value = market.statistics.sign_flip(differences, groups, config.seed)
    return AblationArm(name, about, told.word, mean, math.fsum(differences) / len(differences), p_value)


def _by_window(told: StudyCampaign, segments: int, days: float) -> dict[int, float]:
    """Validation PnL a day, USD, on each window that the last segment tested."""
    earned: dict[int, list[float]] = {}
    for test in told.tests:
        if test.test_id.startswith(f"seg{segments}_"):
            earned.setdefault(test.window, []).append(float(test.validation.total_pnl) / days)
    return {window: math.fsum(values) / len(values) for window, values in earned.items()}
