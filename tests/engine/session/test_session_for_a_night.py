"""A night: memory stays flat and every figure adds up; and waiting for each event changes no trade."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from idle_loop import idle_clock

from maestro_engine.feeds.binance.client import binance_replay
from maestro_engine.feeds.clock import VirtualClock
from maestro_engine.feeds.recording import Recording
from maestro_engine.session.evidence.verify import verify
from maestro_engine.testing.exchange_server.tape import invented_history

NIGHT = """
    import asyncio, sys
    from pathlib import Path
    sys.path[:0] = [{here!r}, str(Path({here!r}).parent)]
    from conftest import START, Lab
    from maestro_engine.feeds.clock import VirtualClock
    from maestro_engine.session.safety.watchdog import rss_bytes
    evening = VirtualClock(START + 20 * 3_600_000)
    lab = Lab(Path({root!r}), evening, rss=rss_bytes, trades_per_s=1.0)
    lab.around_told = None
    lab.hear = lambda line: None
    asyncio.run(lab.open(lab.config(8 * 60.0)).run())
"""


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_night_in_flat_memory(tmp_path):
    """Eight hours over midnight, in which it may not grow by more than would be 8 MB in a day."""
    code = textwrap.dedent(NIGHT).format(here=str(Path(__file__).parent), root=str(tmp_path))
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=390, check=False)
    assert ended.returncode == 0, ended.stderr
    [folder] = (tmp_path / "paper").iterdir()
    assert [check for check in verify(folder) if not check.passed] == []
    samples = json.loads((folder / "metrics.json").read_text())["samples"]
    rss = [sample["rss_mb"] for sample in samples]
    assert samples[-1]["elapsed_s"] >= 28_700
    hour = len(samples) // 8
    assert max(rss) < 220
    assert max(rss[-hour:]) - max(rss[hour : 2 * hour]) < 2, "the last hour needs no more than the second"


def replayed(lab, recording: Recording, clock):
    history = invented_history(recording, 3)
    lab.wrap = lambda _: binance_replay(recording, clock, intervals=("1m",), history=history)
    lab.clock, lab.begins_ms = clock, recording.head().first_ns // 1_000_000


def trades_of(lab) -> list[dict]:
    wanted = ("OrderSubmitted", "ExecutionFill", "ExecutionExit", "CandleClosed")
    return [{**line, "seq": 0} for line in lab.events(*wanted)]


@pytest.mark.slow
async def test_a_recording_makes_the_same_trades_when_each_event_is_waited_for(lab, market_data, tmp_path):
    recording = Recording(market_data / "ticks" / "binance_usdm_btcusdt_2024-08-08.ws.gz")
    start_ms = recording.head().first_ns // 1_000_000
    config = lab.config(20.0, source="replay", outage_s=600)
    replayed(lab, recording, VirtualClock(start_ms))
    first = await lab.run(config)
    assert first.events > 1_000
    assert first.trades >= 1
    fast, lab.root = trades_of(lab), tmp_path / "paced"
    lab.told.clear()
    replayed(lab, recording, idle_clock(start_ms * 1_000_000))
    second = await lab.run(config)
    assert trades_of(lab) == fast
    assert (second.net_pnl, second.trades) == (first.net_pnl, first.trades)
