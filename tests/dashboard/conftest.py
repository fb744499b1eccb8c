"""Sessions to look at: one that runs in a thread of its own with its page beside it, at twenty times the speed."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from maestro.dashboard.board import Board
from maestro.dashboard.server import Dashboard
from maestro_engine.feeds.clock import SuppliedClock, VirtualClock
from maestro_engine.feeds.port import FeedClock, StreamRequest
from maestro_engine.feeds.sim import SimFeed, SimSettings
from maestro_engine.session.config import SessionConfig
from maestro_engine.session.evidence.report import FinalReport
from maestro_engine.session.supervisor import Session
from maestro_engine.session.surroundings import Surroundings
from maestro_protocol.values import as_params

SPEED = 20.0
START = SimSettings(seed=7).start_ms
STREAMS = [StreamRequest("BTCUSDT", name) for name in ("trade", "book_ticker", "mark_price")]
EAGER = {"ema_fast": 2, "ema_slow": 5, "timeout_bars": 12}


def machine_clock(speed: float = SPEED) -> FeedClock:
    began = time.monotonic_ns()
    return SuppliedClock(lambda: START * 1_000_000 + time.monotonic_ns() - began, time.monotonic_ns, speed)


@dataclass
class Shown:
    """A session of *minutes* with its page; ``run`` in the caller's loop, or ``start`` it in a thread."""

    root: Path
    clock: FeedClock
    minutes: float = 60.0
    limits: dict[str, Any] = field(default_factory=dict)
    board: Board = field(default_factory=lambda: Board(time.monotonic))
    on_line: Callable[[dict[str, Any]], None] = lambda line: None
    monotonic: Callable[[], float] = time.monotonic
    told: list[dict[str, Any]] = field(default_factory=list)
    report: FinalReport | None = None
    url: str = ""
    session: Session | None = None
    _thread: threading.Thread | None = None

    def make(self) -> Session:
        config = SessionConfig(
            duration_s=self.minutes * 60,
            params=as_params(EAGER),
            history_bars=300,
            checkpoint_s=60,
            outage_s=3_600,
            on_breaker="hold",
            limits=self.limits,
        ).with_target()
        wanted = [*STREAMS, StreamRequest("BTCUSDT", "kline", "1m")]
        around = Surroundings(
            clock=self.clock,
            feed=lambda: SimFeed(SimSettings(7), wanted, self.clock),
            monotonic=self.monotonic,
            frozen=lambda _: None,
            begins_ms=START,
            told=self.hear,
        )
        self.session = Session(config, self.root, around)
        return self.session

    def hear(self, line: bytes) -> None:
        self.board.told(line)
        self.told.append(json.loads(line))
        self.on_line(self.told[-1])

    def hurry(self, speed: float) -> None:
        """Let time pass at *speed*, where what is to be seen takes long to happen."""
        self.clock = machine_clock(speed)

    async def run(self) -> FinalReport:
        session = self.make()
        async with self.board.beside(session):
            self.report = await asyncio.wait_for(session.run(), 100)
        return self.report

    def start(self) -> None:
        self._thread = threading.Thread(target=lambda: asyncio.run(self.run()))
        self._thread.start()

    def ended(self) -> FinalReport:
        if self._thread is not None:
            self._thread.join(90)
            assert not self._thread.is_alive()
        assert self.report is not None
        return self.report

    def events(self, name: str) -> list[dict[str, Any]]:
        return [line for line in self.told if line["event"] == name]

    @property
    def token(self) -> str:
        return parse_qs(urlsplit(self.url).query)["token"][0]

    @property
    def folder(self) -> Path:
        assert self.session is not None
        assert self.session.run_folder is not None
        return self.session.run_folder


@pytest.fixture
def shown(tmp_path: Path) -> Iterator[Shown]:
    """One on the machine's clock."""
    made = Shown(tmp_path, machine_clock())
    with Dashboard(made.board, 0) as page:
        made.url = page.url
        yield made
        if made.session is not None and made.report is None:
            made.board.command("stop")
            made.ended()


@pytest.fixture
def virtual(tmp_path: Path) -> Iterator[Shown]:
    """One on virtual time: to be run in the test's own loop."""
    made = Shown(tmp_path, VirtualClock(START), minutes=30.0)
    with Dashboard(made.board, 0) as page:
        made.url = page.url
        yield made
