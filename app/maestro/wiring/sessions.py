"""sessions owns how a paper session comes to its prices, its clock and its people, and how it is asked about."""

from __future__ import annotations

import asyncio
import faulthandler
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractAsyncContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import cast

import numpy as np
from pydantic import ValidationError

from maestro.clock import SystemClock
from maestro.control.rules import known_keys, read_yaml
from maestro.settings import Settings, kill_switch_on
from maestro.wiring.workspace import specs_file
from maestro_engine.feeds.clock import SuppliedClock, VirtualClock
from maestro_engine.feeds.port import Feed, FeedClock
from maestro_engine.feeds.source import FeedRequest
from maestro_engine.session.config import LEAST_BARS, SessionConfig
from maestro_engine.session.evidence.report import FinalReport
from maestro_engine.session.opening import Stood, where_it_stood
from maestro_engine.session.places import Run, find_run, interrupted, runs_in
from maestro_engine.session.safety.controls import send
from maestro_engine.session.safety.lock import holder
from maestro_engine.session.supervisor import Session
from maestro_engine.session.surroundings import Surroundings
from maestro_engine.session.trail.retention import RetentionPolicy
from maestro_engine.trading.account.margin import MarginTable, read_brackets
from maestro_protocol.base import Frozen
from maestro_protocol.errors import ConfigError, DataError, GateRefused, UnknownKey, UsageError
from maestro_protocol.values import as_mapping

MINUTE_MS = 60_000
BRACKETS = "brackets.json"
"""Beside the folders of ``paper`` and ``live``: Binance's answer to ``GET /fapi/v1/leverageBracket``, as it came."""
FROZEN_FILE = "frozen.txt"
"""Where the stacks of a process whose event loop stood still are left."""


class Where(Frozen):
    """Where prices come from, beyond what a session's configuration says."""

    recording: Path | None = None
    replay_from: str | None = None
    """ISO 8601, UTC unless it says otherwise."""
    endpoint: str | None = None
    """``host:port`` of an exchange's double on this machine, instead of the exchange."""
    after_s: float = 0.0
    """Seconds of a simulation or recording that earlier sessions of a chain have taken."""
    speed: float = 1.0
    """Of the clock, for simulations and replays; 0 is as fast as the machine can."""


@dataclass(frozen=True)
class Ended:
    """A session that came to its end, and where its evidence is."""

    folder: Path
    report: FinalReport


def workspace_of(settings: Settings) -> Path:
    return settings.runs / "sessions"


def chains_of(settings: Settings) -> Path:
    """Where processes that have a chain of sessions under way are reached."""
    return workspace_of(settings) / "chains"


def ask_to_end(settings: Settings, command: str) -> list[str]:
    """Send *command* to the session that runs, else to each chain that waits between two; gives their names.

    Raises :class:`UsageError` where nothing is under way.
    """
    held = holder(workspace_of(settings))
    if held is not None:
        send(run_called(settings, held.run).folder, command)
        return [held.run]
    folder = chains_of(settings)
    chains = [each for each in sorted(folder.iterdir() if folder.is_dir() else ()) if holder(each) is not None]
    for chain in chains:
        send(chain, command)
    if not chains:
        raise UsageError("no session is running here; to keep any from starting, create the file KILL in its folder")
    return [chain.name for chain in chains]


def config_of(settings: Settings, env: str, given: Mapping[str, object]) -> SessionConfig:
    """The owner's file for *env*, with *given* over it. Raises :class:`ConfigError` and :class:`UnknownKey`.

    A parameter that is an amount of money, where it is *given*, is meant for this session's own size.
    """
    path = (settings.specs or Path("specs")) / "sessions" / env / "session.yaml"
    file = read_yaml(path, SessionConfig) if path.is_file() else None
    base: dict[str, object] = {} if file is None else file.model_dump(exclude_unset=True)
    params = cast("Mapping[str, object]", given.get("params", {}))
    if file is not None and params:
        given = {**given, "params": {**as_mapping(file.params), **params}}
    if "hard_tp_usd" in params:
        base.pop("declared_for", None)
    try:
        return SessionConfig.model_validate({**base, **given, "env": env}).with_target()
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            raise UnknownKey("session", place, known_keys(SessionConfig)) from None
        raise ConfigError(f"session: {place}: {first['msg']}") from None


