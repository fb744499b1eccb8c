"""A trail in sealed parts tells what one file told, whatever kills its writer, and shows what was done to it."""

from __future__ import annotations

import errno
import gzip
import json
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from maestro_engine.session.evidence.outcome import began_ms
from maestro_engine.session.evidence.story import read_story
from maestro_engine.session.evidence.verify import verify
from maestro_engine.session.trail.audit import Audit
from maestro_engine.session.trail.parts import exists, newest_lines, sealed_files, sealed_parts, trail_lines
from maestro_engine.session.trail.records import AsyncHeartbeat, ExecutionExit, SystemState
from maestro_engine.session.trail.retention import BEAT, HeartbeatGaps, RetentionPolicy, thin
from maestro_engine.session.trail.scrub import Scrubber
from maestro_engine.session.watching.history import History, TrailReader
from maestro_engine.trading.venue.money import json_of
from maestro_protocol.errors import DataError

SMALL = RetentionPolicy(part_bytes=4_096, whole_days=0.0, total_bytes=10**9)
SEALING = ("TrailSealed", "TrailThinned")


# whoever writes it may die


class Killed(BaseException):
    """The process dies here."""


@dataclass
class Writer:
    """A session as its trail sees it: it stages, saves, flushes and seals as a trader does, and may die doing so.

    The *n*-th line it tells is of second *n*.
    """

    path: Path
    kill_at: int = 10**9
    policy: RetentionPolicy = SMALL
    steps: list[str] = field(default_factory=list)
    """Every one that could have been the last."""
    saved: tuple[int, list[str], int] = (0, [], 0)

    def step(self, kind: str) -> None:
        self.steps.append(kind)
        if len(self.steps) == self.kill_at:
            raise Killed

    def save(self, audit: Audit, done: int) -> None:
        audit.sync()
        self.step("saving")
        self.saved = audit.seq, audit.pending(), done
        self.step("telling what was saved")

    def write(self, until: int, *, again: bool) -> None:
        """Tell all lines before *until*; *again*: from the saved state on, as what has a time of its own does."""
        audit = Audit(self.path, Scrubber(), retention=self.policy)
        try:
            seq, pending, done = self.saved
            audit.recover(seq, pending, again=again)
            if not again:
                done = 1 + max(numbers(self.path), default=-1)
            while done < until:
                audit.say(record(done), 1_000 * done)
                done += 1
                full = audit.full
                if audit.binding or full or done % 17 == 0:
                    self.save(audit, done)
                audit.flush()
                if full and audit.rotate():
                    self.save(audit, done)
                    audit.flush()
                    audit.tidy()
        finally:
            audit._file.close()


def record(number: int) -> Any:
    if number % 23 == 0:
        return ExecutionExit("stop", number, number)
    return AsyncHeartbeat(None, 0, number % 7, 0, float(number)) if number % 3 else SystemState(f"line {number}")


