"""Every way a session ends: in the same order, flat where it can be, and with the exit code that says how."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import textwrap
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from maestro_engine.feeds.port import BookTicker, FeedStatus, Kline, StreamRequest
from maestro_engine.feeds.sim import SimFeed, SimSettings
from maestro_engine.session.evidence.report import ARTIFACTS
from maestro_engine.session.safety.controls import KILL_FILE, send
from maestro_engine.session.safety.state import StateFile
from maestro_engine.session.safety.watchdog import Watchdog, WatchdogLimits
from maestro_protocol.errors import DataError, Refused, UnknownKey

FILL = "ExecutionFill"


def assert_ended_in_order(lab) -> None:
    """Flag, orders back, positions closed, goodbye; all artifacts; no entry after the flag."""
    names = [line.get("state", line["event"]) for line in lab.told]
    flag = names.index("SHUTTING_DOWN")
    after = lab.told[flag:]
    assert names[-2:] == ["SYSTEM_SHUTDOWN", "COMPLETED"]
    closes = [i for i, line in enumerate(after) if line["event"] == "OrderSubmitted"]
    cancels = [i for i, line in enumerate(after) if line.get("status") == "cancelled" and line["filled"] == "0"]
    assert all(line["reduce_only"] for line in after if line["event"] == "OrderSubmitted")
    if closes and cancels:
        assert min(cancels) < min(closes), "orders come back before the position is closed"
    assert all((lab.folder / name).is_file() for name in ARTIFACTS)
    assert StateFile(lab.folder).load().state["phase"] == "done"


def stop(lab):
    return lambda: lab.session.stop("stop")


async def test_stopped_in_the_middle_with_a_position(lab):
    lab.when(FILL, stop(lab))
    report = await lab.run()
    assert (report.reason, report.exit_code, report.position, report.trades) == ("stop", 0, 0, 1)
    assert report.flat_ms is not None
    assert_ended_in_order(lab)
    assert [line["status"] for line in lab.events("OrderClosed")] == ["cancelled", "cancelled"]
    assert lab.events("ExecutionExit")[-1]["reason"] == "shutdown"


async def test_stopped_by_command(lab):
    lab.when(FILL, lambda: send(lab.folder, "stop"))
    assert (await lab.run()).reason == "stop"
    assert_ended_in_order(lab)
    with pytest.raises(UnknownKey):
        send(lab.folder, "stopp")


@pytest.mark.parametrize("source", ["env", "file", "remote"])
async def test_from_kill_to_flat_in_less_than_five_seconds(lab, source):
    killed: list[int] = []

    def kill() -> None:
        killed.append(lab.clock.now_ms())
        if source == "file":
            (lab.root / KILL_FILE).touch()
        elif source == "remote":
            send(lab.folder, "kill")

    lab.kill_env = lambda: source == "env" and bool(killed)
    lab.when(FILL, kill)
    report = await lab.run()
    assert (report.reason, report.position, report.exit_code) == (f"kill_switch:{source}", 0, 0)
    assert lab.events("KillSwitchActivated")[0]["source"] == source
    flat_at = lab.events("ExecutionExit")[-1]["ts"]
    assert flat_at - killed[0] < 5_000
    assert report.flat_ms < 5_000
    assert_ended_in_order(lab)


@pytest.mark.parametrize("source", ["env", "file"])
async def test_nothing_starts_against_the_kill_switch(lab, source):
    lab.kill_env = lambda: source == "env"
    if source == "file":
        (lab.root / KILL_FILE).touch()
    with pytest.raises(Refused, match="kill switch"):
        await lab.run()
    assert not any((lab.root / "paper").iterdir())


async def test_a_remote_kill_outlives_the_session(lab):
    lab.when(FILL, lambda: send(lab.folder, "kill"))
    await lab.run()
    lab.on_line = None
    with pytest.raises(Refused, match="file"):
        await lab.run()
    (lab.root / KILL_FILE).unlink()
    assert (await lab.run(lab.config(2.0))).reason == "duration"


async def test_the_network_is_cut_stale_then_shutdown(lab):
    async def cut(event):
        if not isinstance(event, FeedStatus) and len(lab.events(FILL)) >= 1:
            await lab.clock.sleep(10_000)

    lab.tamper = cut
    report = await lab.run()
    assert (report.reason, report.exit_code, report.position) == ("stale_data", 1, 0)
    [stale] = lab.events("ORDER_BOOK_STALE")
    assert stale["timeout"] == 15
    assert 14_000 <= stale["ts"] - stale["last_msg"] <= 17_000
    assert_ended_in_order(lab)


async def test_an_outage_that_may_be_sat_out_only_keeps_entries_back(lab):
    async def pause(event):
        if len(lab.events("CandleClosed")) == 5 and not lab.events("ORDER_BOOK_STALE"):
            await lab.clock.sleep(40)

    lab.tamper = pause
    report = await lab.run(lab.config(outage_s=120))
    assert (report.reason, report.exit_code) == ("duration", 0)
    assert len(lab.events("ORDER_BOOK_STALE")) == 1
    again = [line for line in lab.events("FeedChanged") if line["state"] == "live"]
    assert len(again) == 1
    silent = range(lab.events("ORDER_BOOK_STALE")[0]["seq"], again[0]["seq"])
    assert not [line for line in lab.events("OrderSubmitted") if line["seq"] in silent]


async def test_candles_without_a_book_are_no_reason_to_enter(lab):
    first = lab.clock.now_ms()

    def lose_the_book(event):
        return [] if isinstance(event, BookTicker) and event.local_ns // 10**6 - first < 600_000 else [event]

    lab.tamper = lose_the_book
    report = await lab.run(lab.config(outage_s=900))
    [stale] = lab.events("ORDER_BOOK_STALE")
    [again] = [line for line in lab.events("FeedChanged") if line["state"] == "live"]
    silent = range(stale["seq"], again["seq"])
    assert len([line for line in lab.events("CandleClosed") if line["seq"] in silent]) >= 9
    assert not [line for line in lab.events("OrderSubmitted") if line["seq"] in silent]
    assert report.trades > 0, "with a book there were entries again"


async def test_a_quiet_market_is_not_taken_for_a_dead_one(lab):
    async def quiet(event):
        if len(lab.events("CandleClosed")) == 3 and lab.clock.now_ms() % 120_000 > 60_000:
            await lab.clock.sleep(10)
            return [FeedStatus(event.local_ns, "quiet", "REST agrees", stream="btcusdt@bookTicker")]
        return None

    lab.tamper = quiet
    assert (await lab.run(lab.config(8.0))).reason == "duration"
    assert not lab.events("ORDER_BOOK_STALE")


async def test_memory_pressure_ends_it_in_order(lab):
    full, noticed = threading.Event(), threading.Event()

    def rss() -> int:
        if not full.is_set():
            return 100_000_000
        if threading.current_thread().name == "session-watchdog":
            noticed.set()
        return 2_000_000_000

    def fill_up() -> None:
        full.set()
        assert noticed.wait(20), "the watchdog looks while the loop is busy"

    lab.rss, lab.watch = rss, WatchdogLimits(freeze_s=0.05)
    lab.when(FILL, fill_up)
    report = await lab.run()
    assert report.reason == "memory:2000 MB"
    assert (report.exit_code, report.position) == (1, 0)
    assert_ended_in_order(lab)


@pytest.mark.parametrize(("hold", "reason"), [("stop", "breaker:drawdown"), ("hold", "duration")])
async def test_a_breaker_ends_the_session_or_only_holds_it(lab, hold, reason):
    strict = {"max_drawdown_fraction": "0.0001"}
    report = await lab.run(lab.config(on_breaker=hold, limits=strict))
    assert (report.reason, report.exit_code, report.breakers) == (reason, 0, ("drawdown",))
    [tripped] = lab.events("CircuitBreakerTripped")
    assert tripped["reason"] == "drawdown"
    entries = [line for line in lab.events("OrderSubmitted") if not line["reduce_only"]]
    assert all(line["seq"] < tripped["seq"] for line in entries)
    assert_ended_in_order(lab)


async def test_a_task_that_fails_ends_it_flat_with_exit_code_1(lab):
    def fail(event):
        if isinstance(event, Kline) and len(lab.events(FILL)) >= 1:
            raise RuntimeError("a defect")

    lab.tamper = fail
    report = await lab.run()
    assert (report.status, report.reason, report.exit_code) == ("failed", "failure", 1)
    assert report.error_count == 1
    assert report.position == 0
    log = (lab.folder / "session.log").read_text()
    assert "RuntimeError: a defect" in log
    assert "Traceback" in log


async def test_a_feed_that_gives_up_ends_it(lab):
    def lose(event):
        if len(lab.events(FILL)) >= 1:
            raise DataError("the exchange is gone")

    lab.tamper = lose
    report = await lab.run()
    assert (report.reason, report.exit_code, report.position) == ("feed_lost", 1, 0)


async def test_data_that_ends_before_the_time_is_said_so(lab):
    streams = [StreamRequest("BTCUSDT", "book_ticker"), StreamRequest("BTCUSDT", "kline", "1m")]
    settings = SimSettings(7)
    lab.wrap = lambda _: SimFeed(settings, streams, lab.clock, until_ms=settings.start_ms + 300_000)
    report = await lab.run()
    assert (report.reason, report.exit_code) == ("data_ended", 0)
    assert report.duration_seconds == pytest.approx(300, abs=2)


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda rows: rows[-200:], "at least 300"),
        (lambda rows: rows[:50] + rows[51:], "missing"),
        (lambda rows: (_ for _ in ()).throw(DataError("HTTP 502")), "HTTP 502"),
    ],
)
async def test_too_little_history_is_fatal_after_five_tries(lab, spoil, why):
    asked: list[int] = []

    def wrap(feed):
        plain = feed.history

        async def history(*given):
            asked.append(1)
            return list(spoil(await plain(*given)))

        feed.history = history
        return feed

    lab.wrap = wrap
    report = await lab.run()
    assert len(asked) == 5
    assert (report.reason, report.exit_code, report.error_count) == ("seeding_failed", 1, 1)
    assert why in (lab.folder / "session.log").read_text()
    assert "RUNNING" not in lab.states()


async def test_history_that_is_whole_at_the_third_try_will_do(lab):
    asked: list[int] = []

    def wrap(feed):
        plain = feed.history

        async def history(*given):
            asked.append(1)
            if len(asked) < 3:
                raise DataError("busy")
            return await plain(*given)

        feed.history = history
        return feed

    lab.wrap = wrap
    assert (await lab.run(lab.config(2.0))).exit_code == 0
    assert len(asked) == 3


def test_a_loop_that_does_not_turn_is_noticed_once_a_freeze_time():
    now, frozen = [0.0], []
    dog = Watchdog(
        WatchdogLimits(freeze_s=10), monotonic=lambda: now[0], rss=lambda: 1, frozen=frozen.append, full=frozen.append
    )
    for second in range(60):
        now[0] = float(second)
        if second < 20:
            dog.beat()
        dog.look()
    assert len(frozen) == 4


def test_memory_is_told_once():
    told: list[int] = []
    dog = Watchdog(
        WatchdogLimits(), monotonic=lambda: 0.0, rss=lambda: 1_500_000_001, frozen=pytest.fail, full=told.append
    )
    dog.beat()
    dog.look()
    dog.look()
    assert told == [1_500_000_001]


FROZEN = """
    import asyncio, os, sys, time
    from pathlib import Path
    sys.path[:0] = [{here!r}, str(Path({here!r}).parent)]
    from conftest import Lab
    from maestro_engine.session.safety.watchdog import WatchdogLimits
    from maestro_engine.session.surroundings import Surroundings
    from dataclasses import replace
    lab = Lab(Path({root!r}), watch=WatchdogLimits(freeze_s=0.3))
    lab.when("ExecutionFill", lambda: time.sleep(100))
    around = replace(lab.around(), monotonic=time.monotonic, frozen=lambda s: os._exit(77))
    lab.around = lambda: around
    asyncio.run(lab.run())
