"""A second process loads its kernels from disk instead of compiling them, gets the same bytes, and loads no BLAS."""

from __future__ import annotations

import pytest

SCRIPT = """
from maestro_engine.backtest import FillCosts, TestSpec, BarWindow, simulate_batch
from maestro_engine.data.bars import Bars
rng = np.random.default_rng(1)
close = 100.0 * np.exp(np.cumsum(rng.standard_normal(900)) * 0.002)
opened = np.r_[100.0, close[:-1]]
high, low = np.maximum(opened, close) * 1.001, np.minimum(opened, close) * 0.999
volume = rng.random(900)
bars = Bars("X", 300_000, np.arange(900), opened, high, low, close, volume, volume / 2)
names = ("ema_crossover", "macd_trend", "trend_breakout")
tests = [TestSpec(i, BarWindow(0, 50, 900, 900, 900), names[: i + 1], {"gate_cvd": i == 1}) for i in range(3)]
result = simulate_batch(bars, tests, FillCosts(), jobs=2)
made = b"".join(result.trades(i).tobytes() for i in range(3))
print(json.dumps([compiled, hashlib.sha256(made).hexdigest(), len(made), "scipy.linalg" in sys.modules]))
"""


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_second_process_compiles_nothing(apart):
    compiled, first_digest, size, _ = apart(SCRIPT)
    assert "run_tests" in compiled
    compiled, digest, _, linear_algebra = apart(SCRIPT)
    assert compiled == []
    assert digest == first_digest
    assert size > 5_000
    assert not linear_algebra
