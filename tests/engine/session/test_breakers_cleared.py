"""A tripped breaker stays tripped until a person clears that very trip; who did, when and why stays on record."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from maestro_engine.feeds.clock import VirtualClock
from maestro_engine.session.clearing import breakers_of, clear_at_rest, mend
from maestro_engine.session.config import SessionConfig
from maestro_engine.session.evidence.report import read_report
from maestro_engine.session.evidence.verify import verify
from maestro_engine.session.opening import open_trader
from maestro_engine.session.places import Run, runs_in
from maestro_engine.session.safety import state as saving
from maestro_engine.session.safety.controls import Clearing, Controls, send_clearing
from maestro_engine.session.safety.lock import AlreadyRunning, SessionLock, holder
from maestro_engine.session.safety.state import StateFile
from maestro_engine.session.trail.audit import Audit
from maestro_engine.session.trail.scrub import Scrubber
from maestro_engine.trading.venue.orders import Instrument
from maestro_protocol.errors import LimitExceeded, Refused, UnknownKey, UsageError

TIGHT = {"limits": {"max_drawdown_fraction": "0.0001"}}
DAY = 86_400_000


def word(trip, why: str = "looked at it") -> Clearing:
    return Clearing(trip.breaker, trip.at, "cli:owner", why, 1_700_000_000_000)


def last(lab) -> Run:
    return runs_in(lab.root, "paper")[-1]


def rest(lab, breaker: str = "drawdown", run: Run | None = None, why: str = "looked at it") -> None:
    clear_at_rest(lab.root, run or last(lab), "paper", breaker, lambda trip: word(trip, why))


def later(lab) -> None:
    lab.clock, lab.on_line = VirtualClock(lab.told[-1]["ts"] + 3_600_000), None
    lab.told.clear()


def trail(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]


# while a session runs


async def test_a_person_clears_and_it_trades_on_with_his_word_in_the_evidence(lab):
    def clear() -> None:
        [trip] = breakers_of(last(lab)).tripped
        send_clearing(lab.folder, word(trip))

    lab.when("CircuitBreakerTripped", clear)
    report = await lab.run(lab.config(60.0, limits={"max_losing_streak": 1}))
    [cleared] = lab.events("CircuitBreakerCleared")
    tripped = lab.events("CircuitBreakerTripped")
    assert (cleared["who"], cleared["why"], cleared["asked_ms"]) == ("cli:owner", "looked at it", 1_700_000_000_000)
    assert cleared["detail"] == tripped[0]["detail"]
    assert cleared["ts"] - tripped[0]["ts"] < 1_000
    entries = [line["ts"] for line in lab.events("EntryDecided")]
    assert max(entries) > cleared["ts"], "it enters again"
    assert not [ts for ts in entries if tripped[0]["ts"] < ts < cleared["ts"]]
    assert [each.breaker for each in report.cleared] == ["losing_streak"]
    assert read_report(lab.folder).cleared == report.cleared
    [state] = [check for check in verify(lab.folder) if check.name == "state persisted"]
    assert state.passed
    assert "losing_streak was cleared by cli:owner: looked at it" in state.evidence


async def test_another_trip_than_the_one_that_was_seen_is_not_cleared(lab):
    def clear() -> None:
        [trip] = breakers_of(last(lab)).tripped
        send_clearing(lab.folder, Clearing("drawdown", trip.at - 1, "cli:owner", "an old page", 1))

    lab.when("CircuitBreakerTripped", clear)
    report = await lab.run(lab.config(30.0, **TIGHT))
    assert report.breakers == ("drawdown",)
    assert report.cleared == ()
    [refused] = lab.events("ClearingRefused")
    assert "has tripped again since" in refused["detail"]


@pytest.mark.parametrize("raw", [b"", b"{}", b'{"breaker":"drawdown"}', b"\xff", b"[1]"])
async def test_what_is_no_word_of_a_person_clears_nothing(lab, raw):
    lab.when("CircuitBreakerTripped", lambda: (lab.folder / "commands" / "clear-drawdown").write_bytes(raw))
    report = await lab.run(lab.config(30.0, **TIGHT))
    assert (report.breakers, report.cleared, report.error_count) == (("drawdown",), (), 0)
    assert list((lab.folder / "commands").iterdir()) == []


@pytest.mark.parametrize(("who", "why"), [("", "x"), ("x", " "), ("x", "y" * 501)])
def test_who_and_why_must_be_said(tmp_path, who, why):
    with pytest.raises(UsageError, match="says wh"):
        send_clearing(tmp_path, Clearing("drawdown", 1, who, why, 1))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("breaker", ["daily_loss", "errors", "../../KILL", "market_data"])
def test_only_what_a_person_may_clear_can_be_asked_for(tmp_path, breaker):
    with pytest.raises(UnknownKey):
        send_clearing(tmp_path, Clearing(breaker, 1, "me", "why", 1))


async def test_killed_after_it_was_saved_it_is_not_cleared_twice_nor_refused(lab):
    config = lab.config(30.0, **TIGHT)

    def clear() -> None:
        send_clearing(lab.folder, word(breakers_of(last(lab)).tripped[0]))

    plain = lab.hear

    def both(line: bytes) -> None:
        if b'"event":"CircuitBreakerTripped"' in line:
            clear()
        plain(line)

    lab.hear = both
    await lab.crash(config, "CircuitBreakerCleared")
    lab.hear = plain
    assert (lab.folder / "commands" / "clear-drawdown").exists(), "it was not taken away yet"
    report = await lab.run(config)
    lines = trail(lab.folder)
    assert sum(line["event"] == "CircuitBreakerCleared" for line in lines) == 1 == len(report.cleared)
    assert not [line for line in lines if line["event"] == "ClearingRefused"]
    assert not (lab.folder / "commands" / "clear-drawdown").exists()


async def test_what_was_asked_of_one_that_died_is_done_when_it_goes_on(lab):
    config = lab.config(30.0, **TIGHT)
    await lab.crash(config, "CircuitBreakerTripped")
    send_clearing(lab.folder, word(breakers_of(last(lab)).tripped[0]))
    lab.told.clear()
    report = await lab.run(config)
    assert lab.events("CircuitBreakerRestored")[0]["reason"] == "drawdown"
    assert [each.breaker for each in report.cleared] == ["drawdown"]


# while none runs


async def test_cleared_between_two_sessions_the_next_one_trades(lab):
    config = lab.config(20.0, source="binance", on_breaker="stop", **TIGHT)
    first = await lab.run(config)
    assert (first.reason, first.breakers) == ("breaker:drawdown", ("drawdown",))
    rest(lab)
    assert [check.name for check in verify(lab.folder) if not check.passed] == ["ran the full duration"]
    assert breakers_of(last(lab)).tripped == ()
    assert [each.why for each in breakers_of(last(lab)).cleared] == ["looked at it"]
    later(lab)
    second = await lab.run(config)
    assert second.orders > 0
    assert lab.events("CircuitBreakerRestored") == []


async def test_a_breaker_that_nobody_cleared_is_told_where_the_next_session_starts(lab):
    config = lab.config(20.0, source="binance", **TIGHT)
    await lab.run(config)
    [trip] = breakers_of(last(lab)).tripped
    later(lab)
    assert (await lab.run(config)).orders == 0
    [restored] = lab.events("CircuitBreakerRestored")
    assert (restored["reason"], restored["detail"], restored["tripped_ms"]) == ("drawdown", trip.detail, trip.at)


async def test_one_that_was_interrupted_is_cleared_and_goes_on(lab):
    config = lab.config(30.0, **TIGHT)
    await lab.crash(config, "CircuitBreakerTripped")
    rest(lab)
    lab.told.clear()
    report = await lab.run(config)
    assert (report.restarts, [each.breaker for each in report.cleared]) == (1, ["drawdown"])
    assert lab.events("CircuitBreakerRestored") == []
    lines = trail(lab.folder)
    assert [line["seq"] for line in lines] == list(range(1, len(lines) + 1))


async def test_it_is_refused_where_it_would_mean_nothing(lab):
    config = lab.config(20.0, source="binance", **TIGHT)
    await lab.run(config)
    first = last(lab)
    with SessionLock(lab.root), pytest.raises(AlreadyRunning):
        rest(lab)
    for breaker in ("daily_loss", "errors"):
        with pytest.raises(LimitExceeded, match="nobody clears"):
            rest(lab, breaker)
    with pytest.raises(UsageError, match="has not tripped"):
        rest(lab, "losing_streak")
    with pytest.raises(UnknownKey, match="did you mean 'drawdown'"):
        rest(lab, "drawdwon")
    with pytest.raises(UsageError, match="says why"):
        rest(lab, why="")
    later(lab)
    await lab.run(config)
    with pytest.raises(UsageError, match="s0002-binance-btcusdt has taken over"):
        rest(lab, run=first)
    later(lab)
    await lab.run(lab.config(20.0, **TIGHT))
    with pytest.raises(UsageError, match="begins anew anyway"):
        rest(lab)
    assert [len(breakers_of(run).tripped) for run in runs_in(lab.root, "paper")] == [1, 1, 1]


async def test_a_state_whose_breaker_went_without_a_word_fails_the_checklist(lab):
    await lab.run(lab.config(20.0, **TIGHT))
    file = StateFile(lab.folder)
    state = file.load().state
    state["guard"]["trips"] = {}
    file.save(state)
    [failed] = [check for check in verify(lab.folder) if not check.passed]
    assert failed.evidence == "drawdown: tripped, and gone from the state though nobody cleared it"


def test_who_only_looks_is_never_taken_for_a_session_and_who_starts_waits_for_who_clears(tmp_path):
    (tmp_path / "session.lock").touch()
    code = (
        "import sys; from contextlib import suppress; from pathlib import Path; root = Path(sys.argv[1])\n"
        "from maestro_engine.session.safety.lock import AlreadyRunning, SessionLock, holder\n"
        "for _ in range(3000):\n"
        "    holder(root)\n"
        "    with suppress(AlreadyRunning), SessionLock(root, brief=True): pass"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)]) as looking:
        while looking.poll() is None:
            with SessionLock(tmp_path):
                pass
            assert holder(tmp_path) is None
        assert looking.returncode == 0


# any order of everything


class Died(BaseException):
    """kill -9, as far as files can tell."""


class Anything(RuleBasedStateMachine):
    """Trips, words of the owner (good, stale, forged), restarts and kills at any write, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.place = tempfile.TemporaryDirectory()
        self.root = Path(self.place.name)
        self.folder = self.root / "paper" / "s0001-binance-btcusdt"
        self.folder.mkdir(parents=True)
        self.config = SessionConfig(source="binance", on_breaker="hold")
        (self.folder / "config.json").write_text(self.config.model_dump_json())
        self.run_ = Run(self.folder, 1, "binance")
        self.now, self.alive = DAY, False
        self.words: list[Clearing] = []
        self.start()

    @precondition(lambda self: not self.alive)
    @rule()
    def start(self) -> None:
        grid = Instrument("BTCUSDT", *map(Decimal, ("0.1", "0.001", "0.001", "1000", "5")))
        self.audit = Audit(self.folder / "events.jsonl", Scrubber())
        opened = open_trader(self.run_, self.config, grid, self.audit, None, self.now)
        self.trader = opened.trader
        self.controls = Controls(self.root, self.folder, lambda: False)
        self.trader.save()
        self.trader.finish()
        self.alive = True

    @precondition(lambda self: self.alive)
    @rule(ms=st.integers(1, DAY))
    def time_passes(self, ms: int) -> None:
        self.now += ms
        self.trader.at(self.now)

    @precondition(lambda self: self.alive)
    @rule(kind=st.sampled_from(["streak", "drawdown", "day"]))
    def lose(self, kind: str) -> None:
        desk, guard = self.trader.desk, self.trader.desk.guard
        self.now += 1
        self.trader.at(self.now)
        if kind == "streak":
            for _ in range(5):
                desk._trip(guard.on_trade(Decimal(-1), self.now), self.now)
        else:
            fallen = guard.to_dict()["drawdown"]["peak"]
            equity = Decimal(fallen) * (Decimal("0.85") if kind == "drawdown" else Decimal("0.994"))
            desk._trip(guard.on_equity(equity, self.now), self.now)
        self.trader.finish()

    @rule(breaker=st.sampled_from(["drawdown", "losing_streak"]), stale=st.booleans())
    def ask(self, breaker: str, stale: bool) -> None:
        for trip in breakers_of(self.run_).tripped:
            if trip.breaker == breaker:
                asked = Clearing(breaker, trip.at - stale, "me", f"word {len(self.words)}", self.now)
                self.words.append(asked)
                send_clearing(self.folder, asked)

    @precondition(lambda self: self.alive)
    @rule(die=st.integers(0, 12))
    def look(self, die: int) -> None:
        """The session looks into its box; *die*: at which write it is killed, 0 for not at all."""
        if self.dying(die, lambda: self.controls.clear(self.trader.clear)):
            self.killed()

    @precondition(lambda self: not self.alive)
    @rule(breaker=st.sampled_from(["drawdown", "losing_streak", "daily_loss"]), die=st.integers(0, 12))
    def clear_at_rest(self, breaker: str, die: int) -> None:
        def ask(trip) -> Clearing:
            self.words.append(Clearing(breaker, trip.at, "me", f"word {len(self.words)}", self.now))
            return self.words[-1]

        def work() -> None:
            with suppress(UsageError, Refused):
                clear_at_rest(self.root, self.run_, "paper", breaker, ask)

        self.dying(die, work)

    @precondition(lambda self: self.alive)
    @rule()
    def killed(self) -> None:
        self.alive = False
        self.audit._file.close()

    def dying(self, at: int, work) -> bool:
        left = iter(range(1, at + 1))

        def counted(plain):
            def wrapped(*given, **named):
                for after in (False, True):
                    if after:
                        told = plain(*given, **named)
                    if next(left, None) == at and at:
                        raise Died
                return told

            return wrapped

        with (
            mock.patch.object(saving, "_replace", counted(saving._replace)),
            mock.patch.object(Audit, "_append", counted(Audit._append)),
            mock.patch.object(Audit, "close", lambda self: self._file.close()),
        ):
            try:
                work()
            except Died:
                return True
        return False

    @invariant()
    def what_is_cleared_was_cleared_by_a_word_for_that_very_trip(self) -> None:
        if not self.alive:
            mend(self.run_)
        tripped: dict[str, int] = {}
        for line in trail(self.folder):
            if line["event"] == "CircuitBreakerTripped":
                tripped[line["reason"]] = line["ts"]
            elif line["event"] == "CircuitBreakerCleared":
                assert tripped.pop(line["reason"]) == line["tripped_ms"]
                assert [
                    w.why for w in self.words if (w.breaker, w.tripped_ms) == (line["reason"], line["tripped_ms"])
                ]
                assert line["why"] in {word.why for word in self.words}
        stands = {trip.breaker: trip.at for trip in breakers_of(self.run_).tripped}
        for breaker in ("drawdown", "losing_streak"):
            assert stands.get(breaker) == tripped.get(breaker)
        if self.alive:
            known = {trip.breaker: trip.at for trip in self.trader.desk.guard.trips}
            assert known.items() <= stands.items()
            assert stands.keys() - known.keys() <= {"daily_loss"}, "a day ends by itself, saved with what comes next"
        words = [each.why for each in breakers_of(self.run_).cleared]
        assert len(words) == len(set(words)), "a word counts once"

    def teardown(self) -> None:
        self.audit._file.close()
        self.place.cleanup()


Anything.TestCase.settings = settings(max_examples=60, stateful_step_count=30)
TestAnything = Anything.TestCase
