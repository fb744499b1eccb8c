"""status owns the commands that ask about a session, without any effect on it."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from maestro.cli.output import table
from maestro.cli.session.options import Json, Out, RunArg, settings_with, way_out
from maestro.lines import emit, say
from maestro_protocol.errors import DataError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from maestro_engine.session.places import Run

TAIL = 1 << 16
WATCH_S = 0.5


def status(out: Out = None, as_json: Json = False) -> None:
    """Say which session runs, and how it stands."""
    from maestro.wiring import sessions
    from maestro_engine.session.safety.lock import holder

    settings = settings_with(out)
    held = holder(sessions.workspace_of(settings))
    rows = [_standing(run) for run in sessions.all_runs(settings)[-10:]]
    if as_json:
        emit({"running": None if held is None else {"run": held.run, "pid": held.pid}, "sessions": rows})
        return
    say(f"Running: {held.run} (process {held.pid})" if held else "No session is running.")
    if rows:
        table("Sessions", ["run", "status", "reason", "seconds", "position", "equity", "net_pnl"], rows)
    for row in rows:
        say(*(f"{row['run']}: {line}" for line in _breakers(row)))


def watch(
    run: RunArg = "last",
    once: Annotated[bool, typer.Option("--once", help="Draw it once, and end.")] = False,
    out: Out = None,
) -> None:
    """Watch a session in the terminal, from another process and without any effect on it, until it ends."""
    from rich.console import Console
    from rich.live import Live

    from maestro.clock import SystemClock
    from maestro.dashboard.terminal import Watcher, screen
    from maestro.wiring import sessions

    watcher = Watcher(sessions.run_called(settings_with(out), run).folder, lambda: SystemClock().now_ms() / 1_000)
    console, seen = Console(), watcher.look()
    if once or seen.over or not console.is_terminal:
        console.print(screen(seen, console.width))
        return
    with Live(screen(seen, console.width), console=console, screen=True, auto_refresh=False) as live:
        while not seen.over:
            time.sleep(WATCH_S)
            seen = watcher.look()
            live.update(screen(seen, console.width), refresh=True)
    console.print(screen(seen, console.width))


def verify(run: RunArg = "last", out: Out = None, as_json: Json = False) -> None:
    """Check a session's evidence, ten points; exit with 1 unless all hold."""
    from maestro.wiring import sessions
    from maestro_engine.session.evidence.verify import verify as check
    from maestro_engine.session.safety.lock import holder

    settings = settings_with(out)
    folder = sessions.run_called(settings, run).folder
    held = holder(sessions.workspace_of(settings))
    if held is not None and held.run == folder.name:
        raise UsageError(f"{held.run} is still running (process {held.pid}): its evidence is whole when it has ended")
    checks = check(folder, settings.secrets())
    passed = all(each.passed for each in checks)
    if as_json:
        points = [{"number": c.number, "name": c.name, "passed": c.passed, "evidence": c.evidence} for c in checks]
        emit({"run": folder.name, "passed": passed, "checks": points})
    else:
        for c in checks:
            say(f"{c.number:>2}. {'pass' if c.passed else 'FAIL'}  {c.name}: {c.evidence}")
        say(f"{folder.name}: {sum(c.passed for c in checks)} of {len(checks)} points hold")
    if not passed:
        raise typer.Exit(1)


def _standing(run: Run) -> dict[str, Any]:
    """One row about a session: its report or its last heartbeat, and its breakers as they were saved last."""
    from maestro_engine.session.clearing import breakers_of
    from maestro_engine.session.evidence.report import read_report
    from maestro_engine.session.trail.parts import exists
    from maestro_engine.trading.venue.money import plain as plain_digits

    report = read_report(run.folder)
    try:
        breakers = breakers_of(run)
        tripped, cleared = [trip.breaker for trip in breakers.tripped], breakers.cleared
    except DataError:
        tripped, cleared = ["unknown: its state is damaged"], ()
    row: dict[str, Any] = {
        "run": run.name,
        "tripped": tripped,
        "cleared": [
            {"breaker": each.breaker, "who": each.who, "why": each.why, "at": each.asked_ms} for each in cleared
        ],
    }
    if report is not None:
        return row | {
            "status": report.status,
            "reason": report.reason,
            "seconds": report.duration_seconds,
            "position": plain_digits(report.position),
            "equity": plain_digits(report.ending_equity),
            "net_pnl": plain_digits(report.net_pnl),
        }
    if not exists(run.folder / "events.jsonl"):
        return row | dict.fromkeys(("reason", "seconds", "position", "equity", "net_pnl")) | {"status": "not started"}
    beat = _last_heartbeat(run.folder / "events.jsonl")
    return row | {
        "status": "open",
        "reason": None,
        "seconds": beat.get("elapsed"),
        "position": beat.get("pos"),
        "equity": beat.get("equity"),
        "net_pnl": None,
    }


def _breakers(row: Mapping[str, Any]) -> Iterator[str]:
    for name in row["tripped"]:
        yield f"{name} is tripped: nothing is entered until {way_out(name)}"
    for each in row["cleared"]:
        yield f"{each['breaker']} was cleared by {each['who']}: {each['why']}"


def _last_heartbeat(path: Path) -> dict[str, Any]:
    from maestro_engine.session.trail.parts import newest_lines

    for line in newest_lines(path, TAIL):
        if b'"event":"AsyncHeartbeat"' in line:
            return json.loads(line)
    return {}
