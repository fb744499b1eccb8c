"""The recorded klines load clean, and one published file is the oracle of the other."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from maestro_engine.data.loading import load_bars, read_bars
from maestro_engine.data.resample import resample

KLINES = {
    "binance_spot_BTCUSDT_1m_2026-03_2026-04": ("BTCUSDT", "1m", 87_840, True),
    "binance_spot_BTCUSDT_5m_2026-03_2026-04": ("BTCUSDT", "5m", 17_568, True),
    "binance_spot_BTCUSDT_15m_2026-03_2026-04": ("BTCUSDT", "15m", 5_856, True),
    "binance_usdm_BTCUSDT_5m_2025-01_2025-06": ("BTCUSDT", "5m", 52_128, True),
    "binance_usdm_BTCUSDT_15m_2025-01_2025-06": ("BTCUSDT", "15m", 17_376, True),
    "binance_usdm_SOLUSDT_5m_2025-01_2025-03": ("SOLUSDT", "5m", 25_920, True),
    "binance_usdm_NEARUSDT_1m_2025-02": ("NEARUSDT", "1m", 40_320, True),
    "binance_usdm_NEARUSDT_5m_2025-02": ("NEARUSDT", "5m", 8_064, True),
    "binance_spot_BTCUSDT_1m_2025-01_ohlcv": ("BTCUSDT", "1m", 44_640, False),
}
WITHOUT_TRADES = {
    "binance_usdm_BTCUSDT_5m_2025-01_2025-06": "2025-01-29T01:25:00Z",
    "binance_usdm_SOLUSDT_5m_2025-01_2025-03": "2025-01-29T01:25:00Z",
}


@pytest.mark.parametrize("name", KLINES)
def test_a_recorded_file_loads_without_repair(market_data: Path, name: str) -> None:
    bars, report = load_bars(market_data / "klines" / f"{name}.parquet")
    assert (report.symbol, report.timeframe, len(bars), report.has_taker) == KLINES[name]
    assert (report.rows, report.bars, report.digest) == (len(bars), len(bars), bars.digest)
    found = [(f.kind, f.outcome, f.count, f.time) for f in report.findings]
    empty = WITHOUT_TRADES.get(name)
    assert found == ([("zero_volume", "note", 2, empty)] if empty else [])


@pytest.mark.parametrize(
    ("short", "long"),
    [
        ("binance_usdm_NEARUSDT_1m_2025-02", "binance_usdm_NEARUSDT_5m_2025-02"),
        ("binance_spot_BTCUSDT_1m_2026-03_2026-04", "binance_spot_BTCUSDT_5m_2026-03_2026-04"),
        ("binance_spot_BTCUSDT_1m_2026-03_2026-04", "binance_spot_BTCUSDT_15m_2026-03_2026-04"),
        ("binance_usdm_BTCUSDT_5m_2025-01_2025-06", "binance_usdm_BTCUSDT_15m_2025-01_2025-06"),
    ],
)
def test_resampled_bars_equal_the_published_ones_in_every_column(market_data: Path, short: str, long: str) -> None:
    published = read_bars(market_data / "klines" / f"{long}.parquet")
    made = resample(read_bars(market_data / "klines" / f"{short}.parquet"), published.step_ms)
    for column in ("open_time", "open", "high", "low", "close", "volume", "taker_buy_volume"):
        assert np.array_equal(getattr(made, column), getattr(published, column)), column
    assert made.digest == published.digest


def test_loading_bars_imports_neither_pandas_nor_scipy_nor_numba(market_data: Path) -> None:
    # Each takes longer to import than the file to read; a fresh process tells what is really imported.
    script = (
        "import pathlib, sys\n"
        "from maestro_engine.data.loading import load_bars\n"
        "load_bars(pathlib.Path(sys.argv[1]))\n"
        "print({'pandas', 'scipy', 'numba', 'pyarrow.compute'} & set(sys.modules))\n"
    )
    path = market_data / "klines" / "binance_usdm_BTCUSDT_15m_2025-01_2025-06.parquet"
    paths = {"PYTHONPATH": ":".join(sys.path)}
    ran = subprocess.run([sys.executable, "-c", script, path], env=paths, capture_output=True, text=True, check=True)
    assert ran.stdout == "set()\n"
