"""A laboratory for sessions: a simulated market on a virtual clock, and a world that does what a test tells it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from idle_loop import pytest_asyncio_loop_factories  # noqa: F401 - a hook

from maestro_engine.feeds.clock import VirtualClock
from maestro_engine.feeds.port import Event, Feed, StreamRequest
from maestro_engine.feeds.sim import SimFeed, SimSettings
from maestro_engine.session.config import SessionConfig
from maestro_engine.session.evidence.report import FinalReport
from maestro_engine.session.safety.watchdog import WatchdogLimits
from maestro_engine.session.supervisor import Session
from maestro_engine.session.surroundings import Surroundings
from maestro_engine.session.trail.retention import RetentionPolicy
from maestro_protocol.values import as_params

EAGER = {"ema_fast": 2, "ema_slow": 5, "timeout_bars": 12}
START = SimSettings(seed=7).start_ms


class Killed(BaseException):
    """The process dies here: nothing that ends in order happens after it."""


class Tampered:
    """A feed whose events pass through *tamper*, which may change, hold, double or drop them."""

    def __init__(self, feed: Feed, tamper: Callable[[Event], Any]) -> None:
        self.name, self.counters = feed.name, feed.counters
        self.history, self.filters, self.aclose = feed.history, feed.filters, feed.aclose
        self.funding_terms = feed.funding_terms
        self._feed, self._tamper = feed, tamper

    async def events(self) -> AsyncIterator[Event]:
        async for event in self._feed.events():
            given = self._tamper(event)
            if asyncio.iscoroutine(given):
                given = await given
            for each in [event] if given is None else given:
                yield each


@dataclass
class Lab:
    """Runs sessions in *root*; what the world is like may be changed before and, by callbacks, while they run."""

    root: Path
    clock: VirtualClock = field(default_factory=lambda: VirtualClock(START))
    told: list[dict[str, Any]] = field(default_factory=list)
    on_line: Callable[[dict[str, Any]], None] | None = None
    tamper: Callable[[Event], Any] | None = None
    rss: Callable[[], int] = lambda: 100_000_000
    kill_env: Callable[[], bool] = lambda: False
    watch: WatchdogLimits = field(default_factory=WatchdogLimits)
    retention: RetentionPolicy = field(default_factory=RetentionPolicy)
    secrets: tuple[str, ...] = ()
    wrap: Callable[[Feed], Feed] = lambda feed: feed
    seed: int = 7
    trades_per_s: float = 5.0
    begins_ms: int | None = None
    session: Session | None = None

    def config(self, minutes: float = 30.0, **over: Any) -> SessionConfig:
        given = {"duration_s": minutes * 60, "params": as_params(EAGER), "checkpoint_s": 60, "on_breaker": "hold"}
        return SessionConfig(**{**given, "seed": self.seed, "history_bars": 300, **over}).with_target()

    def feed(self) -> Feed:
        streams = [StreamRequest("BTCUSDT", name) for name in ("trade", "book_ticker", "mark_price")]
        start_ms = self.clock.now_ms() // 60_000 * 60_000
        settings = SimSettings(self.seed, start_ms=start_ms, trades_per_s=self.trades_per_s)
        made = SimFeed(settings, [*streams, StreamRequest("BTCUSDT", "kline", "1m")], self.clock)
        return self.wrap(Tampered(made, self.tamper) if self.tamper else made)

    def around(self) -> Surroundings:
        return Surroundings(
            clock=self.clock,
            feed=self.feed,
            monotonic=lambda: 0.0,
            frozen=lambda _: None,
            begins_ms=self.begins_ms or self.clock.now_ms(),
            rss=self.rss,
            kill_env=self.kill_env,
            secrets=self.secrets,
            told=self.hear,
            watch=self.watch,
            retention=self.retention,
        )

    def hear(self, line: bytes) -> None:
        self.told.append(msgspec.json.decode(line))
        if self.on_line is not None:
            self.on_line(self.told[-1])

    def open(self, config: SessionConfig) -> Session:
        self.session = Session(config, self.root, self.around())
        return self.session

    async def run(self, config: SessionConfig | None = None) -> FinalReport:
        return await self.open(config or self.config()).run()

    async def crash(self, config: SessionConfig | None = None, event: str = "ExecutionFill", count: int = 1) -> None:
        """Run until the *count*-th line of that name is told, then die; two seconds later it is now."""

        def die() -> None:
            raise Killed

        self.when(event, die, count)
        try:
            await self.run(config)
        except* Killed:
            pass
        else:
            raise AssertionError(f"{event} was not told {count} times")
        self.on_line, self.clock = None, VirtualClock(self.told[-1]["ts"] + 2_000)

    @property
    def folder(self) -> Path:
        assert self.session is not None
        assert self.session.run_folder is not None
        return self.session.run_folder

    def events(self, *names: str) -> list[dict[str, Any]]:
        return [line for line in self.told if line["event"] in names]

    def states(self) -> list[str]:
        return [line["state"] for line in self.events("SystemState")]

    def when(self, event: str, do: Callable[[], object], count: int = 1) -> None:
        """Do something once, when the *count*-th line of that name is told."""
        seen: Iterator[int] = iter(range(1, 1_000_000))

        def look(line: dict[str, Any]) -> None:
            if line["event"] == event and next(seen) == count:
                do()

        self.on_line = look


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Lab, FinalReport]:
    """A laboratory after half an hour in which nothing went wrong, to compare with; and the report."""
    lab, loop = Lab(tmp_path_factory.mktemp("undisturbed")), asyncio.new_event_loop()
    report = loop.run_until_complete(lab.run())
    loop.close()
    return lab, report


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """The same half hour, its trail in parts and those older than six minutes thinned."""
    lab, loop = Lab(tmp_path_factory.mktemp("kept")), asyncio.new_event_loop()
    lab.retention = RetentionPolicy(part_bytes=40_000, whole_days=6 / 1_440, total_bytes=10**9)
    loop.run_until_complete(lab.run())
    loop.close()
    return lab


def money(lines: list[dict[str, Any]]) -> Decimal:
    """What the fills, fees and funding of a trail come to."""
    total = Decimal(0)
    for line in lines:
        if line["event"] == "ExecutionFill":
            sign = 1 if line["side"] == "buy" else -1
            total -= sign * Decimal(line["qty"]) * Decimal(line["price"]) + Decimal(line["fees"])
        elif line["event"] == "FundingPaid":
            total += Decimal(line["received"])
    return total


@pytest.fixture
def sum_of() -> Callable[[list[dict[str, Any]]], Decimal]:
    return money
