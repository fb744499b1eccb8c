"""Kernels give the same bits on a machine that knows less, and no harm comes from what an older version left."""

from __future__ import annotations

import pickle

import numba
import pytest

SCRIPT = """
from maestro_engine.indicators.columns import Columns
from maestro_engine.indicators.volatility import wilder_atr
from maestro_engine.methods import ema_crossover, macd_trend
rng = np.random.default_rng(1)
close = 100.0 * np.exp(np.cumsum(rng.standard_normal(3_001)) * 0.002)
high, low = close * (1.0 + 0.01 * rng.random(3_001)), close * (1.0 - 0.01 * rng.random(3_001))
columns, digest = Columns(close, high, low, close, close, close, close.astype('int64')), hashlib.sha256()
for scan, values in ((macd_trend.scan, [12.0, 26.0, 9.0]), (ema_crossover.scan, [20.0, 50.0])):
    bar, side = np.empty(3_001, np.int64), np.empty(3_001, np.int64)
    count = scan(columns, np.array(values), bar, side)
    digest.update(bar[:count].tobytes() + side[:count].tobytes())
digest.update(wilder_atr(high, low, close, 14).tobytes())
print(json.dumps([compiled, digest.hexdigest()]))
"""


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_same_bits_without_fused_or_wide_instructions(apart):
    _, here = apart(SCRIPT)
    compiled, there = apart(SCRIPT, NUMBA_CPU_NAME="x86-64", NUMBA_CPU_FEATURES="")
    assert "scan" in compiled, "another machine has kernels of its own"
    assert there == here


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_an_index_of_an_older_version_is_written_over(apart, tmp_path):
    first = apart(SCRIPT)
    indices = list(tmp_path.rglob("*.nbi"))
    assert indices
    gone = b"cmaestro_engine.indicators.crossing\nWhatThereWasOnce\n."
    for index in indices:
        index.write_bytes(pickle.dumps(numba.__version__) + gone)
    assert apart(SCRIPT) == first
    assert apart(SCRIPT) == [[], first[1]]
