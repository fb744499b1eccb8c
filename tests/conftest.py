"""conftest owns the one fixture every room shares: where the recorded market data lies."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def market_data() -> Path:
    """Folder of the recorded market data (``klines/``, ``ticks/``, ``samples/``), or a skip saying why."""
    named = os.environ.get("MAESTRO_MARKET_DATA")
    folder = Path(named) if named else Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        where = "MAESTRO_MARKET_DATA" if named else "a shared/data folder beside the repository"
        pytest.skip(f"no recorded market data: {where} is not there (set MAESTRO_MARKET_DATA to its path)")
    return folder
