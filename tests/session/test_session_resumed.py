"""A simulated session that is killed and goes on ends as one that nobody disturbed: same path, trades and money."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from typer.testing import CliRunner

from maestro.cli.main import app
from maestro_engine.session.trail.parts import sealed_parts, trail_lines

KILLED = """
    import json, os, signal, sys
    from maestro.cli.main import app
    from maestro.wiring import sessions
    event, left, run = sys.argv[1], int(sys.argv[2]), sessions.run_session
    async def running(config, where, settings, told=None, beside=None):
        def counted(line):
            global left
            left -= json.loads(line)["event"] == event
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)
        return await run(config, where, settings, counted, beside)
    sessions.run_session = running
    app(sys.argv[3:], standalone_mode=False)
"""
RUN = ["session", "run", "--speed", "0", "--duration", "36", "--quantity", "0.05", "--on-breaker", "hold"]
RUN += [word for pair in ("ema_fast=2", "ema_slow=5", "timeout_bars=12") for word in ("--param", pair)]
TRADES = ("EntryDecided", "OrderSubmitted", "OrderRejected", "OrderClosed", "ExecutionFill", "ExecutionExit")
END = ("status", "reason", "exit_code", "starting_equity", "ending_equity", "net_pnl", "fees_total", "funding_total")
END += ("trades", "wins", "losses", "orders", "fills", "rejects", "breakers")


def run(root: Path, *words: str, event: str = "", count: int = 10**9) -> int:
    code = "\n".join(line[4:] for line in KILLED.splitlines())
    command = [sys.executable, "-c", code, event, str(count), *words, "--out", str(root)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=110, env=os.environ, check=False)
    assert ended.returncode in (0, -signal.SIGKILL), ended.stderr
    return ended.returncode


def folder_in(root: Path) -> Path:
    [folder] = (root / "sessions" / "paper").iterdir()
    return folder


def lines(root: Path) -> list[dict]:
    return [json.loads(line) for line in trail_lines(folder_in(root) / "events.jsonl")]


def told(root: Path, *events: str) -> list[dict]:
    return [{**line, "seq": 0} for line in lines(root) if line["event"] in events]


def trades(root: Path) -> list[dict]:
    return told(root, *TRADES)


def end(root: Path) -> dict:
    report = json.loads((folder_in(root) / "final_report.json").read_text())
    return {name: report[name] for name in END}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("undisturbed")
    assert run(root, *RUN, "--seed", "6") == 0
    assert end(root)["trades"] >= 4
    return root


@pytest.mark.slow
@pytest.mark.parametrize(
    "kills",
    [
        [("ExecutionFill", 3)],
        [("OrderSubmitted", 4), ("ExecutionExit", 1)],
        [("CandleClosed", 17), ("TickReceived", 400), ("AsyncHeartbeat", 377)],
    ],
)
def test_killed_midway_it_ends_as_if_nothing_had_been(undisturbed, tmp_path, kills):
    words = [*RUN, "--seed", "6"]
    for event, count in kills:
        assert run(tmp_path, *words, event=event, count=count) == -signal.SIGKILL
        words = ["session", "run", "--speed", "0", "--resume", folder_in(tmp_path).name]
    assert run(tmp_path, *words) == 0
    assert trades(tmp_path) == trades(undisturbed)
    assert told(tmp_path, "CandleClosed", "TickReceived") == told(undisturbed, "CandleClosed", "TickReceived")
    trail = lines(tmp_path)
    assert [line["seq"] for line in trail] == list(range(1, len(trail) + 1))
    assert all(before["ts"] <= after["ts"] for before, after in pairwise(trail)), "time never steps back"
    assert end(tmp_path) == end(undisturbed)
    report, other = ((folder_in(root) / "report.json").read_text() for root in (tmp_path, undisturbed))
    assert json.loads(report) == json.loads(other), "what agents read of it"
    verified = CliRunner().invoke(app, ["session", "verify", "--out", str(tmp_path)])
    assert verified.exit_code == 0, verified.output


@pytest.mark.slow
def test_killed_while_its_trail_is_sealed_it_ends_as_if_nothing_had_been(undisturbed, tmp_path, monkeypatch):
    specs = tmp_path / "specs"
    (specs / "rules").mkdir(parents=True)
    policy = "version: 1\npart_bytes: 30000\nwhole_days: 7.0\ntotal_bytes: 1000000\n"
    (specs / "rules" / "retention.yaml").write_text(policy)
    monkeypatch.setenv("MAESTRO_SPECS", str(specs))
    words = [*RUN, "--seed", "6"]
    for event, count in [("TrailSealed", 1), ("ExecutionFill", 2), ("TrailSealed", 3)]:
        assert run(tmp_path, *words, event=event, count=count) == -signal.SIGKILL
        words = ["session", "run", "--speed", "0", "--resume", folder_in(tmp_path).name]
    assert run(tmp_path, *words) == 0
    assert len(sealed_parts(folder_in(tmp_path) / "events.jsonl")) > 4
    assert told(tmp_path, *TRADES, "CandleClosed", "TickReceived") == told(
        undisturbed, *TRADES, "CandleClosed", "TickReceived"
    )
    trail = lines(tmp_path)
    assert [line["seq"] for line in trail] == list(range(1, len(trail) + 1))
    assert end(tmp_path) == end(undisturbed)
    verified = CliRunner().invoke(app, ["session", "verify", "--out", str(tmp_path)])
    assert verified.exit_code == 0, verified.output
