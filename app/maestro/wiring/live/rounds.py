"""rounds owns how a chain of sessions comes to its sessions, its agents and its files."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from maestro.clock import SystemClock
from maestro.control.context import Desk, Progress
from maestro.control.record.manifest import renew_from
from maestro.control.rules import check_rules, read_yaml
from maestro.control.session_chain import Rounds
from maestro.report.pages import write_report
from maestro.settings import Settings
from maestro.wiring import brains, gates, sessions, workspace
from maestro.wiring.campaigns import config_of, versions, walk
from maestro.wiring.live.runner import LiveRunner, ended, session_of
from maestro_engine.api import Market
from maestro_engine.feeds.sources import SOURCES
from maestro_engine.inference.port import EngineStatistics
from maestro_engine.session.config import SessionConfig
from maestro_engine.session.evidence.outcome import began_ms, last_price, run_of, targets_of
from maestro_engine.session.places import Run
from maestro_engine.session.safety.controls import COMMANDS, Controls
from maestro_engine.session.safety.lock import SessionLock
from maestro_engine.session.supervisor import Session
from maestro_engine.session.tasks import KILL_POLL_S
from maestro_engine.trading.risk.killswitch import KillSource
from maestro_protocol.base import Frozen
from maestro_protocol.config import DECLARED_FOR, RunConfig
from maestro_protocol.errors import UsageError
from maestro_protocol.messages.campaign import (
    DEFAULT_METHODS,
    BrainChoice,
    BudgetPlan,
    CampaignConfig,
    CampaignFinished,
    Policy,
)
from maestro_protocol.messages.report import SegmentFinished
from maestro_protocol.schema import canonical

if TYPE_CHECKING:
    from maestro.store.repository import SqlStore

BASE_FILE, NEXT_FILE = "session.yaml", "next.yaml"
"""In a chain's folder: what the owner asked for, and the session that comes next."""
MOST_ROUNDS = 100


class ChainRequest(Frozen):
    """What a person asks of the agents that read a session's report."""

    brains: tuple[BrainChoice, ...] = ()
    policy: Policy = "sequential"
    budget: BudgetPlan = BudgetPlan()


@dataclass(frozen=True)
class Chain:
    """A chain as far as it came."""

    name: str
    folder: Path
    sessions: int
    finished: bool
    stopped: str | None
    """Why no further session began in this process though more were asked for; None where none was."""
    failed: bool
    words: str
    """What may be said of the results so far."""
    changes: tuple[str, ...]
    """What the next session does otherwise than the last one."""
    planned: bool
    """Whether the next session is planned; not where the chain is finished, or was stopped before."""

    @property
    def next_file(self) -> Path | None:
        return self.folder / NEXT_FILE if self.planned else None


async def run_rounds(
    base: SessionConfig,
    where: sessions.Where,
    rounds: int,
    asked: ChainRequest,
    settings: Settings,
    told: Callable[[bytes], None] | None = None,
    beside: Callable[[Session], AbstractAsyncContextManager[None]] | None = None,
) -> Chain:
    """So many sessions one after another, each by what the agents made of the last one's report.

    *told* is handed every line of their trails; what *beside* makes of each is entered while it runs. The same
    request goes on with a chain that was interrupted. Raises MaestroError; what was finished is kept.
    """
    base.check()
    wanted = hashlib.sha256(canonical(base) + canonical(asked) + str(rounds).encode()).hexdigest()[:6]
    store = await workspace.open_workspace_store(settings)
    try:
        name = await _unfinished(f"rounds-{base.source}-{base.symbol.lower()}-{wanted}", store, settings)
        if name in await store.campaigns():
            config = await config_of(name, store)
        else:
            price = await sessions.price_of(base, where, settings)
            config = _config(name, base, rounds, asked, settings, _begins_ms(base, where), price)
        return await _walk(config, base, where, rounds, store, settings, told, beside=beside)
    finally:
        await store.close()


async def plan_after(run: Run, asked: ChainRequest, settings: Settings) -> Chain:
    """Let the agents look at a finished session; their config for the next one is left in the chain's folder.

    A session that was planned itself goes on its chain. Raises MaestroError.
    """
    ended(run)
    session = run.config()
    name = run.name if session.run is None else session.run.campaign
    number = 1 if session.run is None or session.run.window is None else session.run.window.index + 1
    store = await workspace.open_workspace_store(settings)
    try:
        if name in await store.campaigns():
            config, base = await config_of(name, store), read_base(settings, name)
            told = [envelope.body async for envelope in store.journal(name)]
            number = max(number, sum(isinstance(body, SegmentFinished) for body in told))
        elif session.run is None:
            base = session
            trail = run.folder / "events.jsonl"
            config = _config(name, base, MOST_ROUNDS, asked, settings, began_ms(trail), last_price(trail))
        else:
            raise UsageError(f"session {run.name} was planned in chain {name}, which is not kept here")
        given = run if session.run is None else None
        return await _walk(config, base, sessions.Where(), number, store, settings, None, given, may_run=False)
    finally:
        await store.close()


def read_base(settings: Settings, chain: str) -> SessionConfig:
    """What the owner asked of *chain*'s sessions. Raises ConfigError."""
    return read_yaml(settings.runs / chain / BASE_FILE, SessionConfig)


def planned_as(settings: Settings, name: str) -> tuple[str, str] | None:
    """Chain and run id of the session *name*; None where there is no such session."""
    found = [run for run in sessions.all_runs(settings) if run.name == name]
    if not found:
        return None
    run = found[0].config().run
    return (name, "seg1_test001") if run is None else (run.campaign, run.run_id)


