"""campaigns owns the running, resuming and replaying of campaigns: it gathers what one needs and lets it go."""

from __future__ import annotations

import asyncio
import hashlib
import platform
from collections.abc import Callable, Collection, Coroutine, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

from pydantic import AfterValidator, Field, ValidationError

from maestro.clock import SystemClock
from maestro.control.campaign import Campaign
from maestro.control.context import Desk, Observer
from maestro.control.durable_run import Steps
from maestro.control.openings import counted_looks
from maestro.control.record.campaign_folder import CampaignFolder
from maestro.control.record.manifest import renew_from
from maestro.control.record.standings import LEADERBOARD
from maestro.control.rules import check_rules
from maestro.report.pages import write_report
from maestro.settings import Settings
from maestro.wiring import brains, gates, markets, remote, workspace
from maestro_agents.api import Budget
from maestro_protocol.base import Frozen, Name
from maestro_protocol.config import Costs, DataReading, DataRef, Engine, Sizing
from maestro_protocol.errors import UsageError
from maestro_protocol.messages.campaign import (
    DEFAULT_METHODS,
    ORIGIN_TARGETS,
    BrainChoice,
    BudgetPlan,
    CampaignConfig,
    CampaignFinished,
    FurtherMetric,
    LooksCounted,
    Policy,
    WindowPlan,
)
from maestro_protocol.messages.gate import GateDecided, GateRequest
from maestro_protocol.messages.plan import Target
from maestro_protocol.messages.report import Metrics
from maestro_protocol.messages.rules import GatePolicy, OpeningPolicy, Policies, Rules
from maestro_protocol.schema import canonical

if TYPE_CHECKING:
    from maestro.store.repository import SqlStore
    from maestro_engine.api import Market
    from maestro_engine.data.bars import Bars
    from maestro_protocol.ports import OpeningsRegistry


T = TypeVar("T")


class CampaignRequest(Frozen):
    """What a person asked for; what is not said has the product's default."""

    data: Path | None = None
    """A file of bars; the built-in simulated market where there is none."""
    market: str = "mixed"
    """Which simulated market, where there is no file."""
    symbol: str | None = None
    reading: DataReading = DataReading()
    tests: int = 500
    segments: int = 5
    only_segment: int | None = None
    seed: int = 7
    policy: Policy = "sequential"
    engine: Engine = "backtest"
    methods: Annotated[tuple[Name, ...], AfterValidator(lambda names: tuple(sorted(names)))] = DEFAULT_METHODS
    """What to search among, in any order; ``all`` is every method there is when the campaign is asked for."""
    metrics: Annotated[
        tuple[Name, ...], Field(max_length=32), AfterValidator(lambda names: tuple(sorted({*names})))
    ] = ()
    """What to measure tests by beside the fixed metrics."""
    blind: bool = False
    batch: Annotated[int, Field(ge=1, le=1_000)] = 25
    targets: tuple[Target, ...] | None = None
    """As all that counts money below: of the very size of position that is asked for."""
    rules: Rules | None = None
    """Adjustment rules and policies other than those of the workspace's specs."""
    policies: Policies | None = None
    gates: GatePolicy | None = None
    openings: OpeningPolicy | None = None
    expected: DataRef | None = None
    """What an earlier campaign says of the data; other bars are refused."""
    brains: tuple[BrainChoice, ...] = ()
    costs: Costs = Costs()
    sizing: Sizing = Sizing()
    windows: WindowPlan = WindowPlan()
    budget: BudgetPlan = BudgetPlan()


OWN = (
    *("data", "market", "symbol", "brains", "targets", "rules", "policies", "gates", "openings", "expected"),
    *("methods", "metrics", "sizing"),
)
"""What a request says in its own way; the rest of it is the config's."""
ALL_METHODS = "all"


@dataclass(frozen=True)
class CampaignRun:
    """A campaign that ran, and where its files are."""

    campaign: str
    folder: Path
    finished: CampaignFinished
    sealed: LooksCounted | None = None
    """What was known before it began of the bars it would open; null where nothing was sealed, or it was resumed."""


def resolve(request: CampaignRequest, bars: Bars, settings: Settings, mended: Sequence[str] = ()) -> CampaignConfig:
    """The request with nothing left open; its id follows from what it says, so the same request has the same id.

    Raises UsageError naming the first value out of its range.
    """
    from maestro_engine.api import data_ref  # numba, which loads while a file is read

    rules, policies, gate_policy = workspace.read_rules(settings)
    methods = pinned(request.methods)
    sizing = _naming_amounts(request.sizing, methods)
    share = float(sizing.share)
    said = {name: getattr(request, name) for name in CampaignRequest.model_fields if name not in OWN}
    try:
        config = CampaignConfig(
            campaign="unnamed",
            data=data_ref(bars).model_copy(update={"repaired": tuple(line[:300] for line in mended[:20])}),
            brains=brains.all_roles(request.brains),
            rules=request.rules or rules.scaled(share),
            targets=request.targets or tuple(target.scaled(share) for target in ORIGIN_TARGETS),
            policies=request.policies or policies,
            gates=request.gates or gate_policy,
            openings=request.openings or workspace.read_openings(settings),
            versions=versions(request.brains, methods, request.metrics),
            methods=methods,
            metrics=_described(request.metrics),
            sizing=sizing,
            **said,
        )
    except ValidationError as error:
        first = error.errors()[0]
        raise UsageError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    digest = hashlib.sha256(canonical(config)).hexdigest()[:6]
    name = f"{config.data.symbol.lower()}-{config.data.timeframe}-s{config.seed}-{digest}"
    return config.model_copy(update={"campaign": name})


