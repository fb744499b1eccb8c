"""supervisor owns a session from lock to final report: its states, its tasks side by side, its one way to end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from maestro_engine.feeds.clock import ReceiveStamps
from maestro_engine.feeds.port import Feed, FeedClock
from maestro_engine.session.clearing import mend
from maestro_engine.session.config import SessionConfig
from maestro_engine.session.ending import Ending
from maestro_engine.session.evidence.export import export
from maestro_engine.session.evidence.logs import SessionLog
from maestro_engine.session.evidence.metrics import SessionMetrics
from maestro_engine.session.evidence.outcome import leave_report
from maestro_engine.session.evidence.report import FinalReport
from maestro_engine.session.opening import Opened, open_trader
from maestro_engine.session.places import Run, interrupted, new_run, predecessor
from maestro_engine.session.safety.controls import Controls
from maestro_engine.session.safety.lock import SessionLock
from maestro_engine.session.safety.reserve import DiskReserve, Write
from maestro_engine.session.safety.watchdog import Watchdog
from maestro_engine.session.seeding import seed
from maestro_engine.session.surroundings import Surroundings
from maestro_engine.session.tasks import KILL_POLL_S, Tasks, heed
from maestro_engine.session.trading.funding import rules_in_force
from maestro_engine.session.trading.trader import Trader
from maestro_engine.session.trading.venue import instrument_of, unlisted
from maestro_engine.session.trail import records
from maestro_engine.session.trail.audit import Audit, in_thread
from maestro_engine.session.trail.scrub import Scrubber
from maestro_engine.session.watching.onlooker import Onlooker
from maestro_protocol.errors import DataError, MaestroError, Refused, UsageError

DISK_FULL = "disk_full"


def take_run(workspace: Path, config: SessionConfig) -> tuple[Run, SessionConfig]:
    """The interrupted run that *config* goes on with, else a new one. Call it while the lock is held.

    Raises :class:`UsageError` where an interrupted run of another configuration must be brought to its end first.
    """
    left = interrupted(workspace, config.env)
    if left is None:
        return new_run(workspace, config), config
    theirs = left.config()
    if theirs.digest != config.digest:
        raise UsageError(
            f"session {left.name} was interrupted and may hold a position; bring it to its end first:"
            f" maestro session run --resume {left.name}"
        )
    return left, theirs


class Session:
    """One session in *workspace*. ``run`` gives its final report; ``stop`` ends it from any callback."""

    def __init__(self, config: SessionConfig, workspace: Path, around: Surroundings) -> None:
        config.check()
        self.config, self.workspace = config, workspace
        self._around = around
        self._stamps = ReceiveStamps(around.clock)
        self._ending = Ending(around.clock, self._now_ms if around.begins_ms is None else None)
        self.run_folder: Path | None = None
        self.onlooker: Onlooker | None = None
        """Looks at the session once it trades; to be asked from its event loop."""

    def _now_ms(self) -> int:
        return self._stamps.now_ns() // 1_000_000

    def stop(self, reason: str) -> None:
        """Begin to end, for *reason*; later reasons change nothing."""
        self._ending.begin(reason)

    async def run(self) -> FinalReport:
        """From lock to report. Raises :class:`Refused` and :class:`UsageError` where it may not even start."""
        if self.config.env == "live":
            raise Refused("live: there is no gate for live trading in this version; run with --env paper")
        with SessionLock(self.workspace) as lock:
            run, self.config = take_run(self.workspace, self.config)
            lock.name(run.name)
            self.run_folder = run.folder
            scrub = Scrubber(self._around.secrets)
            log = SessionLog(run.folder / "session.log", scrub, self._now_ms)
            feed = self._around.feed()
            try:
                return await self._within(run, feed, scrub, log)
            finally:
                await feed.aclose()
                log.close()

    async def _within(self, run: Run, feed: Feed, scrub: Scrubber, log: SessionLog) -> FinalReport:
        controls = Controls(self.workspace, run.folder, self._around.kill_env)
        self._refuse_if_killed(controls, run)
        reserve = DiskReserve(run.folder, lambda: self._ending.fail(DISK_FULL))
        around = self._around
        audit = Audit(run.folder / "events.jsonl", scrub, around.told, reserve.write, around.retention, in_thread)
        try:
            reserve.hold()
            opened = self._initialize(run, audit, controls, reserve.write)
        except MaestroError as error:
            log.failure("not started", error)
            audit.close()
            reserve.release()
            if run.phase() is None:
                run.discard()  # nothing has happened in it that anybody could go on with
            raise
        metrics = SessionMetrics()
        opened.trader.desk.fill_ms = lambda ms: metrics.fill.add(ms * 1_000_000)
        self.onlooker = onlooker = Onlooker(self.config, opened, feed, metrics, self._around)
        try:
            await self._live(opened, feed, controls, metrics, log, lambda: onlooker.leave(run.folder, scrub))
            report = await self._end(opened, feed, metrics, controls)
            reserve.write(lambda: export(run.folder, report, self.config, metrics, scrub))
            reserve.write(lambda: leave_report(run.folder, self.config))
            opened.complete()
            onlooker.leave(run.folder, scrub, last=True)
        finally:
            audit.close()
            reserve.release()
        log.info("ended", reason=report.reason, exit_code=report.exit_code)
        return report

    def _refuse_if_killed(self, controls: Controls, run: Run) -> None:
        """A new session does not start against the kill switch; an interrupted one does, to get flat."""
        if run.phase() is not None:
            return
        on = [source.value for source, kill in controls.kill_sources().items() if kill]
        if on:
            run.discard()
            raise Refused(f"kill switch: on by {', '.join(on)}; clear it there before a session starts")

    def _initialize(self, run: Run, audit: Audit, controls: Controls, write: Write) -> Opened:
        """A trader, before anything is asked of the exchange: from here on there is something to end in order."""
        begins_ms = self._around.begins_ms
        now = self._now_ms() if begins_ms is None else begins_ms
        before = predecessor(self.workspace, run, self.config.env)
        if before is not None:
            mend(before)
        grid, brackets = unlisted(self.config.symbol), self._around.brackets
        opened = open_trader(run, self.config, grid, audit, before, now, brackets=brackets, write=write)
        trader = opened.trader
        guard = trader.desk.guard
        if not opened.resumed and guard.kill_switch.on:  # a predecessor's: whoever cleared its sources released it
            guard.on_kill_sources(controls.kill_sources(), now)
            guard.release_kill_switch()
        config = self.config.model_dump(mode="json")
        trader.say(records.SystemStartup(run.name, self.config.env, config, opened.resumed, opened.down_ms))
        trader.say(records.SystemState("INITIALIZING", opened.fell_back or ""))
        trader.say(opened.margin)
        lacks = self.config.adapter.lacks()
        if lacks:
            trader.say(records.SourceLacks(self.config.source, lacks))
        opened.tripped = () if opened.resumed else guard.trips
        for trip in guard.trips:
            trader.say(records.CircuitBreakerRestored(trip.breaker, trip.detail, trip.at))
        trader.save()
        trader.finish()
        if opened.resumed:
            trader.adopt(self.config.restart)
        return opened

    async def _live(
        self,
        opened: Opened,
        feed: Feed,
        controls: Controls,
        metrics: SessionMetrics,
        log: SessionLog,
        leave: Callable[[], None],
    ) -> None:
        """SEEDING_HISTORY and RUNNING, until something says stop; then cancel, and wait for what is under way."""
        trader, clock = opened.trader, self._around.clock
        trader.say(records.SystemState("SEEDING_HISTORY"))
        trader.finish()
        try:
            async with self._heeding(controls, opened):
                seeded = await self._ending.first(self._prepare(trader, feed, clock))
            if not seeded and trader.desk.flat:
                return  # what is held needs prices to be closed at, and those come to one that is RUNNING
        except MaestroError as error:
            log.failure("seeding", error)
            trader.error(str(error))
            self._ending.fail("seeding_failed")
            return
        watchdog = Watchdog(
            self._around.watch,
            monotonic=self._around.monotonic,
            rss=self._around.rss,
            frozen=self._around.frozen,
            full=self._memory_full(asyncio.get_running_loop()),
        )
        tasks = Tasks(self.config, opened, feed, self._around, self._stamps, controls, metrics, self._ending, log)
        trader.say(records.SystemState("RUNNING"))
        trader.finish()
        with watchdog:
            try:
                async with asyncio.TaskGroup() as group:
                    running = [group.create_task(work) for work in tasks.all(watchdog.beat, leave)]
                    await self._ending.asked.wait()
                    await self._wind_down(opened)
                    for task in running:
                        task.cancel()
            except ExceptionGroup as failed:
                log.failure("task failed", failed)
                trader.error(f"a task failed: {failed.exceptions[0]!r}")
                self._ending.fail("failure")

    async def _prepare(self, trader: Trader, feed: Feed, clock: FeedClock) -> None:
        """What the exchange must have answered before there is trading: the symbol's grid, funding and history."""
        trader.desk.instrument = instrument_of(await feed.filters(self.config.symbol))
        trader.desk.exchange.instrument = trader.desk.instrument
        terms, why = None, f"{self.config.source} does not state it"
        try:
            terms = await feed.funding_terms(self.config.symbol)
        except DataError as error:
            why = str(error)
        trader.learn_funding(*rules_in_force(self.config.symbol, terms, why))
        await seed(trader, feed, self.config, clock)

    @asynccontextmanager
    async def _heeding(self, controls: Controls, opened: Opened) -> AsyncGenerator[None]:
        """Listen to people, and for the planned end, while no task does it yet: the exchange may take a while.

        All this waits in the world's own time. A session whose time is up before it ran has failed.
        """
        left_s = self.config.duration_s - opened.trader.elapsed_s
        until_s = self._around.monotonic() + left_s if self._around.begins_ms is None and left_s > 0 else None

        async def listen() -> None:
            while not self._ending.asked.is_set():
                heed(controls, opened.trader, self._ending)
                if until_s is not None and self._around.monotonic() >= until_s:
                    self._ending.fail("duration")
                await asyncio.sleep(KILL_POLL_S)

        listening = asyncio.create_task(listen())
        try:
            yield
        finally:
            listening.cancel()
            with suppress(asyncio.CancelledError):
                await listening

    def _memory_full(self, loop: asyncio.AbstractEventLoop) -> Callable[[int], None]:
        """What the watchdog's thread calls: the loop is told, in its own time."""

        def told(used: int) -> None:
            loop.call_soon_threadsafe(self._ending.fail, f"memory:{used // 1_000_000} MB")

        return told

    async def _wind_down(self, opened: Opened) -> None:
        trader = opened.trader
        trader.entries_allowed = False
        trader.say(records.SystemState("SHUTTING_DOWN", self._ending.reason))
        self._ending.held = not trader.desk.flat
        trader.cancel_all()
        await self._ending.settle(trader)

    async def _end(self, opened: Opened, feed: Feed, metrics: SessionMetrics, controls: Controls) -> FinalReport:
        trader = opened.trader
        if self._ending.reason == DISK_FULL and self.config.on_disk_full == "keep":
            trader.leave_dead_market("keep")
        elif not trader.desk.flat:
            await self._ending.close(trader, self.config.on_dead_market)
        controls.clear(trader.clear)  # what was asked while it ended
        return self._ending.report(self.config, opened, metrics, feed.counters)
