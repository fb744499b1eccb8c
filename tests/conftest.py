"""conftest owns what every room shares: how property tests draw, and where the recorded market data lies."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Before anything imports numpy, and for every process that a test starts: the products of matrices here are so small
# that a second thread mostly spins, and the tests have a process for each core already.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# Loaded before any test module is imported, since `settings(...)` takes what it does not name from the profile of
# that moment. In both, no example fails for being slow: that would measure who else uses the machine.
_LOAD = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("same", derandomize=True, database=None, **_LOAD)
settings.register_profile("explore", derandomize=False, print_blob=True, **_LOAD)
settings.load_profile("same")  # --hypothesis-profile explore replaces it


def pytest_configure() -> None:
    """Tests in the background ignore Ctrl-C, and so does all that they start; but they press it themselves."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """What was imported stays: looking through it for cycles again and again is a tenth of the tests' time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


@pytest.fixture(scope="session")
def market_data() -> Path:
    """Folder of the recorded market data (``klines/``, ``ticks/``, ``samples/``), or a skip saying why."""
    named = os.environ.get("MAESTRO_MARKET_DATA")
    folder = Path(named) if named else Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        where = "MAESTRO_MARKET_DATA" if named else "a shared/data folder beside the repository"
        pytest.skip(f"no recorded market data: {where} is not there (set MAESTRO_MARKET_DATA to its path)")
    return folder


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Path], Path]]:
    """Puts a folder of distributions (modules beside their ``.dist-info``) on the path for the length of a test.

    Registries that looked before are told to look again by the test itself (``reload``).
    """
    before = set(sys.modules)
    folders: list[Path] = []

    def install(folder: Path) -> Path:
        monkeypatch.syspath_prepend(str(folder))
        folders.append(folder)
        return folder

    yield install
    for name in set(sys.modules) - before:
        file = getattr(sys.modules[name], "__file__", None) or ""
        if any(Path(file).is_relative_to(folder) for folder in folders):
            del sys.modules[name]
