"""A file read by a process of its own gives what reading it here gives, and a reader that dies is one clear line."""

from __future__ import annotations

import gzip
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from maestro_engine.data.findings import CheckPolicy
from maestro_engine.data.loading import check_file, load_bars
from maestro_engine.data.readers import arrow_reader
from maestro_engine.data.simulators.regimes import simulate_bars
from maestro_protocol.errors import DataError

BARS = simulate_bars("noise", seed=3, n=300)


def csv(path: Path) -> Path:
    """Six columns, without taker volume."""
    columns = (BARS.open_time, BARS.open, BARS.high, BARS.low, BARS.close, BARS.volume)
    lines = [",".join(repr(value) for value in row) for row in zip(*(c.tolist() for c in columns), strict=True)]
    path.write_bytes(gzip.compress(("time,open,high,low,close,volume\n" + "\n".join(lines)).encode()))
    return path


def parquet(path: Path) -> Path:
    arrow_reader.write_parquet(BARS, path)
    return path


@pytest.mark.parametrize("write", [csv, parquet])
def test_a_file_read_apart_gives_the_same_bars_and_findings(tmp_path: Path, write: Callable[[Path], Path]) -> None:
    path = write(tmp_path / "-c ETHUSDT ü.data")
    here, found_here = load_bars(path)
    apart, found_apart = load_bars(path, apart=True)
    assert apart.digest == here.digest
    assert (apart.symbol, apart.source) == (here.symbol, here.source)
    assert found_apart == found_here
    assert (apart.taker_buy_volume is None) == (here.taker_buy_volume is None)
    assert np.array_equal(apart.volume, here.volume)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("none.csv", None),
        ("empty.csv", b""),
        ("broken.parquet", b"PAR1" + b"x" * 99 + b"PAR1"),
        ("rubbish.csv", bytes(range(256)) * 9),
        ("a\0b.csv", None),
    ],
)
def test_a_broken_file_is_the_same_line_apart(tmp_path: Path, name: str, content: bytes | None) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError) as here:
        load_bars(path)
    with pytest.raises(DataError) as apart:
        load_bars(path, apart=True)
    assert str(apart.value) == str(here.value)


@pytest.mark.parametrize(
    ("reader", "reason"),
    [
        ("kill -SEGV $$", "ended by signal 11"),
        ("kill -9 $$", "ended by signal 9"),
        ('echo \'{"rows": 300, "columns": ["open_time"]}\'; printf 12345678; kill -9 $$', "ended by signal 9"),
        ('echo \'{"rows": 300, "columns": ["open_time"]}\'; printf 12345678', "its reader failed (exit code 0)"),
        ("echo 'no room\nMemoryError: at last' >&2; exit 7", "its reader failed (MemoryError: at last)"),
    ],
)
def test_a_reader_that_comes_to_a_bad_end_is_one_line_and_harms_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reader: str, reason: str
) -> None:
    program = tmp_path / "python"
    program.write_text(f"#!/bin/sh\n{reader}\n")
    program.chmod(0o700)
    path = csv(tmp_path / "BTCUSDT.csv.gz")
    monkeypatch.setattr(sys, "executable", str(program))
    with pytest.raises(DataError) as caught:
        check_file(path, policy=CheckPolicy(), apart=True)
    line = str(caught.value)
    assert line.startswith(f"{path}: ")
    assert reason in line
    assert "\n" not in line


def test_ctrl_c_is_no_fault_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal sends it to a whole process group, and the reader is in one of its own."""
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\nps -o pgid= -p $$ >&2; exit 7\n")
    program.chmod(0o700)
    path = csv(tmp_path / "BTCUSDT.csv.gz")
    monkeypatch.setattr(sys, "executable", str(program))
    with pytest.raises(DataError) as caught:
        check_file(path, policy=CheckPolicy(), apart=True)
    group = re.search(r"its reader failed \(\s*(\d+)\)", str(caught.value))
    assert group is not None
    assert int(group[1]) != os.getpgrp()


def test_reading_apart_keeps_arrow_out_of_this_process(tmp_path: Path) -> None:
    path = parquet(tmp_path / "BTCUSDT.parquet")
    script = (
        "import pathlib, sys\n"
        "from maestro_engine.data.loading import load_bars\n"
        "assert len(load_bars(pathlib.Path(sys.argv[1]), apart=True)[0]) == 300\n"
        "print('pyarrow' in sys.modules)\n"
    )
    paths = {"PYTHONPATH": ":".join(sys.path)}
    ran = subprocess.run([sys.executable, "-c", script, path], env=paths, capture_output=True, text=True, check=True)
    assert ran.stdout == "False\n"
