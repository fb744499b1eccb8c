"""A process that was stopped is no dead market, no dead connection and no frozen loop."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from maestro_engine.feeds.clock import PauseDetector, VirtualClock
from maestro_engine.feeds.live.watchdog import StreamWatchdog as Witnesses
from maestro_engine.feeds.live.watchdog import WatchLimits
from maestro_engine.session.evidence.verify import verify
from maestro_engine.session.safety.watchdog import Watchdog, WatchdogLimits
from maestro_engine.session.trail.retention import HeartbeatGaps

S = 1_000_000_000


class Stopped(VirtualClock):
    """A clock on which the process is stopped for an hour in the middle of its next sleep."""

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds)
        self.advance_to(self.monotonic_ns() + 3_600 * S)


async def test_who_wakes_late_knows_that_it_was_away():
    assert await PauseDetector(VirtualClock()).sleep(1.0) == 0
    assert await PauseDetector(Stopped()).sleep(1.0) == 3_600 * S
    clock = VirtualClock()
    pauses = PauseDetector(clock)
    clock.advance_to(100 * S)
    assert await pauses.sleep(1.0) == 100 * S, "stopped before it even went to sleep"
    assert await pauses.sleep(1.0) == 0


def test_the_watchdog_that_stood_still_itself_gives_the_loop_its_turn():
    now, frozen = [0.0], []
    dog = Watchdog(
        WatchdogLimits(freeze_s=10), monotonic=lambda: now[0], rss=lambda: 1, frozen=frozen.append, full=pytest.fail
    )
    for second in (*range(5), *range(31, 40)):  # stopped for 26 s
        now[0] = float(second)
        dog.look()
    assert not frozen
    for second in range(40, 43):  # and now the loop really stands still
        now[0] = float(second)
        dog.look()
    assert len(frozen) == 1


def test_a_pong_and_frames_in_the_socket_are_no_dead_connection():
    dog = Witnesses(["book"], WatchLimits(stale_s=5, ping_s=5, pong_s=10), 0)
    dog.frame("book", 1 * S)
    dog.pinged(2 * S)
    assert dog.verdict("book", 600 * S) == "dead"
    dog.away(597 * S)
    assert dog.verdict("book", 600 * S) == "live"
    assert dog.verdict("book", 610 * S) == "dead", "unless no answer comes after waking either"


@pytest.mark.parametrize("told_after", [False, True])
def test_a_pause_is_no_gap_between_heartbeats_and_hides_none(told_after):
    """Whoever wakes first tells first: the pause, or the heartbeat that was due in it."""
    gaps = HeartbeatGaps()
    for second in range(10):
        gaps.beat(float(second))
    if told_after:
        gaps.beat(20.5)
        gaps.paused(10.6)
    else:
        gaps.paused(10.6)
        gaps.beat(20.5)
    gaps.beat(21.5)
    assert (gaps.end() < 2, gaps.away_s) == (True, 10.6)
    gaps.beat(29.0)
    assert gaps.end() == 7.5, "nobody was away then"


PAUSED = """
    import asyncio, os, sys, time
    from dataclasses import replace
    from pathlib import Path
    sys.path[:0] = [{here!r}, str(Path({here!r}).parent)]
    from conftest import Lab
    from maestro_engine.feeds.clock import SuppliedClock
    from maestro_engine.session.safety.watchdog import WatchdogLimits
    lab = Lab(Path({root!r}), watch=WatchdogLimits(freeze_s=2.0))
    lab.clock = SuppliedClock(time.time_ns, time.monotonic_ns)
    lab.trades_per_s = 20.0
    around = replace(lab.around(), monotonic=time.monotonic, frozen=lambda s: os._exit(77), begins_ms=None)
    lab.around = lambda: around
    beats = []

    def line(told):
        if told["event"] == "AsyncHeartbeat":
            print("beat", flush=True)
            beats.append(told)
        if told["event"] == "ProcessPaused":
            print("paused", told["seconds"], flush=True)
            lab.session.stop("stop")

    lab.on_line = line
    report = asyncio.run(lab.run(lab.config(2.0, stale_s=5, outage_s=5)))
    print("ended", report.reason, report.exit_code, flush=True)
"""


def test_a_process_that_is_really_stopped_goes_on(tmp_path):
    code = textwrap.dedent(PAUSED).format(here=str(Path(__file__).parent), root=str(tmp_path))
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "beat\n"
            os.kill(process.pid, signal.SIGSTOP)
            os.waitid(os.P_PID, process.pid, os.WSTOPPED)
            asyncio.run(asyncio.wait_for(_passed(7.0), 20))
            os.kill(process.pid, signal.SIGCONT)
            told = process.stdout.read().splitlines()
        finally:
            process.kill()
    assert process.returncode != 77, "taken for a frozen loop"
    assert any(line.startswith("paused") for line in told), told
    assert told[-1] == "ended stop 0"
    [folder] = (tmp_path / "paper").iterdir()
    [point] = [check for check in verify(folder) if check.number == 4]
    assert point.passed, point.evidence
    assert re.search(r"besides a pause of the process of \d+\.\d s$", point.evidence)


async def _passed(seconds: float) -> None:
    """The pause itself: longer than silence and freezes are borne."""
    await asyncio.get_running_loop().run_in_executor(None, signal.sigtimedwait, [], seconds)