"""


def test_a_frozen_process_is_killed_from_its_own_watchdog_thread(tmp_path):
    code = textwrap.dedent(FROZEN).format(here=str(Path(__file__).parent), root=str(tmp_path))
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 77, ended.stderr
    [folder] = (tmp_path / "paper").iterdir()
    assert StateFile(folder).load().state["phase"] == "open"


async def test_it_may_be_stopped_while_it_still_waits_for_history(lab):
    def wrap(feed):
        async def history(*given):
            lab.session.stop("signal:SIGTERM")
            await lab.clock.sleep(10_000)

        feed.history = history
        return feed

    lab.wrap = wrap
    report = await lab.run()
    assert (report.reason, report.exit_code) == ("signal:SIGTERM", 0)
    assert "RUNNING" not in lab.states()
    assert all((lab.folder / name).is_file() for name in ARTIFACTS)


@pytest.mark.parametrize("how", ["file", "remote", "stop"])
async def test_it_may_be_killed_while_it_still_waits_for_history(lab, how):
    asked = asyncio.Event()

    def wrap(feed):
        async def history(*given):
            if how == "file":
                (lab.root / KILL_FILE).touch()
            else:
                send(lab.folder, "stop" if how == "stop" else "kill")
            await asked.wait()  # an exchange that never answers

        feed.history = history
        return feed

    lab.wrap = wrap
    report = await lab.run()
    assert (report.reason, report.exit_code) == ("stop" if how == "stop" else f"kill_switch:{how}", 0)
    assert "RUNNING" not in lab.states()


async def test_what_an_interrupted_session_held_is_closed_even_if_it_is_killed_before_it_has_history(lab):
    await lab.crash()
    lab.told.clear()
    (lab.root / KILL_FILE).touch()
    report = await lab.run()
    assert (report.reason, report.position, report.exit_code) == ("kill_switch:file", 0, 0)
    assert report.flat_ms is not None
    assert report.flat_ms < 5_000
    assert not lab.events("EntryDecided")


@pytest.mark.parametrize("how", ["signal", "file", "stop", "duration"])
async def test_it_may_be_ended_while_it_does_not_even_know_the_symbol(lab, how):
    passed = [0.0]

    def wrap(feed):
        async def filters(symbol):
            if how == "signal":
                lab.session.stop("signal:SIGTERM")
            elif how == "file":
                (lab.root / KILL_FILE).touch()
            elif how == "stop":
                send(lab.folder, "stop")
            passed[0] = 3_600.0
            await asyncio.Event().wait()  # an exchange that never answers

        feed.filters = filters
        return feed

    lab.wrap = wrap
    around = lab.around()
    lab.around = lambda: replace(around, monotonic=lambda: passed[0], begins_ms=None)
    report = await lab.run(lab.config(30 if how == "duration" else 600))
    wanted = {"signal": "signal:SIGTERM", "file": "kill_switch:file"}.get(how, how)
    assert (report.reason, report.exit_code) == (wanted, 1 if how == "duration" else 0)
    assert "RUNNING" not in lab.states()
    assert all((lab.folder / name).is_file() for name in ARTIFACTS)
