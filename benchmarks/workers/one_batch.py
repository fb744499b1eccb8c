"""one_batch owns batches of the product's kernel in a process that has run nothing else."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[1]))  # the case says which tests

from wire import serve, timed

from cases.backtest_kernel import COSTS, SETTINGS, load, long_test, specs
from maestro import process
from maestro_engine.backtest import simulate_batch
from maestro_engine.data.bars import Bars


class OneBatch:
    def __init__(self) -> None:
        self._bars: list[Bars] = []

    def load(self, path: str) -> dict[str, Any]:
        self._bars.append(load(Path(path)))
        simulate_batch(self._bars[0], specs(SETTINGS, 4_320, SETTINGS), COSTS)  # kernels are loaded
        return {}

    def run(self, count: int, keep: bool) -> dict[str, Any]:
        tests = specs(count, len(self._bars[0]), SETTINGS)
        return timed(lambda: simulate_batch(self._bars[0], tests, COSTS, keep_trades=keep))[0]

    def long(self, count: int, everything: bool) -> dict[str, Any]:
        tests = [long_test(count, everything)]
        return timed(lambda: simulate_batch(self._bars[0], tests, COSTS, jobs=2))[0]


if __name__ == "__main__":
    process.spare()
    batch = OneBatch()
    serve({"load": batch.load, "run": batch.run, "long": batch.long})
