"""result owns what a batch gives back: rows as the kernel wrote them, seen test by test without copying."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from maestro_engine.backtest.records import SUMMARY, Phase, Records
from maestro_engine.backtest.spec import TestSpec
from maestro_engine.market.bars import Ints


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """What one run of the kernel wrote, its tests in order of *index*."""

    index: Ints
    """Place of each test in the batch, ``(t,)``."""
    trades: Records
    ends: Ints
    """Trades of the j-th test are ``trades[ends[j]:ends[j + 1]]``; shape ``(t + 1,)``."""
    episodes: Records
    """Shape ``(t, e)``."""
    phases: Records
    """Shape ``(t, 3)``."""
    totals: Records


class BatchResult:
    """Results in the order of the tests given, whatever the threads did."""

    def __init__(
        self, tests: Sequence[TestSpec], chunks: Sequence[Chunk], episode_bars: int, step_ms: int, kept: bool
    ) -> None:
        self.tests = tuple(tests)
        self.episode_bars = episode_bars
        self.step_ms = step_ms
        self.totals: Records = np.zeros(len(tests), SUMMARY)
        """One row of SUMMARY per test."""
        self.phases: Records = np.zeros((len(tests), len(Phase)), SUMMARY)
        """Train, gap, validation of every test, shape ``(tests, 3)``."""
        self._chunks = tuple(chunks)
        self._kept = kept
        self._where = np.zeros((len(tests), 2), np.int64)
        for c, chunk in enumerate(self._chunks):
            self.totals[chunk.index] = chunk.totals
            self.phases[chunk.index] = chunk.phases
            self._where[chunk.index, 0] = c
            self._where[chunk.index, 1] = np.arange(len(chunk.index))
        self.totals.flags.writeable = self.phases.flags.writeable = False

    def __len__(self) -> int:
        return len(self.tests)

    def trades(self, i: int) -> Records:
        """Trades of the *i*-th test in order of time, a view of TRADE rows.

        Raises :class:`LookupError` when the batch was asked not to keep them.
        """
        if not self._kept:
            raise LookupError("this batch was run without keep_trades; run it again with it to see trades")
        chunk, j = self._at(i)
        return chunk.trades[chunk.ends[j] : chunk.ends[j + 1]]

    def episodes(self, i: int) -> Records:
        """Episodes of the *i*-th test in order of time, a view of EPISODE rows."""
        chunk, j = self._at(i)
        return chunk.episodes[j]

    def _at(self, i: int) -> tuple[Chunk, int]:
        return self._chunks[int(self._where[i, 0])], int(self._where[i, 1])
