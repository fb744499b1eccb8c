"""exchange owns the command that serves the exchange's double on loopback: for demonstrations and trials."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from maestro_protocol.errors import UsageError

if TYPE_CHECKING:
    from maestro_engine.testing.exchange_server.faults import Fault
    from maestro_engine.testing.exchange_server.tape import Tape

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Serve a double of an exchange on this machine.")


@app.callback()
def exchange() -> None:
    """Serve a double of an exchange on this machine."""


@app.command("serve")
def serve(
    recording: Annotated[Path | None, typer.Option(help="Capture (file or folder) that is played.")] = None,
    sim: Annotated[int | None, typer.Option(min=0, help="Seed of a simulated market instead.")] = None,
    faults: Annotated[Path | None, typer.Option(help="JSON plan of faults to inject.")] = None,
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Port on 127.0.0.1; 0 takes a free one.")] = 0,
    speed: Annotated[float, typer.Option(min=0.01, max=10_000, help="Of the tape.")] = 1.0,
    seed: Annotated[int, typer.Option(min=0, help="Of what faults mangle.")] = 7,
) -> None:
    """Speak the exchange's WebSocket and REST until stopped; the tape starts with the first client."""
    if (recording is None) == (sim is None):
        raise UsageError("give either --recording FILE or --sim SEED")
    asyncio.run(_serve(_tape(recording, sim, seed), _plan(faults), port, speed, seed))


def _tape(recording: Path | None, sim: int | None, seed: int) -> Tape:
    from maestro_engine.feeds.recording import Recording
    from maestro_engine.feeds.sim import SimSettings
    from maestro_engine.testing.exchange_server.tape import RecordedTape, SimTape, invented_history

    if recording is None:
        now_ms = _now_ns() // 60_000_000_000 * 60_000
        return SimTape(SimSettings(sim or 0, start_ms=now_ms))
    played = Recording(recording)
    return RecordedTape(played, invented_history(played, seed))


def _plan(path: Path | None) -> tuple[Fault, ...]:
    from maestro_engine.testing.exchange_server.faults import read_plan

    if path is None:
        return ()
    try:
        return read_plan(path.read_bytes())
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror})") from None


async def _serve(tape: Tape, plan: tuple[Fault, ...], port: int, speed: float, seed: int) -> None:
    import numpy as np

    from maestro_engine.feeds.clock import SuppliedClock
    from maestro_engine.testing.exchange_server.server import serve as listening

    clock = SuppliedClock(_now_ns, time.monotonic_ns, speed)
    done = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, done.set)
    try:
        async with listening(tape, clock, np.random.default_rng(seed), faults=plan, port=port) as double:
            from maestro.lines import say

            say(f"127.0.0.1:{double.port} {', '.join(tape.symbols)}")
            sys.stdout.flush()
            await done.wait()
    except OSError as error:
        raise UsageError(f"--port {port}: {error.strerror or error}") from None


def _now_ns() -> int:
    from maestro.clock import SystemClock

    return SystemClock().now_ms() * 1_000_000
