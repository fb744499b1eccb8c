"""runner owns the runner's port over sessions that trade as time goes by."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from pathlib import Path

from maestro.settings import Settings
from maestro.wiring import sessions
from maestro_engine.session.config import SessionConfig
from maestro_engine.session.evidence.outcome import SessionReports
from maestro_engine.session.places import Run
from maestro_engine.session.supervisor import Session
from maestro_protocol.config import RunConfig
from maestro_protocol.errors import DataError, UsageError
from maestro_protocol.messages.report import TestReport
from maestro_protocol.ports import TestOutcome


class LiveRunner(SessionReports):
    """The runner's port over sessions that trade as time goes by: one config, one session.

    A session that has come to its end is read, one that was interrupted is gone on with: none runs twice.
    """

    base: SessionConfig
    where: sessions.Where
    settings: Settings
    told: Callable[[bytes], None] | None = None
    given: Run | None = None
    """The session that the chain begins with, where it ran before there was a chain."""
    may_run = True
    beside: Callable[[Session], AbstractAsyncContextManager[None]] | None = None
    """What it makes of each session is entered while that runs."""
    stop: sessions.Stop | None = None
    """Ends the session that runs now."""
    stopped: str | None = None
    failed = False

    def run(self, configs: Sequence[RunConfig]) -> Sequence[TestOutcome]:
        [config] = configs
        run = self._carried_out(config)
        folder = self._session(config) if run is None else run.folder
        return [self.outcome(config, folder / "events.jsonl")]

    def compare(self, configs: Sequence[RunConfig]) -> Sequence[TestReport]:
        raise UsageError("a session as time goes by cannot be run twice to compare")

    def _carried_out(self, config: RunConfig) -> Run | None:
        if self.given is not None and config.window is not None and config.window.index == 0:
            return ended(self.given)
        for run in reversed(sessions.all_runs(self.settings)):
            try:
                known = run.config().run
            except DataError:
                continue
            if known == config and run.phase() is not None:
                return run if run.phase() == "done" else None
        return None

    def _session(self, config: RunConfig) -> Path:
        asked = session_of(self.base, config)
        if not self.may_run:
            raise UsageError(f"{config.run_id} of {config.campaign} has not run yet; run its session first")
        place = 0 if config.window is None else config.window.index
        where = self.where.model_copy(update={"after_s": place * self.base.duration_s})
        ended = asyncio.run(sessions.run_session(asked, where, self.settings, self.told, self._beside))
        reason = ended.report.reason
        if reason != "duration" and not reason.startswith("breaker:"):
            self.stopped = reason
        self.failed = ended.report.exit_code != 0
        return ended.folder

    @asynccontextmanager
    async def _beside(self, session: Session) -> AsyncGenerator[None]:
        """Let the session be stopped from the thread that hears signals, while it runs in another."""
        loop = asyncio.get_running_loop()
        self.stop = lambda reason: loop.call_soon_threadsafe(session.stop, reason) and None
        try:
            async with nullcontext() if self.beside is None else self.beside(session):
                yield
        finally:
            self.stop = None


def ended(run: Run) -> Run:
    if run.phase() != "done":
        raise UsageError(f"session {run.name} has not come to its end: maestro session run --resume {run.name}")
    return run


def session_of(base: SessionConfig, run: RunConfig) -> SessionConfig:
    """The session that carries out *run*: *base* in all but what *run* says. Raises what is wrong with it."""
    changed = {"methods": run.methods, "params": run.params, "seed": run.seed, "run": run}
    config = base.model_copy(update=changed)
    config.check()
    return config
