"""wiring owns the meeting of the rooms: the only place that knows everyone, and where nothing is decided."""

from __future__ import annotations

import asyncio
import hashlib
import platform
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib import metadata, resources
from pathlib import Path
from typing import TYPE_CHECKING, cast

from maestro.clock import SystemClock
from maestro.control.campaign import Campaign
from maestro.control.desk import Desk, Observer
from maestro.control.files import CampaignFolder
from maestro.control.rules import Policies, Rules, read_yaml
from maestro.control.steps import Steps
from maestro.settings import Settings
from maestro_agents.api import build_agent, serve
from maestro_engine.api import Market, open_market
from maestro_protocol.base import Frozen
from maestro_protocol.bus import LocalBus
from maestro_protocol.config import Costs, Sizing
from maestro_protocol.errors import UsageError
from maestro_protocol.messages.campaign import (
    ORIGIN_TARGETS,
    BrainChoice,
    CampaignConfig,
    CampaignFinished,
    Policy,
    WindowPlan,
)
from maestro_protocol.messages.plan import Target
from maestro_protocol.ports import Bus, Clock
from maestro_protocol.schema import canonical

if TYPE_CHECKING:
    from maestro.store.opening import SqlStore
    from maestro_engine.market.simulate import Kind

ROLES = ("maestro", "strategist", "critic", "implementer")
MARKET_DAYS = 180
"""Length of the built-in simulated market."""


class CampaignRequest(Frozen):
    """What a person asked for; what is not said has the product's default."""

    data: Path | None = None
    """A file of bars; the built-in simulated market where there is none."""
    market: str = "mixed"
    """Which simulated market, where there is no file."""
    symbol: str | None = None
    tests: int = 500
    segments: int = 5
    only_segment: int | None = None
    jobs: int = 2
    seed: int = 7
    policy: Policy = "sequential"
    blind: bool = False
    brains: tuple[BrainChoice, ...] = ()
    costs: Costs = Costs()
    sizing: Sizing = Sizing()
    windows: WindowPlan = WindowPlan()
    targets: tuple[Target, ...] = ORIGIN_TARGETS


@dataclass(frozen=True)
class CampaignRun:
    """A campaign that ran, and where its files are."""

    campaign: str
    folder: Path
    finished: CampaignFinished


def open_request_market(request: CampaignRequest) -> Market:
    """The data that *request* names, cut into windows, its last share sealed. Raises DataError, UsageError."""
    from maestro_engine.market.readers import load_bars
    from maestro_engine.market.simulate import simulate_bars

    if request.data is not None:
        bars, _ = load_bars(request.data, symbol=request.symbol)
    else:
        step_ms = 300_000
        bars = simulate_bars(
            cast("Kind", request.market), request.seed, MARKET_DAYS * 86_400_000 // step_ms, step_ms=step_ms
        )
    return open_market(bars, request.windows, request.targets, jobs=request.jobs, seed=request.seed)


def resolve(request: CampaignRequest, market: Market) -> CampaignConfig:
    """The request with nothing left open; its id follows from what it says, so the same request has the same id."""
    brains = {choice.role: choice for choice in request.brains}
    config = CampaignConfig(
        campaign="unnamed",
        seed=request.seed,
        tests=request.tests,
        segments=request.segments,
        policy=request.policy,
        blind=request.blind,
        data=market.runner.data,
        windows=request.windows,
        costs=request.costs,
        sizing=request.sizing,
        targets=request.targets,
        brains=tuple(brains.get(role, BrainChoice(role=role)) for role in ROLES),
        versions=versions(),
    )
    digest = hashlib.sha256(canonical(config)).hexdigest()[:6]
    name = f"{config.data.symbol.lower()}-{config.data.timeframe}-s{config.seed}-{digest}"
    return config.model_copy(update={"campaign": name})


def versions() -> tuple[str, ...]:
    """What the answer may depend on besides the request."""
    packages = ("maestro", "numpy", "numba")
    return (f"python {platform.python_version()}", *(f"{name} {metadata.version(name)}" for name in packages))


def specs_file(settings: Settings, name: str) -> Path:
    """The owner's copy of a specs file, else the packaged one."""
    if settings.specs is not None and (settings.specs / name).is_file():
        return settings.specs / name
    packaged = Path(str(resources.files("maestro"))) / "specs" / name
    if packaged.is_file():
        return packaged
    return Path(__file__).parents[2] / "specs" / name  # a checkout: the owner edits the same file


async def open_workspace_store(settings: Settings) -> SqlStore:
    """The store of the workspace: by URL, or a SQLite file in the runs folder."""
    from maestro.store.opening import open_store

    if settings.database_url is not None:
        return await open_store(settings.database_url.get_secret_value())
    settings.runs.mkdir(parents=True, exist_ok=True)
    return await open_store(f"sqlite:///{settings.runs.resolve() / 'maestro.db'}")


async def free_name(name: str, taken: Sequence[str], settings: Settings) -> str:
    """*name*, or *name* with ``-r2``, ``-r3``: nothing is ever written over."""
    used = set(taken)
    for attempt in range(1, 10_000):
        candidate = name if attempt == 1 else f"{name}-r{attempt}"
        if candidate not in used and not (settings.runs / candidate).exists():
            return candidate
    raise UsageError(f"{name}: ten thousand campaigns of this name; choose another --out")


@asynccontextmanager
async def roles_on(bus: Bus, config: CampaignConfig, clock: Clock) -> AsyncGenerator[None]:
    """The campaign's agents, listening on *bus* while the block runs."""
    agents = [build_agent(choice, clock=clock) for choice in config.brains]
    ready = [asyncio.Event() for _ in agents]
    async with asyncio.TaskGroup() as group:
        for agent, event in zip(agents, ready, strict=True):
            group.create_task(serve(agent, bus, ready=event))
        for event in ready:
            await event.wait()
        try:
            yield
        finally:
            await bus.close()


async def run_campaign(request: CampaignRequest, settings: Settings, observer: Observer) -> CampaignRun:
    """Run a new campaign to its end. Raises MaestroError; what was finished by then is kept."""
    market = await asyncio.to_thread(open_request_market, request)
    config = resolve(request, market)
    store = await open_workspace_store(settings)
    try:
        name = await free_name(config.campaign, await store.campaigns(), settings)
        config = config.model_copy(update={"campaign": name})
        return await _run(config, request, market, store, settings, observer)
    finally:
        await store.close()


async def _run(
    config: CampaignConfig,
    request: CampaignRequest,
    market: Market,
    store: SqlStore,
    settings: Settings,
    observer: Observer,
) -> CampaignRun:
    clock = SystemClock()
    bus = LocalBus()
    folder = CampaignFolder(settings.runs / config.campaign)
    desk = Desk(
        config=config,
        steps=Steps(config.campaign, store, bus, market.runner, clock),
        runner=market.runner,
        statistics=market.statistics,
        judge=market.judge,
        rules=read_yaml(specs_file(settings, "rules/adjustments.yaml"), Rules),
        policies=read_yaml(specs_file(settings, "rules/policies.yaml"), Policies),
        folder=folder,
        observer=observer,
    )
    async with store.lease(config.campaign), roles_on(bus, config, clock):
        finished = await Campaign(desk, request.only_segment).run()
    return CampaignRun(config.campaign, folder.path, finished)
