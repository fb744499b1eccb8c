"""bench owns what every case is given: where things are, how often to repeat, and the peers, made when asked for."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

from measuring.market import kept
from measuring.peers import Peers, prepare
from measuring.results import Row
from measuring.workers import Worker


@dataclass(frozen=True)
class Bench:
    """One run of the benchmark."""

    root: Path
    """The repository."""
    scratch: Path
    """A folder that is gone afterwards."""
    quick: bool
    tell: Callable[[str], None]

    def rounds(self, full: int) -> int:
        """Repetitions: *full*, or three where only a first look is wanted."""
        return min(full, 3) if self.quick else full

    @cached_property
    def peers(self) -> Peers:
        return prepare(self.root / ".bench-venv", self.tell)

    def bars(self, name: str) -> Path:
        """The file of a seeded set of bars."""
        return kept(self.root / "benchmarks" / "data", name)

    def our_worker(self, script: str) -> Worker:
        return Worker(script, Path(sys.executable), self.scratch / f"{script}.log")

    def peer_worker(self, script: str) -> Worker:
        return Worker(f"peers/{script}", self.peers.python, self.scratch / f"{script}.log")

    @cached_property
    def real_bars(self) -> Path | None:
        """The largest file of recorded 5-minute bars, where this machine has one."""
        named = os.environ.get("MAESTRO_MARKET_DATA")
        folder = Path(named) if named else self.root.parent / "shared" / "data"
        return max(folder.glob("klines/*BTCUSDT_5m*.parquet"), key=lambda path: path.stat().st_size, default=None)


class Case(Protocol):
    """A module of ``cases``: its name, what it shows, and its rows."""

    __name__: str
    TITLE: str

    def measure(self, bench: Bench, /) -> Iterator[Row]:
        """Measure, row by row. A promise that is broken (trades differ) is an AssertionError."""
        ...
