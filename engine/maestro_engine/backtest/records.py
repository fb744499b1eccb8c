"""records owns the shape of results: one row per trade, per episode, per phase and per test.

Prices and amounts named without a suffix are float64 in quote currency, as the kernel had them. Amounts ending in
``_micros`` are whole millionths (1e-6 USD): each trade is rounded once, everything above is their exact sum.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from maestro_engine.backtest.spec import TestSpec
from maestro_engine.data.bars import Ints

Records = npt.NDArray[np.void]


class RecordRow(Protocol):
    """One record inside a kernel: numbers by the name of their field."""

    def __getitem__(self, field: str, /) -> Any: ...

    def __setitem__(self, field: str, value: object, /) -> None: ...


class Phase(IntEnum):
    """Which part of a window a trade or an episode belongs to."""

    TRAIN = 0
    GAP = 1
    VALIDATION = 2


class Regime(IntEnum):
    """Volatility of an episode by the mean z-score of its ATR: below -0.5, between, above 0.5."""

    UNKNOWN = -1
    LOW = 0
    MID = 1
    HIGH = 2


TRADE = np.dtype(
    [
        ("entry_bar", np.int64),  # index into the bars of the batch; the signal is one bar before
        ("exit_bar", np.int64),
        ("bars_held", np.int32),  # exit_bar - entry_bar
        ("episode", np.int32),  # by exit bar, counted from 0 in the window
        ("methods", np.int32),  # bit i: the i-th method of the test voted for the side; 0 when forced
        ("side", np.int8),  # +1 long, -1 short
        ("reason", np.int8),  # exits.rules.ExitReason
        ("phase", np.int8),  # Phase
        ("blunder", np.bool_),
        ("qty", np.float64),
        ("entry", np.float64),
        ("exit", np.float64),
        ("pnl", np.float64),  # net of fees and funding
        ("fees", np.float64),  # >= 0
        ("funding", np.float64),  # paid > 0, received < 0
        ("mae", np.float64),  # worst excursion from the entry, <= 0
        ("mfe", np.float64),  # best excursion from the entry, >= 0
        ("risk", np.float64),  # planned: distance of the stop times quantity, and both sides' fees
        ("cvd", np.float64),  # gate values at the signal, NaN where unknown
        ("imb", np.float64),
        ("atrz", np.float64),
        ("vhf", np.float64),
        ("pnl_micros", np.int64),
        ("fees_micros", np.int64),
        ("funding_micros", np.int64),
    ],
    align=True,
)

_COUNTS = [
    ("bars", np.int64),
    ("n_trades", np.int64),
    ("wins", np.int64),  # trades with pnl_micros > 0
    ("losses", np.int64),  # trades with pnl_micros < 0
    ("blunders", np.int64),
    ("held_bars", np.int64),  # bars at whose close a position was open
    ("win_micros", np.int64),  # sum over wins
    ("loss_micros", np.int64),  # sum over losses, <= 0
    ("pnl_micros", np.int64),
    ("fees_micros", np.int64),
    ("funding_micros", np.int64),
    ("mtm_micros", np.int64),  # change of equity, open trades at the close
    ("maxdd_micros", np.int64),  # <= 0, at bar closes, the peak starts with the row
]

EPISODE = np.dtype(
    [
        ("episode", np.int64),
        ("first", np.int64),  # its first bar, index into the bars of the batch
        ("phase", np.int64),  # Phase of its first bar
        ("regime", np.int64),  # Regime
        ("atrz", np.float64),  # mean z-score of the ATR, NaN where unknown
        *_COUNTS,
    ],
    align=True,
)

SUMMARY = np.dtype(
    [
        *_COUNTS,
        ("episodes", np.int64),
        ("high_vol", np.int64),  # episodes of Regime.HIGH
        ("known_vol", np.int64),  # episodes whose regime is known
    ],
    align=True,
)
"""A test or one of its phases, which has the trades of the phase, and bars, equity and drawdown of its episodes."""


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
