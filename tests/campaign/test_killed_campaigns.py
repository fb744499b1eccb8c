"""kill -9 at any moment, start again: the end is what an undisturbed run leaves, and nothing is done or paid twice.

More than 200 points here, on SQLite and PostgreSQL, every one a SIGKILL; 20 more with models on the line.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

PROGRAM = Path(__file__).with_name("killed_campaigns.py")

_spec = spec_from_file_location("store_fixtures", Path(__file__).parents[1] / "store" / "conftest.py")
assert _spec is not None
assert _spec.loader is not None
_shared = module_from_spec(_spec)
_spec.loader.exec_module(_shared)
postgres = _shared.postgres


@pytest.fixture
def quick_folder(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where there is one: a kill loses nothing there either, and syncing costs nothing."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        yield tmp_path
        return
    folder = Path(tempfile.mkdtemp(prefix="maestro-kills-", dir=memory))
    yield folder
    shutil.rmtree(folder)


def _kills(plan: str, folder: Path, data: Path, url: str | None = None, **environment: str) -> int:
    """How often campaigns were killed by *plan*; fails on the first line that says what is wrong with one's end."""
    command = [sys.executable, str(PROGRAM), plan, str(folder), str(data), *([url] if url else [])]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=500, check=False, env=os.environ | environment
    )
    assert done.returncode == 0, done.stderr[-2_000:]
    lines = [line.partition(" ") for line in done.stdout.splitlines()]
    assert lines, done.stderr
    assert [wrong for _, _, wrong in lines if wrong.strip()] == [], done.stderr[-2_000:]
    return sum(int(kills) for kills, _, _ in lines)


@pytest.mark.slow
@pytest.mark.timeout(500)
def test_a_campaign_killed_at_every_transition_ends_as_if_nothing_had_been(
    quick_folder: Path, small_data: Path
) -> None:
    assert _kills("transitions", quick_folder, small_data) >= 80


@pytest.mark.slow
@pytest.mark.timeout(500)
def test_campaigns_killed_at_random_points_end_as_if_nothing_had_been(quick_folder: Path, small_data: Path) -> None:
    assert _kills("random:1:60", quick_folder, small_data) >= 60


@pytest.mark.slow
@pytest.mark.timeout(500)
def test_the_same_holds_on_postgresql(quick_folder: Path, small_data: Path, postgres: str) -> None:
    assert _kills("transitions:after", quick_folder, small_data, postgres) >= 40


@pytest.mark.slow
@pytest.mark.timeout(500)
def test_no_answered_call_is_paid_again_and_one_in_flight_is_settled_as_unknown(
    quick_folder: Path, small_data: Path, vendor_server: Any
) -> None:
    kills = _kills(
        "random:3:20",
        quick_folder,
        small_data,
        MAESTRO_ANTHROPIC_API_KEY="made-up-key-a",
        MAESTRO_OPENAI_API_KEY="made-up-key-o",
        MAESTRO_ANTHROPIC_BASE_URL=vendor_server.anthropic_url,
        MAESTRO_OPENAI_BASE_URL=vendor_server.openai_url,
    )
    assert kills >= 20
    asked = Counter((request.path, request.system, request.turn) for request in vendor_server.requests)
    campaigns = len(list(quick_folder.glob("random*"))) + 2  # the undisturbed one, and the one that counts points
    assert max(asked.values()) <= campaigns + kills
    assert sum(asked.values()) <= len(asked) * campaigns + kills, "more was asked than a call in flight at each kill"


@pytest.mark.slow
@pytest.mark.timeout(500)
def test_a_campaign_of_sessions_killed_after_every_transition_ends_as_if_nothing_had_been(
    quick_folder: Path, small_data: Path
) -> None:
    assert _kills("transitions:after", quick_folder, small_data, MAESTRO_TEST_ENGINE="session") > 15