def read_config(path: Path) -> SessionConfig:
    """A session as a file, like a plan leaves one. Raises :class:`ConfigError` and :class:`UnknownKey`."""
    return read_yaml(path, SessionConfig).with_target()


def refuse_live(settings: Settings, config: SessionConfig) -> None:
    """Live trading needs its own folder, an approval of this very configuration, and credentials; and a gate.

    Raises :class:`GateRefused`, always: there is no gate for it in this version.
    """
    folder = (settings.specs or Path("specs")) / "sessions" / "live"
    approval = folder / f"approval-{config.digest[:16]}.json"
    missing: list[str] = []
    if not (folder / "session.yaml").is_file():
        missing.append(f"{folder / 'session.yaml'}")
    if not approval.is_file():
        missing.append(f"an approval of this configuration ({approval})")
    if settings.live_api_key is None or settings.live_api_secret is None:
        missing.append("credentials (MAESTRO_LIVE_API_KEY and MAESTRO_LIVE_API_SECRET)")
    lacks = f"; besides, there is no {', no '.join(missing)}" if missing else ""
    raise GateRefused(f"--env live: this version has no gate for live trading, so it trades on paper only{lacks}")


def awake_or_not_ns() -> int:
    """Monotonic nanoseconds that go on while the machine is suspended, where the system has such a clock."""
    if sys.platform == "linux":
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    return time.monotonic_ns()


Stop = Callable[[str], None]
"""Ends a session in order, for a reason."""


async def run_session(
    config: SessionConfig,
    where: Where,
    settings: Settings,
    told: Callable[[bytes], None] | None = None,
    beside: Callable[[Session], AbstractAsyncContextManager[None]] | None = None,
) -> Ended:
    """Run a session to its end; SIGINT and SIGTERM end it in order. Raises MaestroError where it may not start.

    *told* is handed every line of its trail; what *beside* makes of the session is entered while it runs.
    """
    if config.env == "live":
        refuse_live(settings, config)
    if (config.source == "replay") != (where.recording is not None):
        raise UsageError("--source replay and --recording FILE go together")
    config = config.with_versions()
    left = interrupted(workspace_of(settings), config.env)
    stood = where_it_stood(left) if left is not None and left.source == config.source else None
    clock, feed, begins_ms = source_of(config, where, stood, settings.proxy)
    session: Session | None = None

    def frozen(seconds: float) -> None:
        _leave_stacks(session.run_folder if session is not None else None, seconds)
        os._exit(1)  # nothing in this process can be relied on any more; the state is saved at every step

    around = Surroundings(
        clock=clock,
        feed=feed,
        monotonic=lambda: awake_or_not_ns() / 1e9,
        begins_ms=begins_ms,
        frozen=frozen,
        kill_env=kill_switch_on,
        brackets=_brackets(settings),
        secrets=settings.secrets(),
        told=told,
        retention=read_yaml(specs_file(settings, "rules/retention.yaml"), RetentionPolicy),
    )
    session = Session(config, workspace_of(settings), around)
    with ending_on_signals(session.stop):
        async with nullcontext() if beside is None else beside(session):
            report = await session.run()
    assert session.run_folder is not None
    return Ended(session.run_folder, report)