async def _walk(
    config: CampaignConfig,
    base: SessionConfig,
    where: sessions.Where,
    rounds: int,
    store: SqlStore,
    settings: Settings,
    told: Callable[[bytes], None] | None,
    given: Run | None = None,
    *,
    beside: Callable[[Session], AbstractAsyncContextManager[None]] | None = None,
    may_run: bool = True,
) -> Chain:
    root = run_of(base, config.campaign, config.data.first_ms).model_copy(update={"sizing": config.sizing})
    if root.data != config.data:
        raise UsageError(f"{config.campaign}: {BASE_FILE} has changed since the chain began; restore it")
    runner = LiveRunner.of(root, config.targets)
    runner.base, runner.where, runner.settings, runner.told = base, where, settings, told
    runner.given, runner.may_run, runner.beside = given, may_run, beside
    runner.pin(config.methods)
    check_rules(config, runner.space(runner.methods()))
    ends: list[Rounds] = []

    async def path(desk: Desk) -> RunConfig:
        desk.folder.write(BASE_FILE, _yaml(base))
        conducted = Rounds(desk, root, lambda: runner.stopped)
        ends.append(conducted)

        def stop(reason: str) -> None:
            _stop(runner, reason)
            conducted.leave()

        with sessions.ending_on_signals(stop):
            async with _listening(config.campaign, settings, stop):
                following = await conducted.run(rounds)
        if not conducted.finished and not conducted.left:
            desk.folder.write(NEXT_FILE, _yaml(session_of(base, following)))
        return following

    market = Market(runner, EngineStatistics(), None)
    await walk(config, market, store, settings, _watch if may_run else lambda progress: None, path)
    folder = settings.runs / config.campaign
    await asyncio.to_thread(renew_from, folder, await asyncio.to_thread(write_report, folder))
    [done] = ends
    return Chain(
        name=config.campaign,
        folder=folder,
        sessions=len(done.desk.tests),
        finished=done.finished,
        stopped=runner.stopped,
        failed=runner.failed,
        words=done.words,
        changes=tuple(done.changes),
        planned=not done.finished and not done.left,
    )


@asynccontextmanager
async def _listening(name: str, settings: Settings, stop: sessions.Stop) -> AsyncGenerator[None]:
    """While chain *name* is under way in this process, `session stop` reaches it where no session of it runs.

    Raises :class:`Refused` where another process has it under way.
    """
    folder = sessions.chains_of(settings) / name
    with SessionLock(folder) as lock:
        lock.name(name)
        controls = Controls(sessions.workspace_of(settings), folder, lambda: False)
        for command in COMMANDS:
            controls.take(command)  # of somebody who spoke to a process that had just ended

        async def listen() -> None:
            while True:
                if controls.kill_sources()[KillSource.REMOTE]:
                    stop(f"kill_switch:{KillSource.REMOTE.value}")
                elif controls.take("stop"):
                    stop("stop")
                await asyncio.sleep(KILL_POLL_S)

        listening = asyncio.create_task(listen())
        try:
            yield
        finally:
            listening.cancel()
            with suppress(asyncio.CancelledError):
                await listening


def _stop(runner: LiveRunner, reason: str) -> None:
    runner.stopped = reason
    if runner.stop is not None:
        runner.stop(reason)


def _watch(progress: Progress) -> None:
    gates.tell_on_stderr(f"session {progress.segment} of {progress.segments}: {progress.note or 'planned'}")


async def _unfinished(name: str, store: SqlStore, settings: Settings) -> str:
    """The newest chain of that name where it is not finished, else a name that is free."""
    known = await store.campaigns()
    mine = [each for each in known if each == name or each.startswith(f"{name}-")]
    if not mine and not (settings.runs / name / "journal.jsonl").exists():
        return name  # what may lie there is of an attempt that came to nothing
    if mine:
        ends = [envelope.body async for envelope in store.journal(mine[-1])]
        if not any(isinstance(body, CampaignFinished) for body in ends):
            return mine[-1]
    return workspace.free_name(name, known, settings)


def _config(
    name: str,
    base: SessionConfig,
    rounds: int,
    asked: ChainRequest,
    settings: Settings,
    begins_ms: int,
    price: Decimal | None,
) -> CampaignConfig:
    """A chain's config. Targets and lines of rules that are amounts of money are for a position at *price*."""
    rules, policies, gate_policy = workspace.read_rules(settings)
    root = run_of(base, name, begins_ms, price)
    return CampaignConfig(
        campaign=name,
        seed=base.seed,
        tests=rounds,
        segments=rounds,
        policy=asked.policy,
        engine="session",
        methods=tuple(sorted({*DEFAULT_METHODS, *base.methods})),
        data=root.data,
        costs=base.costs,
        sizing=root.sizing,
        brains=brains.all_roles(asked.brains),
        budget=asked.budget,
        rules=rules.scaled(float(root.sizing.notional_usd / DECLARED_FOR)),
        targets=targets_of(root),
        policies=policies,
        gates=gate_policy,
        versions=(*versions(asked.brains, base.methods), *SOURCES.from_outside([base.source])),
    )


def _begins_ms(base: SessionConfig, where: sessions.Where) -> int:
    _, _, begins_ms = sessions.source_of(base, where, None)
    return SystemClock().now_ms() if begins_ms is None else begins_ms


def _yaml(config: SessionConfig) -> bytes:
    said = config.model_dump(mode="json", exclude_defaults=True)
    return yaml.safe_dump(said, sort_keys=False, allow_unicode=True, width=118).encode()
