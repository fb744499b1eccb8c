"""What a chain of sessions says of what it earned: few trades prove nothing, and noise is hardly ever an edge."""

from __future__ import annotations

import numpy as np

from maestro.control.session_chain import Worth
from maestro_engine.inference.port import EngineStatistics


def worth(pnls: list[float], trades: int) -> str:
    told = Worth(EngineStatistics())
    for pnl in pnls:
        told.add(pnl, trades)
    return told.words()


def test_few_trades_prove_nothing_however_good():
    assert worth([100.0] * 29, 1) == "29 trades, not enough evidence (30 are the least)"
    assert worth([], 0).startswith("0 trades, not enough")
    assert worth([5.0], 1).startswith("1 trade, not enough")


def test_noise_is_hardly_ever_called_an_edge():
    rng = np.random.default_rng(5)
    found = [worth(rng.normal(0.0, 10.0, 300).tolist(), 2) for _ in range(200)]
    assert sum("neither" in words for words in found) >= 185, "a declared error rate of 5 %"
    assert "on average it earns money" in worth(rng.normal(10.0, 10.0, 300).tolist(), 2)
    assert "on average it loses money" in worth(rng.normal(-10.0, 10.0, 300).tolist(), 2)