@contextmanager
def ending_on_signals(stop: Stop) -> Generator[None]:
    """SIGINT and SIGTERM call *stop*; in a thread that hears no signals, whoever began it there must stop it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop, f"signal:{number.name}")
    try:
        yield
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


Source = tuple[FeedClock, Callable[[], Feed], int | None]
"""The clock a session runs on, what makes its feed, and where the data's own time begins (None: the machine's)."""


def source_of(config: SessionConfig, where: Where, stood: Stood | None, proxy: str | None = None) -> Source:
    """What *config* asks for, live prices by way of *proxy*.

    A simulation or recording goes on from where an interrupted run *stood*.
    Raises :class:`ConfigError` and :class:`DataError`.
    """
    opened = config.adapter.feed
    if opened is None:
        return (_replayed if config.source == "replay" else _simulated)(config, where, stood)
    clock = SuppliedClock(lambda: SystemClock().now_ms() * 1_000_000, awake_or_not_ns)
    rng = np.random.default_rng([config.seed, 13])
    asked = FeedRequest(config.symbol, config.interval, clock, rng, proxy, where.endpoint)
    return clock, lambda: opened(asked), None


def _clock_from(start_ms: int, speed: float) -> FeedClock:
    """A clock that shows *start_ms* (UTC milliseconds) now, and runs at *speed*."""
    if speed == 0:
        return VirtualClock(start_ms)
    began = time.monotonic_ns()
    return SuppliedClock(lambda: start_ms * 1_000_000 + time.monotonic_ns() - began, time.monotonic_ns, speed)


def _simulated(config: SessionConfig, where: Where, stood: Stood | None) -> Source:
    from maestro_engine.feeds.sim import SimFeed, SimSettings

    settings = SimSettings(config.seed, config.symbol)
    settings = replace(settings, start_ms=settings.start_ms + round(where.after_s / 60) * MINUTE_MS)
    after = None if stood is None else stood.place
    begins_ms = settings.start_ms if after is None else max(settings.start_ms, after.ms)
    clock = _clock_from(begins_ms, where.speed)
    asked = FeedRequest(config.symbol, config.interval, clock, np.random.default_rng(config.seed))
    wanted = asked.streams("trade", "book_ticker", "mark_price")
    return clock, lambda: SimFeed(settings, wanted, clock, after=after), begins_ms


def _replayed(config: SessionConfig, where: Where, stood: Stood | None) -> Source:
    from maestro_engine.feeds.binance.client import binance_replay
    from maestro_engine.feeds.recording import Recording
    from maestro_engine.testing.exchange_server.tape import invented_history

    assert where.recording is not None
    recording = Recording(where.recording)
    first_ms = recording.head().first_ns // 1_000_000
    from_ms = _moment(where.replay_from)
    if where.after_s:
        from_ms = max(first_ms, from_ms or 0) + round(where.after_s * 1_000)
    if stood is not None:
        from_ms = stood.saved_ms
    begins_ms = max(first_ms, from_ms or 0)
    clock = _clock_from(begins_ms, where.speed)
    history = invented_history(recording, config.seed)

    def feed() -> Feed:
        return binance_replay(recording, clock, intervals=(config.interval,), history=history, from_ms=from_ms)

    return clock, feed, begins_ms


async def price_of(config: SessionConfig, where: Where, settings: Settings) -> Decimal:
    """The newest close that *config*'s source tells before anything begins. Raises :class:`DataError`."""
    _, feed_of, _ = source_of(config, where, None, settings.proxy)
    feed = feed_of()
    try:
        klines = await feed.history(config.symbol, config.interval, LEAST_BARS)
    finally:
        await feed.aclose()
    if not klines:
        raise DataError(f"{config.symbol}: {config.source} tells no closed candle of {config.interval}")
    return Decimal(repr(klines[-1].close))


def _brackets(settings: Settings) -> Mapping[str, MarginTable]:
    """What the owner saved of the exchange's answer about brackets, which it gives to accounts alone.

    Raises :class:`ConfigError`.
    """
    path = (settings.specs or Path("specs")) / "sessions" / BRACKETS
    if not path.is_file():
        return {}
    try:
        return read_brackets(path.read_bytes())
    except (OSError, ConfigError) as error:
        raise ConfigError(f"{path}: {error}") from None


def _moment(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"--replay-from {text[:40]!r}: write a time such as 2024-08-09T13:30:00") from None
    return round((moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp() * 1_000)


def _leave_stacks(folder: Path | None, seconds: float) -> None:
    told = f"the event loop has stood still for {seconds:g} s: the process ends, its state is saved\n"
    sys.stderr.write(told)
    if folder is not None:
        with (folder / FROZEN_FILE).open("w", encoding="utf-8") as file:
            file.write(told)
            faulthandler.dump_traceback(file)


def run_called(settings: Settings, name: str) -> Run:
    """The run of that name; ``last`` is the newest. Raises :class:`UsageError`."""
    return find_run(workspace_of(settings), name)


def all_runs(settings: Settings) -> list[Run]:
    return [run for env in ("paper", "live") for run in runs_in(workspace_of(settings), env)]