def pinned(methods: Sequence[str]) -> tuple[str, ...]:
    """The names that *methods* stand for today: of ``all``, every method there is."""
    if ALL_METHODS not in methods:
        return tuple(methods)
    from maestro_engine.methods import REGISTRY

    return REGISTRY.names()


def _naming_amounts(sizing: Sizing, methods: Sequence[str]) -> Sizing:
    """*sizing* with the parameters named that it is to scale, whichever of *methods* a run comes to."""
    if sizing.declared_for is None:
        return sizing
    from maestro_engine.methods import scaled

    return sizing.model_copy(update={"scaled": scaled(methods)})


def _described(metrics: Sequence[str]) -> tuple[FurtherMetric, ...]:
    """What the config keeps of *metrics*. Raises UnknownKey, and UsageError where two things would have one name."""
    if not metrics:
        return ()
    from maestro_engine.metrics.further import described

    taken = sorted({*metrics} & {*LEADERBOARD, *Metrics.model_fields})
    if taken:
        raise UsageError(
            f"metrics: {', '.join(taken)} is the name of a column that every test has; call it otherwise"
        )
    return described(metrics)


def versions(
    chosen: Sequence[BrainChoice] = (), methods: Sequence[str] = (), metrics: Sequence[str] = ()
) -> tuple[str, ...]:
    """What the answer may depend on besides the request: of brains, *methods* and *metrics* some may be installed.

    Raises UnknownKey for one that nobody brings.
    """
    packages = ("maestro", "numpy", "numba")
    ours = (f"{name} {metadata.version(name)}" for name in packages)
    return (f"python {platform.python_version()}", *ours, *brains.outside(chosen), *markets.outside(methods, metrics))


async def run_campaign(
    request: CampaignRequest, settings: Settings, observer: Observer, jobs: int, away: Collection[str] = ()
) -> CampaignRun:
    """Run a new campaign to its end; the roles *away* answer from other processes, over the settings' bus.

    Raises MaestroError; what was finished by then is kept and can be resumed.
    """
    for choice in request.brains:
        if choice.role not in away:
            brains.client_of(choice, settings)  # a missing key is told before anything is read
    config, bars = _asked_for(request, settings)
    market = markets.market_of(config, bars, jobs)
    check_rules(config, market.runner.space(market.runner.methods()))
    store = await workspace.open_workspace_store(settings)
    try:
        name = workspace.free_name(config.campaign, await store.campaigns(), settings)
        named = config.model_copy(update={"campaign": name})
        sealed = await _announce(named, market, store)
        expected = brains.forecast(named, SystemClock().now_ms())
        if expected:
            gates.tell_on_stderr(expected)
        done = await _conduct(named, market, store, settings, observer, away)
        return replace(done, sealed=sealed)
    finally:
        await store.close()


def estimate_campaign(request: CampaignRequest, settings: Settings) -> str:
    """What models are likely to take of *request*, and the limits in force, in one line; nothing is asked or kept.

    Raises MaestroError where it cannot run.
    """
    config, _ = _asked_for(request, settings)
    return brains.forecast(config, SystemClock().now_ms()) or "no role has a model; offline rules cost nothing"


def _asked_for(request: CampaignRequest, settings: Settings) -> tuple[CampaignConfig, Bars]:
    """The request resolved, and its data. Raises MaestroError."""
    mended: Sequence[str] = ()
    if request.data is None:
        bars = markets.simulated_bars(request.market, request.seed)
    else:
        bars, mended = markets.read_bars(request.data, request.symbol, request.reading)
        for line in mended:
            gates.tell_on_stderr(f"{request.data.name}: {line}")
        workspace.remember_data(settings, bars.digest, request.data)
    config = resolve(request, bars, settings, mended)
    markets.check_expected(request.expected, config.data)
    return config, bars


async def _announce(config: CampaignConfig, market: Market, store: SqlStore) -> LooksCounted | None:
    """Say what the campaign would open at its end, how often that was looked at, and what is left to this look."""
    judge, policy = market.judge, config.openings
    if judge is None or policy is None or not judge.sealed[1]:
        gates.tell_on_stderr("no part of the data is sealed: whether anything survives will not be known")
        return None
    bars = judge.sealed_bars()
    known = counted_looks(bars, await store.openings.looks(bars, ""), policy)
    first, last = (datetime.fromtimestamp(ms / 1_000, UTC).date() for ms in (known.first_ms, known.end_ms - 1))
    asks = "; a person is asked first" if known.earlier + 1 >= policy.ask_from else ""
    gates.tell_on_stderr(
        f"at its end it opens the sealed part, {first} to {last} of {known.market or 'an unnamed market'}: "
        f"{known.in_words()}, and this look may be wrong with {known.alpha:g}{asks}"
    )
    return known


