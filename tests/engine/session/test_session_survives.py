"""What a session has lived through: killed at any moment, state damaged, a second one started, clocks set."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from maestro_engine.feeds.clock import VirtualClock
from maestro_engine.session.evidence.report import read_report
from maestro_engine.session.evidence.verify import verify
from maestro_engine.session.places import interrupted, runs_in
from maestro_engine.session.safety.lock import AlreadyRunning, SessionLock, holder
from maestro_engine.session.safety.state import StateFile
from maestro_engine.session.trail.audit import Audit
from maestro_engine.session.trail.records import SystemState
from maestro_engine.session.trail.scrub import Scrubber
from maestro_protocol.errors import DataError, UsageError
from maestro_protocol.values import as_params

HERE = str(Path(__file__).parent)
CHILD = """
    import asyncio, os, signal, sys
    from pathlib import Path
    sys.path[:0] = [{here!r}, str(Path({here!r}).parent)]
    from conftest import Lab
    from maestro_engine.feeds.clock import VirtualClock
    from maestro_engine.session.trail import audit
    from maestro_engine.session.safety import state
    lab = Lab(Path({root!r}))
    lab.clock = VirtualClock({start})
    die_at, done = {die_at}, 0

    def count(*_):
        global done
        done += 1
        if done == die_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def counted(room, name):
        plain = getattr(room, name)
        def wrapped(*given, **named):
            count()  # before
            told = plain(*given, **named)
            count()  # and after: half written things are left behind too
            return told
        setattr(room, name, wrapped)

    counted(state, "_replace")
    counted(audit.Audit, "_append")
    counted(audit.Audit, "say")
    asyncio.run(lab.run(lab.config({minutes}, **{over!r})))
