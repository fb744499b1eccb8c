"""conftest owns the bars and shortcuts that backtest tests share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from maestro_engine.backtest import BarWindow
from maestro_engine.data.bars import Bars

Generated = Callable[..., Bars]


def _bars(o: np.ndarray, h: np.ndarray, low: np.ndarray, c: np.ndarray, **more: object) -> Bars:
    n = len(c)
    times = 1_735_689_600_000 + 300_000 * np.arange(n, dtype=np.int64)
    volume = more.pop("volume", np.full(n, 10.0))
    return Bars("TESTUSDT", 300_000, times, o, h, low, c, volume, **more)


@pytest.fixture(scope="session")
def generated() -> Generated:
    """Seeded bars with gaps, clustered volatility, taker volume, and funding every 96 bars when asked."""

    def make(n: int, seed: int, *, taker: bool = True, funding: bool = False) -> Bars:
        rng = np.random.default_rng(seed)
        spread = 0.001 * np.exp(0.5 * np.sin(np.arange(n) / 150.0) + 0.4 * rng.standard_normal(n))
        close = 60_000.0 * np.exp(np.cumsum(spread * rng.standard_normal(n)))
        opened = np.r_[60_000.0, close[:-1]] * (1.0 + 0.0004 * rng.standard_normal(n))
        high = np.maximum(opened, close) * (1.0 + spread * rng.random(n))
        low = np.minimum(opened, close) * (1.0 - spread * rng.random(n))
        volume = np.exp(rng.standard_normal(n)) * 40.0
        columns = [np.round(column, 2) for column in (opened, high, low, close)]
        rate = np.where(np.arange(n) % 96 == 0, 1e-4 * rng.standard_normal(n), 0.0)
        return _bars(
            *columns,
            volume=volume,
            taker_buy_volume=volume * rng.random(n) if taker else None,
            funding_rate=rate if funding else None,
        )

    return make


@pytest.fixture(scope="session")
def drawn() -> Callable[..., Bars]:
    """Bars from rows (open, high, low, close) drawn by hand."""

    def make(rows: Sequence[tuple[float, float, float, float]], **more: object) -> Bars:
        return _bars(*(np.array(column, np.float64) for column in zip(*rows, strict=True)), **more)

    return make


@pytest.fixture(scope="session")
def whole() -> Callable[[int, int], BarWindow]:
    """A window over all *n* bars, all of it train, with signals from bar *first*."""
    return lambda n, first=0: BarWindow(0, first, n, n, n)


@pytest.fixture(scope="session")
def btcusdt(market_data: Path) -> Bars:
    """Half a year of BTCUSDT 5-minute bars as recorded."""
    parquet = pytest.importorskip("pyarrow.parquet")
    name = "binance_usdm_BTCUSDT_5m_2025-01_2025-06.parquet"
    table = parquet.read_table(market_data / "klines" / name)
    prices = [table[column].to_numpy() for column in ("open", "high", "low", "close")]
    return _bars(*prices, volume=table["volume"].to_numpy(), taker_buy_volume=table["taker_buy_volume"].to_numpy())
