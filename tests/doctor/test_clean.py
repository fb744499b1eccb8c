"""Cleaning takes what interrupted work left, whatever stands around it, and nothing of what is whole or at work."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

import pytest
from doctor_support import SetClock, maestro, settings_in
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from maestro.wiring.maintenance.leftovers import HALF_WRITTEN, STALE_MS, clean, find
from maestro.wiring.workspace import open_workspace_store
from maestro_engine.session.safety.lock import SessionLock

WHOLE = (
    "maestro.db",
    "data.json",
    "c1/campaign.yaml",
    "c1/journal.jsonl",
    "c1/segment_1/test_001/trades.jsonl",
    "c1/notes.new",
    "c1/.hidden",
    "c1/.new",
    "sessions/paper/s0001-sim-btcusdt/state.json",
    "sessions/paper/s0001-sim-btcusdt/state.json.bak",
)
LEFT = (
    ".data.json.new",
    "c1/.journal.jsonl.new",
    "c1/segment_1/test_001/.trades.jsonl.new",
    "sessions/paper/s0001-sim-btcusdt/state.json.new",
)


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary things, of this test alone."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    folder = tmp_path / "runs"
    for name in (*WHOLE, *LEFT):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if name != "maestro.db":
            (folder / name).write_text(name)
    return folder


def files_in(folder: Path) -> set[str]:
    return {
        str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and "leases" not in str(path)
    }


async def test_half_written_files_go_and_nothing_else(runs: Path) -> None:
    before = files_in(runs)
    told = await clean(settings_in(runs), SetClock())
    assert {str(left.path.relative_to(runs)) for left in told.removed} == set(LEFT)
    assert told.kept == ()
    assert files_in(runs) == before - set(LEFT)
    assert await clean(settings_in(runs), SetClock()) == ((), ())


async def test_a_dry_run_lists_the_same_and_removes_nothing(runs: Path) -> None:
    before = files_in(runs)
    told = await clean(settings_in(runs), SetClock(), dry_run=True)
    assert len(told.removed) == len(LEFT)
    assert files_in(runs) == before


async def test_what_is_at_work_is_left_alone(runs: Path) -> None:
    store = await open_workspace_store(settings_in(runs))
    with SessionLock(runs / "sessions" / "paper"):
        async with store.lease("c1"):
            told = await clean(settings_in(runs), SetClock())
    await store.close()
    reasons = {str(left.path.relative_to(runs)): reason for left, reason in told.kept}
    assert {left.path.name for left in told.removed} == {".data.json.new"}
    assert reasons["c1/.journal.jsonl.new"] == "its campaign is at work"
    assert "is at work" in reasons["sessions/paper/s0001-sim-btcusdt/state.json.new"]
    assert set(reasons) == set(LEFT) - {".data.json.new"}


async def test_a_link_is_no_leftover_and_is_not_followed(runs: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / ".kept.new").write_text("kept")
    (runs / "c1" / "link").symlink_to(elsewhere)
    (runs / "c1" / ".link.new").symlink_to(elsewhere / ".kept.new")
    await clean(settings_in(runs), SetClock())
    assert (elsewhere / ".kept.new").read_text() == "kept"
    assert (runs / "c1" / ".link.new").is_symlink()


async def test_scratch_of_a_replay_goes_when_nobody_has_touched_it_for_an_hour(runs: Path, scratch: Path) -> None:
    folder = scratch / "maestro-replay-abc"
    folder.mkdir()
    (folder / "maestro.db").write_bytes(b"x" * 100)
    (scratch / "of-somebody-else").mkdir()
    (scratch / "maestro-replay-link").symlink_to(runs)
    assert folder not in {left.path for left in find(settings_in(runs), SetClock())}
    told = await clean(settings_in(runs), SetClock(ahead_ms=STALE_MS + 1_000))
    assert folder in {left.path for left in told.removed}
    assert not folder.exists()
    assert (scratch / "maestro-replay-link").is_symlink()
    assert (scratch / "of-somebody-else").is_dir()
    assert (runs / "c1" / "campaign.yaml").is_file()


async def test_where_it_cannot_be_told_whether_a_campaign_is_at_work_its_files_stay(runs: Path) -> None:
    from pydantic import SecretStr

    away = settings_in(runs, database_url=SecretStr("postgresql://u:canary@127.0.0.1:1/d"))
    told = await clean(away, SetClock())
    reasons = {left.path.name: reason for left, reason in told.kept}
    assert "whether its campaign is at work cannot be told" in reasons[".journal.jsonl.new"]
    assert "canary" not in " ".join(reasons.values())


def test_the_command_lists_what_it_removed(runs: Path, scratch: Path) -> None:
    arguments = ("clean", "--out", str(runs))
    environment = {"TMPDIR": str(scratch)}
    dry = maestro(*arguments, "--dry-run", **environment)
    assert dry.returncode == 0
    assert dry.stdout.count("would remove ") == len(LEFT)
    told = json.loads(maestro(*arguments, "--json", **environment).stdout)
    assert {os.path.relpath(left["path"], runs) for left in told["removed"]} == set(LEFT)
    assert told["dry_run"] is False
    assert maestro(*arguments, **environment).stdout == "Nothing is left over.\n"


NAMES = st.text("abc.-_", min_size=1, max_size=12)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(NAMES)
def test_a_name_that_anything_whole_has_is_never_a_leftovers(name: str) -> None:
    """Whole files are written as ``name``, half-written ones as ``.name.new``: no name is both."""
    assert not HALF_WRITTEN.fullmatch(name) or name.endswith(".new")
    assert HALF_WRITTEN.fullmatch(f".{name}.new")