async def keep_campaign(
    config: CampaignConfig, market: Market, settings: Settings, observer: Observer
) -> CampaignRun:
    """Run *config* as it is named, or go on with it where its journal ends. Raises MaestroError."""
    store = await workspace.open_workspace_store(settings)
    try:
        return await _conduct(config, market, store, settings, observer, ())
    finally:
        await store.close()


async def resume_campaign(
    campaign: str,
    settings: Settings,
    observer: Observer,
    jobs: int,
    data: Path | None = None,
    away: Collection[str] = (),
) -> CampaignRun:
    """Go on with a campaign where its journal ends. Raises MaestroError; UsageError when it is not known."""
    store = await workspace.open_workspace_store(settings)
    try:
        config = await config_of(campaign, store)
        path = data or workspace.known_data(settings, config.data.digest)
        bars = markets.bars_again(config, path)
        if data is not None:
            workspace.remember_data(settings, bars.digest, data)
        market = markets.market_of(config, bars, jobs)
        return await _conduct(config, market, store, settings, observer, away)
    finally:
        await store.close()


async def config_of(campaign: str, store: SqlStore) -> CampaignConfig:
    """What the campaign was asked for: the first message of its journal."""
    async for envelope in store.journal(campaign):
        if isinstance(envelope.body, CampaignConfig):
            return envelope.body
        break
    known = ", ".join((await store.campaigns())[-5:]) or "none"
    raise UsageError(f"campaign {campaign[:80]!r} has no journal here; known: {known}")


async def _conduct(
    config: CampaignConfig,
    market: Market,
    store: SqlStore,
    settings: Settings,
    observer: Observer,
    away: Collection[str],
) -> CampaignRun:
    """Walk the campaign's path to its end, then write its report, with what the walk needed let go."""
    folder = settings.runs / config.campaign
    market = markets.running(config, market, folder)
    finished = await walk(config, market, store, settings, observer, lambda desk: Campaign(desk).run(), away)
    await asyncio.to_thread(renew_from, folder, await asyncio.to_thread(write_report, folder))
    for line in markets.told_of(config, folder):
        gates.tell_on_stderr(line)
    return CampaignRun(config.campaign, folder, finished)


async def walk(
    config: CampaignConfig,
    market: Market,
    store: SqlStore,
    settings: Settings,
    observer: Observer,
    path: Callable[[Desk], Coroutine[object, object, T]],
    away: Collection[str] = (),
) -> T:
    """Run or walk again: the same *path*, as far as the journal goes, with everything it needs around it."""
    from maestro.store.gates import GateStore

    clock = SystemClock()
    gate = gates.StoreGate(GateStore(store, clock, workspace.owner()), config.campaign, gates.tell_on_stderr)
    here = [choice for choice in config.brains if choice.role not in away]
    async with (
        store.lease(config.campaign),
        remote.campaign_bus(config, settings, away, gates.tell_on_stderr) as bus,
    ):
        steps = Steps(config.campaign, store, bus, market.runner, clock, gate)
        desk = desk_of(config, market, steps, settings.runs, observer, store.openings)
        if not remote.asking(config, away):
            await _settle(config.campaign, store)
        await desk.steps.open()
        budget = Budget(brains.limits_of(config.budget, {}), clock)
        told = desk.steps.past(GateRequest, GateDecided)
        desk.steps.more_budget = gates.budget_asker(config, desk.steps, budget, told)
        make = brains.paying(config, settings, clock, store.calls, budget)
        async with brains.roles_on(bus, here, make):
            done = await path(desk)
        await _settle(config.campaign, store)
        desk.folder.recordings(await store.calls.exchanges(config.campaign))
        desk.folder.seal()
    return done


async def _settle(campaign: str, store: SqlStore) -> None:
    """Give up requests to models that nobody waits for any more, and say so."""
    lost = await store.calls.settle(campaign)
    if lost:
        asked = ", ".join(sorted({exchange.role for exchange in lost}))
        gates.tell_on_stderr(
            f"{len(lost)} request(s) to models were in flight when their process was stopped ({asked}): asked "
            "again where they are needed; whether the first was paid is not known"
        )


def desk_of(
    config: CampaignConfig, market: Market, steps: Steps, runs: Path, observer: Observer, openings: OpeningsRegistry
) -> Desk:
    """What the parts of a campaign share."""
    return Desk(
        config=config,
        steps=steps,
        runner=market.runner,
        statistics=market.statistics,
        judge=market.judge,
        folder=CampaignFolder(runs / config.campaign),
        observer=observer,
        openings=openings,
        advisors=brains.advisors_of(config),
    )