def numbers(path: Path, *, beats: bool = True) -> list[int]:
    """Which lines are in the trail, in order; without those that sealing adds, and without *beats*."""
    told = [json.loads(line) for line in trail_lines(path)] if exists(path) else []
    return [line["ts"] // 1_000 for line in told if line["event"] not in (*SEALING, *(() if beats else (BEAT,)))]


def dying(patch: pytest.MonkeyPatch, writer: Writer) -> None:
    """Make every touch of the disk a step of *writer*; the line that it dies at is cut in half."""
    append, compress = Audit._append, gzip.compress

    def halved(audit: Audit, lines: list[bytes]) -> None:
        try:
            writer.step("writing")
        except Killed:
            os.write(audit._file.fileno(), b"".join(lines)[: len(b"".join(lines)) // 2])
            raise
        append(audit, lines)

    def then(kind: str, do: Callable[..., Any]) -> Callable[..., Any]:
        def stepped(*given: Any, **named: Any) -> Any:
            writer.step(kind)
            return do(*given, **named)

        return stepped

    patch.setattr(Audit, "_append", halved)
    patch.setattr(Path, "rename", then("renaming", Path.rename))
    patch.setattr(Path, "unlink", then("removing", Path.unlink))
    patch.setattr(gzip, "compress", then("compressing", compress))
    patch.setattr(os, "fsync", then("reaching the disk", lambda _: None))


LINES = 160


@pytest.fixture(scope="module")
def steps(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    writer = Writer(tmp_path_factory.mktemp("counted") / "events.jsonl")
    with pytest.MonkeyPatch.context() as patch:
        dying(patch, writer)
        writer.write(LINES, again=False)
    assert {part.thinned for part in sealed_parts(writer.path).values()} == {True, False}
    return writer.steps


@pytest.mark.parametrize("again", [False, True])
def test_killed_at_any_step_nothing_is_lost_and_it_goes_on(steps, tmp_path, again):
    """Each step of sealing, compressing and thinning in turn is the last one; who goes on dies, too."""
    for place in [n for n, kind in enumerate(steps, 1) if kind != "writing" or n % 5 == 0]:
        writer = Writer(tmp_path / str(place) / "events.jsonl", place)
        writer.path.parent.mkdir()
        killed = f"killed while {steps[place - 1]}, step {place}"
        with pytest.MonkeyPatch.context() as patch:
            dying(patch, writer)
            with pytest.raises(Killed):
                writer.write(LINES, again=again)
            writer.kill_at = place + 1 + place % 9
            with suppress(Killed):
                writer.write(LINES, again=again)
            writer.kill_at = 10**9
            writer.write(LINES, again=again)
        assert numbers(writer.path, beats=False) == [n for n in range(LINES) if n % 23 == 0 or n % 3 == 0], killed
        assert list(numbers(writer.path)) == sorted(set(numbers(writer.path))), killed
        assert trail_point(writer.path.parent) == "the trail ends without SYSTEM_SHUTDOWN", killed
        assert not list(writer.path.parent.glob(".*")), "nothing half-written stays"
        assert len(sealed_files(writer.path)) == len(sealed_parts(writer.path)), "and nothing twice"


def trail_point(folder: Path) -> str:
    return next(check.evidence for check in verify(folder) if check.number == 6)


@pytest.mark.parametrize("where", ["rename", "compress", "begin"])
def test_a_full_disk_while_sealing_ends_nothing(tmp_path, monkeypatch, where):
    path, opened, renamed = tmp_path / "events.jsonl", Path.open, Path.rename

    def full(*_: Any, **__: Any) -> Any:
        raise OSError(errno.ENOSPC, "no space left on device")

    def open_(self: Path, *given: Any, **named: Any) -> Any:
        return full() if self == path and given == ("ab",) and sealed_parts(path) else opened(self, *given, **named)

    def rename(self: Path, to: Path) -> Any:
        return full() if self == path else renamed(self, to)

    patches = {"rename": (Path, rename), "compress": (gzip, full), "begin": (Path, open_)}
    name = "open" if where == "begin" else where
    monkeypatch.setattr(patches[where][0], name, patches[where][1])
    writer = Writer(path)
    writer.write(LINES, again=False)
    monkeypatch.undo()
    assert numbers(path) == list(range(LINES)), "all is told"
    assert len(sealed_parts(path)) == (3 if where == "compress" else 0)
    Audit(path, Scrubber(), retention=SMALL).close()
    assert not [part for part in sealed_files(path) if part.plain], "made up for when there is room again"
    assert trail_point(tmp_path) == "the trail ends without SYSTEM_SHUTDOWN"


# what is told


def test_parts_tell_what_one_file_told(kept, undisturbed):
    whole, _ = undisturbed
    parts = sealed_parts(kept.folder / "events.jsonl")
    assert len(parts) > 6
    assert 3 < sum(part.thinned for part in parts.values()) < len(parts) - 1
    assert not sealed_files(whole.folder / "events.jsonl"), "by the default policy this stays one file"
    assert [check for check in verify(kept.folder) if not check.passed] == []
    assert "as they were sealed" in trail_point(kept.folder)
    one, other = (read_story(lab.folder / "events.jsonl") for lab in (whole, kept))
    assert (one.trades, one.candles, one.equity, one.cash, one.levels) == (
        (other.trades, other.candles, other.equity, other.cash, other.levels)
    )
    assert one.deepest == other.deepest
    assert began_ms(whole.folder / "events.jsonl") == began_ms(kept.folder / "events.jsonl")
    beats, all_beats = (point_of(lab.folder, 4) for lab in (kept, whole))
    assert beats == all_beats, "heartbeats are counted, and the longest gap is known, as if none were dropped"
    for name in ("report.json", "trades.jsonl"):
        assert (kept.folder / name).read_bytes() == (whole.folder / name).read_bytes()


def point_of(folder: Path, number: int) -> str:
    return next(check.evidence for check in verify(folder) if check.number == number)


def test_what_is_thinned_takes_less(kept, undisturbed):
    trail = kept.folder / "events.jsonl"
    thinned = [part for part in sealed_parts(trail).values() if part.thinned]
    assert max(part.path.stat().st_size for part in thinned) < SMALL.part_bytes < 40_000 / 8
    assert next(newest_lines(trail, 1_000)).endswith(b"\n")
    shown = TrailReader(trail)
    shown.catch_up()
    whole = TrailReader(undisturbed[0].folder / "events.jsonl")
    whole.catch_up()
    one, other = shown.history.past(), whole.history.past()
    assert (one.fills, one.deepest, one.exit_code, one.began) == (other.fills, other.deepest, 0, other.began)


def altered(part: Path) -> None:
    told = gzip.decompress(part.read_bytes())
    assert b'"equity":"1' in told
    part.write_bytes(gzip.compress(told.replace(b'"equity":"1', b'"equity":"2', 1), mtime=0))


def exchanged(part: Path) -> None:
    other = part.with_name(part.name.replace("0002", "0003"))
    one, two = part.read_bytes(), other.read_bytes()
    part.write_bytes(two)
    other.write_bytes(one)


def cut(part: Path) -> None:
    part.write_bytes(part.read_bytes()[:-30])


def put_back(part: Path) -> None:
    """An older part in the place of a newer one."""
    shutil.copy(part.with_name(part.name.replace("0002", "0001")), part)


def thinner(part: Path) -> None:
    """More was dropped than was told."""
    lines = gzip.decompress(part.read_bytes()).splitlines(keepends=True)
    beat = next(n for n, line in enumerate(lines) if b"AsyncHeartbeat" in line)
    part.write_bytes(gzip.compress(b"".join(lines[:beat] + lines[beat + 1 :]), mtime=0))


OF_ANY, OF_SECOND = (altered, cut, thinner, Path.unlink), (exchanged, put_back)


@pytest.mark.parametrize(
    ("spoil", "thinned"),
    [*((spoil, True) for spoil in (*OF_ANY, *OF_SECOND)), *((spoil, False) for spoil in OF_ANY)],
)
def test_what_is_done_to_a_part_is_found(kept, tmp_path, spoil, thinned):
    folder = tmp_path / "copy"
    shutil.copytree(kept.folder, folder)
    parts = sealed_parts(folder / "events.jsonl")
    part = parts[2] if thinned else max(parts.values(), key=lambda part: part.number)
    assert part.thinned == thinned
    spoil(part.path)
    failed = {check.number: check.evidence for check in verify(folder) if not check.passed}
    assert 6 in failed
    assert "part" in failed[6] or "damaged" in failed[6]


def test_the_newest_part_may_not_be_missing(kept, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(kept.folder, folder)
    (folder / "events.jsonl").unlink()
    assert 6 in {check.number for check in verify(folder) if not check.passed}


def test_a_secret_is_found_in_a_sealed_part(kept, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(kept.folder, folder)
    assert verify(folder)[-1].passed
    with gzip.open(folder / "of-others.gz", "wb") as file:
        file.write(b"swordfish-77")
    assert not verify(folder, ["swordfish-77"])[-1].passed


async def test_killed_when_a_part_was_sealed_and_when_one_was_thinned(lab, undisturbed):
    lab.retention = RetentionPolicy(part_bytes=40_000, whole_days=4 / 1_440, total_bytes=10**9)
    await lab.crash(event="TrailSealed", count=3)
    await lab.crash(event="TrailThinned", count=1)
    report = await lab.run()
    assert report.exit_code == 0
    assert [check for check in verify(lab.folder) if not check.passed] == []


def test_who_watches_sees_each_line_once(tmp_path):
    """However its parts are sealed, compressed and thinned between two looks."""
    writer = Writer(tmp_path / "events.jsonl")
    writer.write(1, again=False)
    reader = TrailReader(writer.path)
    seen: list[int] = []
    reader.history.take = lambda line: seen.append(json.loads(line)["seq"])
    for until in range(2, LINES, 3):
        writer.write(until, again=False)
        reader.catch_up()
    assert not reader.catch_up()
    assert len(sealed_parts(writer.path)) >= 3
    assert seen == list(range(1, len(seen) + 1))


def test_without_a_trail_there_is_nothing_to_read(tmp_path):
    with pytest.raises(DataError, match="has the session run"):
        next(trail_lines(tmp_path / "events.jsonl"))
    assert list(newest_lines(tmp_path / "events.jsonl", 10)) == []
    assert not TrailReader(tmp_path / "events.jsonl").catch_up()


# what is dropped


@settings(max_examples=200)
@given(st.lists(st.tuples(st.integers(1, 40), st.integers(-9, 9)), min_size=1, max_size=80))
def test_the_path_of_the_equity_is_the_same_without_what_is_dropped(steps):
    lines, at, equity = [], 0, 1_000
    for seconds, change in steps:
        at, equity = at + seconds, equity + change
        beat = AsyncHeartbeat(None, 0, equity, 0, float(at))
        lines.append(b'{"seq":1,"ts":%d,' % (at * 1_000) + json_of(beat)[1:] + b"\n")
    left = thin(lines).content.splitlines(keepends=True)
    one, other = History(), History()
    for line in lines:
        one.take(line)
    for line in left:
        other.take(line)
    whole, thinned = one.past(), other.past()
    assert (whole.peak, whole.deepest, whole.drawdown, whole.beat) == (
        (thinned.peak, thinned.deepest, thinned.drawdown, thinned.beat)
    )
    gaps = HeartbeatGaps()
    for line in lines:
        gaps.beat(json.loads(line)["elapsed"])
    assert thin(lines).longest_gap_s == gaps.end()
    assert thin(left).content == b"".join(left), "thinned once is thinned"


def test_a_policy_that_cannot_be_is_refused():
    for wrong in ({"part_bytes": 10}, {"whole_days": -1}, {"total_bytes": "much"}, {"days": 3}, {"version": 2}):
        with pytest.raises(ValidationError):
            RetentionPolicy.model_validate(wrong)


def test_too_much_is_thinned_before_its_time(tmp_path):
    writer = Writer(tmp_path / "events.jsonl", policy=RetentionPolicy(part_bytes=4_096, total_bytes=16_000))
    writer.write(1_000, again=False)
    parts = list(sealed_parts(writer.path).values())
    assert any(part.thinned for part in parts[:-1])
    assert not all(part.thinned for part in parts[:-1]), "no more than it takes"
