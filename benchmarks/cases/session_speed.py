"""session_speed owns the unattended session: frames to decisions, frames of a recording a second, and its memory."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from measuring.bench import Bench
from measuring.processes import run
from measuring.results import Row, least, missing, most, rate
from measuring.samples import Sample, Samples
from measuring.workers import Worker

TITLE = "An unattended paper session"

MAESTRO = Path(sys.executable).with_name("maestro")
CAPTURE = "ticks/binance_usdm_btcusdt_2024-08-08.ws.gz"
TRADES_PER_S = 480
"""Of the double; with quotes, candles and marks about a thousand messages."""
PACED = 60.0
DRIFT_MB = 8


def measure(bench: Bench) -> Iterator[Row]:
    with bench.our_worker("paper_session.py") as session:
        yield from _live(bench, session)
        yield from _replayed(bench, session)
        yield from _day(bench, session)
    yield _peak(bench)


def _live(bench: Bench, session: Worker) -> Iterator[Row]:
    """The real client over real sockets, the double in another process."""
    seconds = 10 if bench.quick else 60
    with bench.our_worker("busy_exchange.py") as double:
        address = double.ask("open", trades_per_s=TRADES_PER_S)["address"]
        told = session.ask("live", address=address, seconds=seconds)
    spent = Samples([Sample(told["wall"], told["cpu"])])
    note = f"{seconds} s over WebSocket and REST; half of them took {told['p50_ms']:.2f} ms"
    yield rate("messages heard", spent, told["frames"], "messages/s", note="what the double sent")
    yield Row("frame to decision, 99 of 100", told["p99_ms"], "ms", most(5), note=note)
    lost = told["lost"] + told["gaps"] + told["disconnects"] + sum(told["rejected"].values())
    yield Row("lost, refused or cut off", lost, "messages", most(0))


def _replayed(bench: Bench, session: Worker) -> Iterator[Row]:
    path = None if bench.real_bars is None else bench.real_bars.parents[1] / CAPTURE
    if path is None or not path.is_file():
        yield missing("replay of a recording", "no capture here; set MAESTRO_MARKET_DATA to its folder")
        return
    fast = [session.ask("replay", path=str(path), speed=0) for _ in range(bench.rounds(5) + 1)]
    paced = session.ask("replay", path=str(path), speed=PACED)
    for told in fast[1:]:
        assert told["digest"] == paced["digest"], "speed changed what was done"
    spent = Samples([Sample(told["wall"], told["cpu"]) for told in fast[1:]])
    note = f"raw frames to orders; {paced['deeds']} candles, orders and fills are the same at {PACED:g} times"
    yield rate("replay at full speed", spent, paced["frames"], "frames/s", least(20_000), note)


def _day(bench: Bench, session: Worker) -> Iterator[Row]:
    hours = 4 if bench.quick else 24
    told = session.ask("day", hours=hours)
    assert told["reason"] == "duration", told["reason"]
    rss, hour = told["rss_mb"], len(told["rss_mb"]) // hours
    note = f"{told['events']:,} events in {told['wall']:,.0f} s; the last hour against the second"
    drift = max(rss[-hour:]) - max(rss[hour : 2 * hour])
    yield Row(f"growth of memory in {hours} simulated hours", round(drift, 1), "MB", most(DRIFT_MB), note=note)


def _peak(bench: Bench) -> Row:
    command = [
        str(MAESTRO),
        "session",
        "run",
        "--duration",
        "10",
        "--speed",
        "0",
        "--out",
        str(bench.scratch / "peak"),
    ]
    ended = run(command, bench.scratch)
    return Row("peak memory of a session", ended.peak_mb, "MB", most(200), note="numba and LLVM are half of it")
