"""running owns the commands by which sessions come to run: one, a chain of them, or the config of the next one."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import contextmanager
from dataclasses import asdict
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from maestro.cli.model_options import Brains, Budget
from maestro.cli.session.options import Json, Out, RunArg, settings_with, way_out
from maestro.lines import emit, say, warn
from maestro_protocol.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager

    from maestro.settings import Settings
    from maestro.wiring.live.rounds import Chain, ChainRequest
    from maestro.wiring.sessions import Ended, Where
    from maestro_engine.session.config import SessionConfig
    from maestro_engine.session.supervisor import Session

    Told = Callable[[bytes], None]
    Beside = Callable[[Session], AbstractAsyncContextManager[None]]

Port = Annotated[
    int | None, typer.Option(min=0, max=65_535, help="Port of that page; 0: a free one.  [default: 8765]")
]
ConfigFile = Annotated[
    Path | None, typer.Option("--config", help="The session as a file, like `session plan` leaves one.")
]
RoundCount = Annotated[
    int | None, typer.Option(min=1, max=100, help="So many sessions, each planned on the last one's report.")
]
Policy = Annotated[str, typer.Option(help="When a rule speaks: sequential or streak.")]
PORT = 8765
TOLD = (
    "SystemState",
    "CircuitBreakerTripped",
    "CircuitBreakerRestored",
    "CircuitBreakerCleared",
    "KillSwitchActivated",
    "ORDER_BOOK_STALE",
)


def run(
    duration: Annotated[float, typer.Option(min=0.01, max=44_640, help="Minutes.")] = 10.0,
    source: Annotated[str, typer.Option(help="Prices: sim, replay, binance, bitunix, or an installed one.")] = "sim",
    symbol: Annotated[str, typer.Option(help="What is traded: a perpetual future.")] = "BTCUSDT",
    env: Annotated[str, typer.Option(help="paper, or live: which this version refuses.")] = "paper",
    interval: Annotated[str | None, typer.Option(help="Length of a candle.  [default: 1m]")] = None,
    method: Annotated[list[str] | None, typer.Option(help="Method, as `maestro methods` lists them.")] = None,
    param: Annotated[list[str] | None, typer.Option(help="NAME=VALUE of a parameter.")] = None,
    quantity: Annotated[str | None, typer.Option(help="Size of a position, base currency.  [default: 0.02]")] = None,
    seed: Annotated[int | None, typer.Option(min=0, max=2**32 - 1, help="Same seed, same simulation.")] = None,
    fills: Annotated[str | None, typer.Option(help="ticks, or bars: by the backtest's rules.")] = None,
    outage: Annotated[float | None, typer.Option(help="Seconds of silence that are sat out.  [default: 15]")] = None,
    on_breaker: Annotated[str | None, typer.Option(help="stop, or hold: go on without entries.")] = None,
    recording: Annotated[Path | None, typer.Option(help="Capture that --source replay plays.")] = None,
    replay_from: Annotated[str | None, typer.Option("--replay-from", help="Start there: 2024-08-09T13:30.")] = None,
    speed: Annotated[float, typer.Option(min=0, max=10_000, help="Of sim and replay; 0: at full speed.")] = 1.0,
    endpoint: Annotated[str | None, typer.Option(help="HOST:PORT of `maestro exchange serve`.")] = None,
    resume: Annotated[str | None, typer.Option(help="Go on with this interrupted session.")] = None,
    dashboard: Annotated[bool, typer.Option("--dashboard", help="Show it live on a page of this machine.")] = False,
    dashboard_port: Port = None,
    config_file: ConfigFile = None,
    rounds: RoundCount = None,
    brain: Brains = None,
    budget: Budget = None,
    policy: Policy = "sequential",
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Trade on paper, unattended, for some minutes; leave events, metrics, a summary and a final report."""
    from maestro.wiring import sessions

    settings = settings_with(out)
    if resume is not None:
        config = sessions.run_called(settings, resume).config()
    elif config_file is not None:
        config = sessions.read_config(config_file)
    else:
        given = {
            "duration_s": duration * 60,
            "source": source,
            "symbol": symbol,
            "interval": interval,
            "methods": method or None,
            "params": dict(parse_param(text) for text in param) if param else None,
            "quantity": quantity,
            "seed": seed,
            "fills": fills,
            "outage_s": outage,
            "on_breaker": on_breaker,
        }
        config = _config(settings, env, given)
    where = sessions.Where(recording=recording, replay_from=replay_from, endpoint=endpoint, speed=speed)
    port = PORT if dashboard and dashboard_port is None else dashboard_port
    if rounds is None:
        _run_one(config, where, settings, port, as_json)
        return
    _run_rounds(config, where, rounds, _asked(brain, budget, policy), settings, port, as_json)


def _config(settings: Settings, env: str, given: Mapping[str, object]) -> SessionConfig:
    """The owner's file with what was *given* over it; None was not."""
    from maestro.wiring import sessions

    said = {name: value for name, value in given.items() if value is not None}
    if said.get("fills") == "bars":
        said |= {"entry_latency_ms": 0, "response_latency_ms": 0}
    return sessions.config_of(settings, _one_of("--env", env, ("paper", "live")), said)


def _run_one(config: SessionConfig, where: Where, settings: Settings, port: int | None, as_json: bool) -> None:
    if config.run is not None and config.run.window is not None:
        where = where.model_copy(update={"after_s": config.run.window.index * config.duration_s})
    ended = _run(config, where, settings, port)
    _show_end(ended, as_json)
    if ended.report.exit_code:
        raise typer.Exit(ended.report.exit_code)


