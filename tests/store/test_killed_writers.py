"""kill -9 of a writer at any moment leaves a database that opens, is sound, and holds whole commits only."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_what_was_told_is_there_and_nothing_is_half_there(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = f"sqlite:///{tmp_path}/maestro.db" if kind == "sqlite" else request.getfixturevalue("postgres")
    program = Path(__file__).with_name("doomed_writer.py")
    run = [sys.executable, str(program), url, "30" if kind == "sqlite" else "10", "20"]
    done = subprocess.run(run, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    rounds = [[int(number) for number in line.split()] for line in done.stdout.splitlines()]
    assert len(rounds) == int(run[3])
    for told, found in rounds:
        assert told <= found <= told + 5  # commits of the last moment may be there untold
    assert rounds[-1][1] >= len(rounds) * 3 // 4  # all but those killed while they opened had one commit at least
