"""What a person is told of looks at sealed bars: before the campaign, in its answer, and by the exit code of a no."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from campaign_support import settings_in, small_config
from gate_support import attended, no


def test_a_run_says_what_it_would_open_and_how_often_that_was_looked_at(
    maestro: Callable[..., Any], bars_file: Path
) -> None:
    small = ("campaign", "run", "--data", bars_file, "--symbol", "BTCUSDT", "--tests", 24, "--segments", 2, "--json")
    first, second = (maestro(*small, "--seed", seed) for seed in (1, 2))
    assert (first.code, second.code) == (0, 0)
    assert "at its end it opens the sealed part, " in first.err
    assert "of BTCUSDT: nobody has looked at these bars before, and this look may be wrong with 0.04\n" in first.err
    assert (
        "of BTCUSDT: these bars have been looked at once before, and this look may be wrong with 0.008\n"
        in second.err
    )
    told = json.loads(second.out)
    assert (told["sealed"]["earlier"], told["sealed"]["alpha"]) == (1, 0.008)
    assert "these bars have been looked at once before" in told["verdict"]["sentence"]
    shown = maestro("campaign", "show", told["campaign"])
    assert "these bars have been looked at once before" in shown.out


def test_a_campaign_whose_opening_was_refused_ends_as_refused(
    maestro: Callable[..., Any], bars_file: Path, tmp_path: Path
) -> None:
    settings = settings_in(tmp_path)
    config = small_config(bars_file, settings)
    assert config.openings is not None
    careful = config.openings.model_copy(update={"ask_from": 1})
    run, _ = asyncio.run(attended(config.model_copy(update={"openings": careful}), settings, no))
    ended = maestro("campaign", "resume", run.campaign, "--out", settings.runs)
    assert ended.code == 3
    assert ended.out.startswith("NOT ENOUGH EVIDENCE. Not enough evidence: the sealed part was not opened (")
    assert "opening the sealed data was rejected" in ended.err
