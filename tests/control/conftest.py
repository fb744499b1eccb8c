"""conftest owns how tests of control find the helpers of whole campaigns, and the engine behind its ports."""

from __future__ import annotations

import pytest

from maestro_engine.api import Market, open_market
from maestro_engine.data.simulators.regimes import simulate_bars
from maestro_protocol.messages.campaign import ORIGIN_TARGETS, WindowPlan


@pytest.fixture(scope="session")
def small_market() -> Market:
    """Thirty made-up days of quarter hours behind the engine's door."""
    bars = simulate_bars("mean_reverting", 3, 30 * 96, step_ms=900_000)
    return open_market(bars, WindowPlan(), ORIGIN_TARGETS, jobs=1, seed=3)