"""


def child(root: Path, start: int, die_at: int, minutes: float = 20.0, **over: object) -> int:
    code = textwrap.dedent(CHILD).format(
        here=HERE, root=str(root), start=start, die_at=die_at, minutes=minutes, over=over
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100, check=False)
    assert ended.returncode in (0, -9), ended.stderr
    return ended.returncode


def lines_of(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]


def assert_nothing_lost_or_doubled(folder: Path, sum_of) -> None:
    lines = lines_of(folder)
    assert [line["seq"] for line in lines] == list(range(1, len(lines) + 1))
    fills = [line["fill_id"] for line in lines if line["event"] == "ExecutionFill"]
    orders = [line["client_order_id"] for line in lines if line["event"] == "OrderSubmitted"]
    assert len(fills) == len(set(fills))
    assert len(orders) == len(set(orders))
    report = read_report(folder)
    assert report.position == 0
    assert report.net_pnl == report.ending_equity - report.starting_equity == sum_of(lines)
    assert report.fills == len(fills)
    assert report.orders == len(orders)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_killed_again_and_again_at_random_moments(tmp_path, sum_of, lab, seed):
    rng = np.random.default_rng(seed)
    start, kills = lab.clock.now_ms(), 0
    for _ in range(4):
        if child(tmp_path, start, int(rng.integers(20, 1_500))) == -9:
            kills += 1
        left = interrupted(tmp_path, "paper")
        if left is None:
            break
        start = lines_of(left.folder)[-1]["ts"] + int(rng.integers(1, 3_000))
    while interrupted(tmp_path, "paper") is not None:
        left = interrupted(tmp_path, "paper")
        start = lines_of(left.folder)[-1]["ts"] + 500
        assert child(tmp_path, start, 10**9) == 0
    assert kills >= 1
    for run in runs_in(tmp_path, "paper"):
        if run.phase() is not None:  # else it was killed before it had done anything
            assert_nothing_lost_or_doubled(run.folder, sum_of)
    points = {check.name: check for check in verify(runs_in(tmp_path, "paper")[-1].folder)}
    assert points["PnL integrity"].passed
    assert points["state persisted"].passed


@pytest.mark.parametrize("count", [1, 2])
async def test_a_stop_that_moves_goes_on_moving_after_a_restart(lab, sum_of, count):
    """The process dies when an earlier stop is taken back: what moves it, and why it stands there, is back."""
    params = as_params({"ema_fast": 2, "ema_slow": 5, "timeout_bars": 60, "trail_atr": 1.0, "break_even_r": 0.5})
    config = lab.config(minutes=60.0, params=params)
    await lab.crash(config, "OrderClosed", count)
    report = await lab.run(config)
    assert report.exit_code == 0
    assert_nothing_lost_or_doubled(lab.folder, sum_of)
    lines = lines_of(lab.folder)
    moved = {line["client_order_id"] for line in lines if line.get("purpose") in ("trailing_stop", "break_even")}
    left = {line["client_order_id"] for line in lines if line["event"] == "ExecutionFill"} & moved
    told = [line["reason"] for line in lines if line["event"] == "ExecutionExit"]
    assert len(left) == sum(reason in ("trailing_stop", "break_even") for reason in told) > 0


async def test_a_restart_finds_everything_as_it_was_and_adopts_it_first(lab, sum_of):
    """The process dies just after the first entry has filled: position, bracket, counters and breakers are back."""
    await lab.crash()
    before = StateFile(lab.folder).load().state
    lab.told.clear()
    report = await lab.run()
    names = [line["event"] for line in lab.told]
    first_move = min(i for i, name in enumerate(names) if name in ("CandleClosed", "TickReceived", "OrderSubmitted"))
    assert names.index("PositionAdopted") < first_move
    [adopted] = lab.events("PositionAdopted")
    assert Decimal(adopted["position"]) != 0
    assert adopted["open_orders"] == 2, "stop and target are still there"
    assert lab.events("SYSTEM_STARTUP")[0]["resumed"] is True
    assert lab.events("SYSTEM_STARTUP")[0]["down_ms"] >= 1_900
    assert before["phase"] == "open"
    assert (report.restarts, report.exit_code) == (1, 0)
    assert_nothing_lost_or_doubled(lab.folder, sum_of)


async def test_what_was_interrupted_may_be_flattened_instead(lab, sum_of):
    config = lab.config(restart="flatten")
    await lab.crash(config)
    lab.told.clear()
    await lab.run(config)
    assert lab.events("ExecutionExit")[0]["reason"] == "restart"
    assert_nothing_lost_or_doubled(lab.folder, sum_of)


async def test_an_interrupted_session_goes_before_another_configuration(lab):
    await lab.crash()
    with pytest.raises(UsageError, match="--resume s0001-sim-btcusdt"):
        await lab.run(lab.config(quantity=Decimal("0.03")))


# the lock


def test_a_second_session_is_refused_and_told_who_runs(tmp_path):
    with SessionLock(tmp_path) as lock:
        lock.name("s0001")
        with pytest.raises(AlreadyRunning, match="already_running: session s0001"), SessionLock(tmp_path):
            pass
        assert holder(tmp_path).run == "s0001"
    assert holder(tmp_path) is None
    with SessionLock(tmp_path):
        pass


async def test_a_second_session_does_not_touch_what_the_first_has(lab):
    with SessionLock(lab.root):
        with pytest.raises(AlreadyRunning):
            await lab.run()
        assert not (lab.root / "paper").exists()


def test_a_lock_survives_neither_a_crash_nor_a_stale_pid(tmp_path):
    code = (
        "import os, signal, sys; from pathlib import Path;"
        "from maestro_engine.session.safety.lock import SessionLock;"
        "SessionLock(Path(sys.argv[1])).__enter__(); os.kill(os.getpid(), signal.SIGKILL)"
    )
    ended = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False, timeout=60)
    assert ended.returncode == -9
    (tmp_path / "session.lock").write_text('{"run":"s0001","pid":1}')  # a process that lives, and is another
    with SessionLock(tmp_path):
        pass


# saved state


def damaged(path: Path, how: str) -> None:
    raw = path.read_bytes()
    if how == "cut":
        path.write_bytes(raw[: len(raw) // 2])
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "gone":
        path.unlink()
    else:
        at = raw.index(b'"account"') + 40
        path.write_bytes(raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :])


@pytest.mark.parametrize("how", ["cut", "empty", "gone", "one bit"])
def test_a_damaged_state_is_read_from_its_backup_and_two_are_an_error(tmp_path, how):
    file = StateFile(tmp_path)
    state: dict[str, object] = {"account": {"cash": "1" * 80}, "seq": 7}
    file.save(state)
    damaged(file.path, how)
    loaded = file.load()
    assert loaded.state == state
    assert "state.json" in loaded.fell_back
    damaged(file.backup, "cut")
    with pytest.raises(DataError, match="and so is its backup") as caught:
        file.load()
    assert "Nothing was started over" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_nothing_saved_is_not_an_error(tmp_path):
    assert StateFile(tmp_path).load() is None


@pytest.mark.parametrize("both", [False, True])
async def test_a_session_whose_state_was_damaged(lab, sum_of, both):
    await lab.crash()
    damaged(lab.folder / "state.json", "cut")
    if both:
        damaged(lab.folder / "state.json.bak", "one bit")
        folder = lab.folder
        before = {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}
        with pytest.raises(DataError, match="and so is its backup"):
            await lab.run()
        assert {path: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before
        return
    lab.told.clear()
    await lab.run()
    assert "state.json" in lab.events("SystemState")[0]["detail"], "that it fell back is in the trail"
    assert_nothing_lost_or_doubled(lab.folder, sum_of)


# the trail


@settings(max_examples=150)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=12), st.integers(0, 400), st.booleans())
def test_a_trail_cut_anywhere_is_made_whole_from_what_was_saved(tmp_path_factory, steps, cut, told):
    """Each step stages some lines, saves them as pending, writes them; the process dies inside the last write."""
    path = tmp_path_factory.mktemp("trail") / "events.jsonl"
    audit, pending = Audit(path, Scrubber()), list[str]()
    for count in steps:
        for number in range(count):
            audit.say(SystemState(f"step {number}"), 5)
        pending, before = audit.pending(), path.stat().st_size
        audit.flush()
    seq, whole = audit.seq, path.read_bytes()
    audit.close()
    keep = len(whole) if told else min(len(whole), before + cut)
    path.write_bytes(whole[:keep])
    again = Audit(path, Scrubber())
    assert again.recover(seq, pending) == 0
    again.close()
    assert path.read_bytes() == whole
    assert again.seq == seq


def test_a_trail_that_lost_told_lines_says_so(tmp_path):
    path = tmp_path / "events.jsonl"
    audit = Audit(path, Scrubber())
    for _ in range(5):
        audit.say(SystemState("x"), 1)
    audit.flush()
    audit.close()
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:3]))
    again = Audit(path, Scrubber())
    assert again.recover(5, []) == 2
    assert again.seq == 5, "the hole stays a hole"
    again.close()


# clocks


class JumpingClock(VirtualClock):
    """A virtual clock whose wall may be set."""

    jump_ms = 0

    def now_ms(self) -> int:
        return super().now_ms() + self.jump_ms


def trades_of(lab) -> list[tuple]:
    return [(line["ts"], line["event"], line["price"]) for line in lab.events("ExecutionFill", "ExecutionExit")]


@pytest.mark.parametrize("jump_ms", [3_600_000, -3_600_000, 40_000])
async def test_a_wall_clock_that_is_set_changes_nothing_but_a_line(lab, undisturbed, jump_ms):
    there, plain = undisturbed
    lab.clock = JumpingClock(there.told[0]["ts"])
    lab.when("CandleClosed", lambda: setattr(lab.clock, "jump_ms", jump_ms), 3)
    report = await lab.run()
    assert trades_of(lab) == trades_of(there) != []
    assert [line["offset_ms"] for line in lab.events("ClockJumped")] == [jump_ms]
    assert (report.net_pnl, report.duration_seconds) == (plain.net_pnl, plain.duration_seconds)


@pytest.mark.parametrize("ahead_ms", [50_000, -50_000])
async def test_a_machine_whose_clock_is_wrong_trades_all_the_same(lab, undisturbed, ahead_ms):
    """The exchange's candles are judged by the exchange's stamps."""
    there, plain = undisturbed
    start = there.told[0]["ts"]
    lab.clock = VirtualClock(start)
    lab.tamper = lambda event: [replace(event, local_ns=event.local_ns + ahead_ms * 10**6)]
    lab.begins_ms = start + ahead_ms
    report = await lab.run()
    assert (report.trades, report.net_pnl) == (plain.trades, plain.net_pnl)


async def test_a_session_whose_trail_lost_lines_goes_on_and_its_checklist_shows_it(lab):
    await lab.crash()
    path = lab.folder / "events.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-4]))
    lab.told.clear()
    report = await lab.run()
    assert (report.exit_code, report.position) == (0, 0)
    assert len(lab.events("TrailTorn")) == 1
    failed = {check.name for check in verify(lab.folder) if not check.passed}
    assert "graceful shutdown logged" in failed


async def test_killed_between_report_and_goodbye_it_is_brought_to_its_end(lab, sum_of):
    await lab.crash(event="SYSTEM_SHUTDOWN")
    assert interrupted(lab.root, "paper") is not None
    report = await lab.run()
    assert (report.reason, report.exit_code) == ("duration", 0)
    assert interrupted(lab.root, "paper") is None
    assert_nothing_lost_or_doubled(lab.folder, sum_of)
