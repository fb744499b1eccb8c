"""conftest owns the way to the benchmark's modules, which are scripts beside the packages and not one of them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(autouse=True)
def benchmarks(monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the benchmark, from which its modules can be imported while a test runs."""
    for folder in (BENCHMARKS / "workers", BENCHMARKS):
        monkeypatch.syspath_prepend(str(folder))
    assert str(BENCHMARKS) in sys.path
    return BENCHMARKS
