"""What a person types and reads: tables at 80 columns, the version, short help, completion, last, and Windows."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maestro.cli.output import SUM_OF_TESTS, cell, table

MAESTRO = [sys.executable, "-m", "maestro"]


def maestro(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*MAESTRO, *arguments], capture_output=True, text=True, check=False, timeout=60)


@given(st.floats(-1e12, 1e12) | st.decimals(-(10**9), 10**9, places=6) | st.integers(-(10**12), 10**12))
def test_numbers_have_no_exponent_and_no_more_digits_than_they_need(value: object) -> None:
    said = cell(value)
    assert "e+" not in said.lower()
    assert len(said.lstrip("-").replace(",", "")) <= 13
    assert float(said.replace(",", "")) == pytest.approx(float(value), rel=0.006, abs=1e-7)  # type: ignore[arg-type]


def test_a_table_is_80_columns_wide_and_breaks_no_word(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    rows = [
        {"campaign": "btcusdt-5m-s7-2593f8", "role": "strategist", "model": "some-model-of-a-vendor-1.5", "calls": 12,
         "input_tokens": 1_245_210, "output_tokens": 45_210, "cost_usd": "0.031200"},
        {"campaign": "btcusdt-5m-s7-2593f8", "role": "critic", "model": None, "calls": 3, "input_tokens": None,
         "output_tokens": 8_087_458.77, "cost_usd": None},
    ]  # fmt: skip
    table("Costs", list(rows[0]), rows)
    said = capsys.readouterr().out.splitlines()
    assert all(len(line) <= 80 for line in said)
    assert not any("input_" in line or "_token" in line for line in said)
    assert any("1,245,210" in line and "0.0312" in line for line in said)
    ends = {line.index(text) + len(text) for line in said for text in ("1,245,210", "tokens") if text in line}
    assert len(ends) == 1, "numbers and their heading end at the same place"
    assert any("8,087,459" in line for line in said)


def test_no_column_is_left_out_where_there_is_no_room(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    table("Wide", [f"heading{n}" for n in range(8)], [{f"heading{n}": 1_000_000 + n for n in range(8)}])
    said = capsys.readouterr().out
    assert all(f"heading{n}" in said and f"1,000,00{n}" in said for n in range(8))


def test_version_and_short_help_are_everywhere() -> None:
    assert maestro("--version").stdout == maestro("version").stdout
    for command in ((), ("campaign", "run"), ("session", "run"), ("gate", "list")):
        asked = maestro(*command, "-h")
        assert asked.returncode == 0
        assert asked.stdout == maestro(*command, "--help").stdout


def test_a_shell_can_complete() -> None:
    code = "import sys; sys.argv = ['maestro']; from maestro.__main__ import run; run()"
    asked = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60,
        env=os.environ | {"_MAESTRO_COMPLETE": "complete_bash", "COMP_WORDS": "maestro camp", "COMP_CWORD": "1"},
    )  # fmt: skip
    assert asked.stdout.split() == ["campaign"]
    assert "--install-completion" in maestro("--help").stdout


def test_last_without_any_campaign_says_how_to_get_one(tmp_path: Path) -> None:
    for command in (("show", "last"), ("resume", "last"), ("journal", "last")):
        asked = maestro("campaign", *command, "--out", str(tmp_path / "runs"))
        assert asked.returncode == 2
        assert asked.stderr.startswith("maestro: last: no campaign is kept in")
        assert len(asked.stderr.splitlines()) == 1


def test_windows_is_told_where_to_run_it() -> None:
    code = "import sys; sys.platform = 'win32'; from maestro.__main__ import run; run()"
    asked = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert asked.returncode == 1
    assert asked.stderr == (
        "maestro: runs on Linux and macOS, not on Windows itself; install WSL (wsl --install) and run it there\n"
    )


def test_the_sum_of_overlapping_tests_says_what_it_is() -> None:
    assert "overlap" in SUM_OF_TESTS
