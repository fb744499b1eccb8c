"""Watching in a terminal, from the evidence alone: the same figures, text of others harmless, the run untouched."""

from __future__ import annotations

import hashlib
import json
import random
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from maestro.cli.main import app
from maestro.dashboard.terminal import Watcher, screen
from maestro_protocol.errors import UsageError

HOSTILE = "[red]x[/red]\x1b[2J\x1b]0;title\x07\x9b31m"


def drawn(folder: Path, width: int = 120, now_s: float = 0.0) -> str:
    console = Console(width=width, force_terminal=False, color_system=None)
    with console.capture() as captured:
        console.print(screen(Watcher(folder, lambda: now_s).look(), width))
    return captured.get()


def prints(folder: Path) -> dict[str, str]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.parametrize("width", [60, 80, 120, 200])
async def test_what_is_seen_agrees_with_the_report_and_changes_nothing(virtual, width):
    report = await virtual.run()
    before = prints(virtual.folder)
    said = drawn(virtual.folder, width)
    assert prints(virtual.folder) == before
    for figure in (f"{report.ending_equity:,.2f}", f"{report.net_pnl:+,.2f}", f"{report.fees_total:,.2f}"):
        assert figure in said
    assert "COMPLETED" in said
    assert "daily loss" in said
    assert max(map(len, said.splitlines())) <= width


async def test_it_is_watched_while_it_runs(virtual):
    seen: list[str] = []
    virtual.minutes = 3.0
    beats = iter(range(1, 10**6))
    virtual.monotonic = lambda: float(next(beats))

    def look(line: dict) -> None:
        if line["event"] == "CandleClosed":
            seen.append(drawn(virtual.folder))

    virtual.on_line = look
    await virtual.run()
    assert all(" RUNNING " in said for said in seen)
    assert all("10,000" in said or "9,99" in said for said in seen)


async def test_one_that_fell_silent_says_so(virtual):
    virtual.minutes = 2.0
    await virtual.run()
    trail = virtual.folder / "events.jsonl"
    lines = trail.read_text().splitlines(keepends=True)
    trail.write_text("".join(lines[:-4]))
    left_s = (virtual.folder / "status.json").stat().st_mtime
    assert "no word for 90 s" in drawn(virtual.folder, now_s=left_s + 90)
    assert "no word" not in drawn(virtual.folder, now_s=left_s + 1)


async def test_text_of_others_commands_no_terminal(virtual):
    virtual.minutes = 2.0
    await virtual.run()
    status = virtual.folder / "status.json"
    standing = json.loads(status.read_bytes())
    standing["asked"]["symbol"] = standing["traffic"]["name"] = HOSTILE
    standing["breakers"][0]["detail"] = HOSTILE
    status.write_text(json.dumps(standing))
    line = {"seq": 10**6, "ts": 0, "event": HOSTILE, "what": HOSTILE}
    with (virtual.folder / "events.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")
    said = drawn(virtual.folder, 200)
    assert "[red]x[/red]" in said, "markup is shown as it was written"
    assert not set("\x1b\x07\x9b") & set(said)


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"asked":1}', random.Random(5).randbytes(64)])
async def test_a_damaged_standing_leaves_the_trail_to_be_seen(virtual, damage):
    virtual.minutes = 2.0
    await virtual.run()
    (virtual.folder / "status.json").write_bytes(damage)
    said = drawn(virtual.folder)
    assert "COMPLETED" in said
    assert "SYSTEM_SHUTDOWN" in said


def test_the_command_draws_a_finished_session_and_ends(tmp_path):
    run = CliRunner()
    out = ["--out", str(tmp_path)]
    assert run.invoke(app, ["session", "run", "--duration", "2", "--speed", "0", *out]).exit_code == 0
    watched = run.invoke(app, ["session", "watch", *out])
    assert watched.exit_code == 0
    assert "COMPLETED" in watched.stdout
    unknown = run.invoke(app, ["session", "watch", "s0009-sim-btcusdt", *out])
    assert isinstance(unknown.exception, UsageError)
    assert "is not known" in str(unknown.exception)


def test_the_command_serves_the_page_and_says_where(tmp_path):
    words = ["session", "run", "--duration", "2", "--speed", "0", "--dashboard-port", "0", "--out", str(tmp_path)]
    ran = CliRunner().invoke(app, [*words, "--json"])
    assert ran.exit_code == 0
    assert "Dashboard: http://127.0.0.1:" in ran.stderr
    assert json.loads(ran.stdout)["reason"] == "duration"
    [folder] = (tmp_path / "sessions" / "paper").iterdir()
    token = ran.stderr.partition("token=")[2].split()[0]
    assert not [path for path in folder.rglob("*") if path.is_file() and token.encode() in path.read_bytes()]
