"""What a person sees while a campaign runs: how far it is what each segment came to, on any screen."""

from __future__ import annotations

import re
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from maestro.cli import progress as shown
from maestro.control.context import Progress

AT = Progress(
    campaign="c1",
    segment=1,
    segments=2,
    goal="explore",
    done=0,
    tests=500,
    episodes=0,
    trades=0,
    best_sharpe=None,
    best_run=None,
    patches_applied=0,
    patches_refused=0,
    calls=0,
    tokens=0,
    usd=Decimal(0),
)


def _ran(maestro: Any, data: Path) -> str:
    ended = maestro("campaign", "run", "--data", data, "--symbol", "BTCUSDT", "--tests", 6, "--segments", 2)
    assert ended.code == 0, ended.err
    return str(ended.err)


def test_a_terminal_shows_a_bar_that_fills_and_a_line_for_each_segment_that_is_over(
    maestro: Any, bars_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    said = " ".join(re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", " ", _ran(maestro, bars_file)).split())
    bars = "\N{BOX DRAWINGS HEAVY HORIZONTAL}"
    assert re.search(
        r"segment 1/2 explore: 3/6 tests, [\d,]+ episodes/s, best \S+ Sharpe \S+ patches \d+ " + bars, said
    )
    assert re.search(bars + r" 6/6 \d:\d\d:\d\d segment 2/2 explore [\d,]+ episodes/s, best \S+ Sharpe ", said)
    assert said.endswith("weighing the evidence")


def test_elsewhere_a_segment_has_a_line_when_it_begins_and_one_when_it_has_ended(
    maestro: Any, bars_file: Path
) -> None:
    lines = _ran(maestro, bars_file).splitlines()
    places = [re.split(r" tests, .*patches \d+", line) for line in lines if line.startswith("segment")]
    assert places == [
        ["segment 1/2 explore: 0/6", ", planned"],
        ["segment 1/2 explore: 3/6", ""],
        ["segment 2/2 explore: 3/6", ", planned"],
        ["segment 2/2 explore: 6/6", ""],
        ["segment 2/2 explore: 6/6", ", weighing the evidence"],
    ]


def test_a_long_segment_is_not_silent_and_its_last_state_is_told_at_the_end(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [0.0]
    monkeypatch.setattr(shown.time, "perf_counter", lambda: now[0])
    with shown.watching(quiet=False) as show:
        for done, at in ((25, 1.0), (50, 6.0), (75, 11.0), (100, 12.0), (125, 20.0)):
            now[0] = at
            show(AT._replace(done=done))
    told = re.findall(r"explore: (\d+)/500", capsys.readouterr().err)
    assert told == ["75", "125"]


def test_a_long_count_is_plain_lines_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with shown.counting(3, "campaigns on noise", quiet=False) as count:
        for done in (1, 2, 3):
            count(done, f"{done} do not")
    assert capsys.readouterr().err == "3/3 campaigns on noise: 3 do not\n"
    with shown.counting(3, "campaigns on noise", quiet=True) as count:
        count(3, "3 do not")
    assert capsys.readouterr().err == ""
