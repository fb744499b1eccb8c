"""Walk-forward: what a window chooses from and by has ended before its validation part begins."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from campaign_support import settings_in

from maestro.wiring import markets
from maestro.wiring.campaigns import CampaignRequest, resolve
from maestro.wiring.studies import tell
from maestro_engine.data.bars import Bars
from maestro_engine.data.simulators.regimes import simulate_bars
from maestro_protocol.messages.report import TestReport

SEGMENT = "seg3_"
"""Of four segments, the third walks forward."""


def chosen(bars: Bars, folder: Path) -> tuple[dict[str, TestReport], dict[int, int]]:
    """The tests of the walk-forward segment, and where each window ends."""
    config = resolve(CampaignRequest(tests=60, segments=4, seed=5), bars, settings_in(folder))
    market = markets.market_of(config, bars, jobs=1)
    told = asyncio.run(tell(config, market))
    ends = {window.index: window.end for window in market.runner.windows}
    return {test.test_id: test for test in told.tests if test.test_id.startswith(SEGMENT)}, ends


@pytest.mark.timeout(400)
def test_other_bars_later_change_no_choice_before_them(tmp_path: Path) -> None:
    bars = simulate_bars("trending", 11, 60 * 96, step_ms=900_000)
    cut = len(bars) // 2
    bend = np.ones(len(bars))
    bend[cut:] = np.exp(np.cumsum(np.random.default_rng(3).normal(0.0, 0.004, len(bars) - cut)))
    changed = {name: getattr(bars, name) * bend for name in ("open", "high", "low", "close")}
    one, ends = chosen(bars, tmp_path)
    other, _ = chosen(replace(bars, **changed, digest="f" * 64), tmp_path)
    assert one.keys() == other.keys()
    before = {name for name, test in one.items() if ends[test.window] <= cut}
    assert len(before) >= 3
    for name in before:
        assert (one[name].methods, one[name].params) == (other[name].methods, other[name].params)
    assert any(one[name].params != other[name].params for name in one.keys() - before), "the bars matter"
