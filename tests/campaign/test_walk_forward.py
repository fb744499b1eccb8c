"""Walk-forward chooses among lots that no result has had a part in; each is tested on what came after the choice."""

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


def run_of(bars: Bars, folder: Path) -> tuple[TestReport, ...]:
    """A campaign of four segments, the third of which walks forward; every test counted."""
    config = resolve(CampaignRequest(tests=60, segments=4, seed=5), bars, settings_in(folder))
    told = asyncio.run(tell(config, markets.market_of(config, bars, jobs=1)))
    assert len(told.tests) == 60
    return told.tests


@pytest.mark.timeout(400)
def test_the_lots_to_choose_from_are_the_same_whatever_the_bars_say(tmp_path: Path) -> None:
    bars = simulate_bars("trending", 11, 60 * 96, step_ms=900_000)
    bend = np.exp(np.cumsum(np.random.default_rng(3).normal(0.0, 0.004, len(bars))))
    changed = {name: getattr(bars, name) * bend for name in ("open", "high", "low", "close")}
    one, other = (run_of(each, tmp_path) for each in (bars, replace(bars, **changed, digest="f" * 64)))
    lots = [[(t.methods, t.params, t.window) for t in told if t.test_id.startswith("seg1_")] for told in (one, other)]
    assert lots[0] == lots[1]
    assert [t.params for t in one] != [t.params for t in other], "the bars matter afterwards"