def plan(
    run: RunArg = "last",
    brain: Brains = None,
    budget: Budget = None,
    policy: Policy = "sequential",
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Let the agents read a finished session's report, and leave the config of the next one."""
    from maestro.wiring import sessions
    from maestro.wiring.live import rounds

    settings = settings_with(out)
    found = sessions.run_called(settings, run)
    chain = asyncio.run(rounds.plan_after(found, _asked(brain, budget, policy), settings))
    _show_chain(chain, as_json)


def _run_rounds(
    config: SessionConfig,
    where: Where,
    count: int,
    asked: ChainRequest,
    settings: Settings,
    port: int | None,
    as_json: bool,
) -> None:
    from maestro.wiring.live.rounds import run_rounds

    with _shown(port, settings) as (told, beside):
        chain = asyncio.run(run_rounds(config, where, count, asked, settings, told, beside))
    _show_chain(chain, as_json)
    if chain.failed:
        raise typer.Exit(1)


def _asked(brain: Sequence[str] | None, budget: Sequence[str] | None, policy: str) -> ChainRequest:
    from maestro.cli.model_options import ROLES, parse_brains, parse_budget
    from maestro.wiring.live.rounds import ChainRequest

    known = _one_of("--policy", policy, ("sequential", "streak"))
    chosen, limits = parse_brains(brain or ()), parse_budget(budget or ())
    for choice in chosen:
        if choice.role not in ROLES:
            raise UsageError(f"--brain: {choice.role} advises in campaigns; sessions ask {', '.join(ROLES)}")
    return ChainRequest.model_validate({"brains": chosen, "policy": known, "budget": limits})


def _show_chain(chain: Chain, as_json: bool) -> None:
    next_file = None if chain.next_file is None else str(chain.next_file)
    if as_json:
        emit({**asdict(chain), "folder": str(chain.folder), "next": next_file})
        return
    changes = f"The next session trades with {', '.join(chain.changes)}." if chain.changes else "Nothing is changed."
    say(f"{chain.sessions} session{'' if chain.sessions == 1 else 's'}: {chain.words}.")
    if chain.stopped is not None:
        say(f"Stopped ({chain.stopped}): the same command goes on.")
    if next_file is not None:
        say(changes, f"Run it with: maestro session run --config {next_file}")
    say(f"Chain {chain.name} is kept in {chain.folder}")


def _run(config: SessionConfig, where: Where, settings: Settings, port: int | None) -> Ended:
    from maestro.wiring.sessions import run_session

    with _shown(port, None) as (told, beside):
        return asyncio.run(run_session(config, where, settings, told, beside))


@contextmanager
def _shown(port: int | None, chain: Settings | None) -> Generator[tuple[Told, Beside | None]]:
    """A page on *port* beside what runs meanwhile, unless that is None; *chain*: a chain's, in that workspace."""
    if port is None:
        yield _tell, None
        return
    from maestro.dashboard.board import Board
    from maestro.dashboard.server import Dashboard
    from maestro.wiring.live.chain_history import rounds_of

    board = Board(time.monotonic, None if chain is None else lambda name: rounds_of(chain, name))

    def told(line: bytes) -> None:
        _tell(line)
        board.told(line)

    with Dashboard(board, port) as page:
        warn(f"Dashboard: {page.url}")
        try:
            yield told, board.beside
        finally:
            board.end()


def _tell(line: bytes) -> None:
    """On standard error: what changes in a session, not each of its breaths."""
    said = json.loads(line)
    if said["event"] in TOLD:
        detail = said.get("detail") or said.get("source") or ""
        warn(f"{said.get('state', said['event'])} {detail}".rstrip())
    if said["event"] == "AmountConverted":
        warn(
            f"{said['parameter']} {Decimal(said['stated']):,.2f} for {Decimal(said['declared_for']):,.0f} USD:"
            f" {Decimal(said['amount']):,.2f} USD here, {said['distance_pct']:g} % away; price went so far in"
            f" {said['reached_pct']:g} % of the stretches of {said['within_bars']} candles before"
        )
    if said["event"] == "ErrorCounted" and said["count"] == 1:
        warn(said["what"])
    if said["event"] == "SourceLacks":
        warn(f"{said['source']} tells no {', no '.join(said['what'])}: a session there does without")
    if said["event"] == "FundingKnown" and said["source"] == "table":
        warn(f"Funding: rates up to {100 * said['cap']:g} % are believed ({said['why']})")
    if said["event"] == "CircuitBreakerRestored":
        warn(f"Nothing is entered until {way_out(str(said['reason']))}")


def parse_param(text: str) -> tuple[str, object]:
    """``NAME=VALUE`` with a number or a switch. Raises UsageError."""
    name, equals, value = text.partition("=")
    try:
        read: object = json.loads(value)
    except ValueError:
        read = None
    if not equals or not isinstance(read, int | float):
        raise UsageError(f"--param {text[:80]!r}: write NAME=VALUE with a number, true or false")
    return name, read


def _show_end(ended: Ended, as_json: bool) -> None:
    report = ended.report
    if as_json:
        emit(json.loads((ended.folder / "final_report.json").read_text(encoding="utf-8")))
        return
    say(
        f"{report.status}: {report.reason} after {report.duration_seconds:,.0f} s, {report.trades} trades,"
        f" net {report.net_pnl:,.4f} (equity {report.ending_equity:,.4f})",
        *_held_back(report.breakers),
        f"Evidence is in {ended.folder}; check it with: maestro session verify {report.run}",
    )


def _held_back(breakers: Sequence[str]) -> list[str]:
    return [f"{name} is tripped: nothing is entered until {way_out(name)}" for name in breakers]


def _one_of(option: str, value: str, known: tuple[str, ...]) -> str:
    if value not in known:
        raise UsageError(f"{option} {value[:40]!r} is not known; choose one of: {', '.join(known)}")
    return value
