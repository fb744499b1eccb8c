"""paper_session owns sessions to be timed: a recording replayed, a live double listened to, a simulated day.

Tasks: ``replay`` a recording at a speed (0: as fast as it goes), ``live`` on the double at an address, ``day``.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import tempfile
import time
from pathlib import Path
from typing import Any

from wire import serve

from maestro.settings import Settings
from maestro.wiring.sessions import Ended, Where, run_session
from maestro_engine.feeds.recording import Recording
from maestro_engine.session.config import SessionConfig
from maestro_protocol.values import as_params

DEEDS = ("OrderSubmitted", "ExecutionFill", "ExecutionExit", "CandleClosed")
EAGER = {"ema_fast": 2, "ema_slow": 5, "timeout_bars": 12}


class Told:
    """When trading began and ended, and a digest of all that was done."""

    def __init__(self) -> None:
        self.marks: list[tuple[float, float]] = []
        self._deeds = hashlib.sha256()
        self.deeds = 0

    def __call__(self, line: bytes) -> None:
        said = json.loads(line)
        if said["event"] in DEEDS:
            self.deeds += 1
            self._deeds.update(json.dumps({**said, "seq": 0}, sort_keys=True).encode())
        elif said.get("state") in ("RUNNING", "SHUTTING_DOWN"):
            self.marks.append((time.perf_counter(), time.process_time()))

    @property
    def digest(self) -> str:
        return self._deeds.hexdigest()

    @property
    def spent(self) -> dict[str, float]:
        """Seconds between the two, wall and CPU."""
        (wall, cpu), (wall_, cpu_) = self.marks
        return {"wall": wall_ - wall, "cpu": cpu_ - cpu}


def run(told: Told, where: Where, **asked: Any) -> tuple[Ended, list[dict[str, Any]]]:
    """A session, and its samples."""
    config = SessionConfig(params=as_params(EAGER), history_bars=300, on_breaker="hold", outage_s=600, **asked)
    config = config.with_target()  # as the command line does
    with tempfile.TemporaryDirectory() as folder:
        ended = asyncio.run(run_session(config, where, Settings(runs=Path(folder)), told))
        return ended, json.loads((ended.folder / "metrics.json").read_text(encoding="utf-8"))["samples"]


def replay(path: str, speed: float) -> dict[str, Any]:
    told, recording = Told(), Path(path)
    ended, _ = run(told, Where(recording=recording, speed=speed), source="replay", duration_s=3_600)
    assert ended.report.reason == "data_ended", ended.report.reason
    return {**told.spent, "frames": ended.report.feed["frames"], "deeds": told.deeds, "digest": told.digest}


def head(path: str) -> dict[str, Any]:
    """How long a recording lasts, in seconds, and how many lines it has."""
    stamps = [local_ns for local_ns, _ in Recording(Path(path)).lines()]
    return {"seconds": (stamps[-1] - stamps[0]) / 1e9, "lines": len(stamps)}


def live(address: str, seconds: float) -> dict[str, Any]:
    told = Told()
    ended, _ = run(told, Where(endpoint=address), source="binance", duration_s=seconds)
    report = ended.report
    return {
        **told.spent,
        "frames": report.feed["frames"],
        "lost": report.feed["lost"],
        "gaps": report.feed["gaps"],
        "rejected": report.feed["rejected"],
        "disconnects": report.disconnects,
        "p50_ms": report.frame_to_decision.p50_ms,
        "p99_ms": report.frame_to_decision.p99_ms,
        "errors": report.error_count,
    }


def day(hours: float) -> dict[str, Any]:
    told = Told()
    ended, samples = run(told, Where(speed=0), source="sim", duration_s=hours * 3_600, checkpoint_s=60)
    rss = [sample["rss_mb"] for sample in samples]
    return {**told.spent, "events": ended.report.events, "rss_mb": rss, "reason": ended.report.reason}


if __name__ == "__main__":
    serve({"replay": replay, "head": head, "live": live, "day": day})
