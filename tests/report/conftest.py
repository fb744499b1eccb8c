"""conftest owns how tests of the report find their helpers, and the folder of a made-up campaign."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def made_up(tmp_path: Path) -> Callable[..., Path]:
    """Writes a made-up campaign and gives its folder: ``made_up(tests=10, word=None)``."""
    from made_up_campaign import MadeUp

    def write(name: str = "btcusdt-5m-s7-0a1b2c", **what: object) -> Path:
        return MadeUp(**what).write(tmp_path / name)  # type: ignore[arg-type]

    return write
