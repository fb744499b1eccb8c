"""spec owns what a backtest is asked: costs, size, window, and the test itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite

import numpy as np
import numpy.typing as npt

from maestro_engine.data.bars import Ints
from maestro_protocol.errors import ConfigError, ParameterError
from maestro_protocol.space import Value


@dataclass(frozen=True, slots=True)
class FillCosts:
    """What a fill costs, in basis points of its notional. Taker: entry, stop, timeout, end. Maker: target.

    Slippage is on top of every taker fill, against you, and never carries the price out of its bar.
    """

    taker_bps: float = 5.0
    maker_bps: float = 2.0
    slippage_bps: float = 1.0

    def __post_init__(self) -> None:
        for name in ("taker_bps", "maker_bps", "slippage_bps"):
            value: float = getattr(self, name)
            if not 0.0 <= value < 1_000.0:
                raise ConfigError(f"costs: {name} {value} is outside 0 .. 1000 basis points")


@dataclass(frozen=True, slots=True)
class TradeSize:
    """Size of every trade: a fixed quantity in base currency, or a notional in USD over the entry price."""

    qty: float | None = None
    notional_usd: float | None = 100_000.0

    def __post_init__(self) -> None:
        given = [value for value in (self.qty, self.notional_usd) if value is not None]
        if len(given) != 1 or not (isfinite(given[0]) and given[0] > 0.0):
            raise ConfigError("sizing: give either qty or notional_usd, above 0, and None for the other")

    @classmethod
    def fixed(cls, qty: float) -> TradeSize:
        """*qty* of base currency in every trade."""
        return cls(qty=qty, notional_usd=None)


@dataclass(frozen=True, slots=True)
class BarWindow:
    """A stretch of bars, as indices into them; every end is exclusive.

    Indicators see ``[start, end)``. No signal before the close of ``first``. Train is ``[first, train_end)``,
    validation ``[val_start, end)``, the bars between them are a gap that belongs to neither.
    """

    start: int
    first: int
    train_end: int
    val_start: int
    end: int

    def __post_init__(self) -> None:
        if not 0 <= self.start <= self.first < self.train_end <= self.val_start <= self.end:
            raise ConfigError(
                f"window {self.start}, {self.first}, {self.train_end}, {self.val_start}, {self.end}: "
                "must have 0 <= start <= first < train_end <= val_start <= end"
            )


@dataclass(frozen=True, slots=True, eq=False)
class FixedEntries:
    """Signals given instead of found: bar indices, strictly ascending, and sides +1 or -1; both ``(k,)``."""

    bars: Ints
    sides: npt.NDArray[np.int8] | Ints
    votes: Ints | None = None
    """Bit *i* is set where the test's *i*-th method voted for the signal; None: nobody did."""

    def __post_init__(self) -> None:
        if self.bars.ndim != 1 or self.bars.shape != self.sides.shape:
            raise ParameterError("forced signals: bars and sides must be one-dimensional and of equal length")
        if np.any(np.diff(self.bars) <= 0):
            raise ParameterError("forced signals: bars must be strictly ascending")
        if not np.all(np.abs(self.sides) == 1):
            raise ParameterError("forced signals: sides must be +1 or -1")
        if self.votes is not None and self.votes.shape != self.bars.shape:
            raise ParameterError("forced signals: give the votes of every bar, or none")


@dataclass(frozen=True, slots=True, eq=False)
class TestSpec:
    """One backtest. *params* may leave out what stays at its default."""

    __test__ = False  # not a test case, whatever a collector of tests makes of the name

    test_id: int | str
    window: BarWindow
    methods: tuple[str, ...]
    params: Mapping[str, Value]
    fixed_entries: FixedEntries | None = None
    scaled: Mapping[str, float] = field(default_factory=dict[str, float])
    """What values of *params* are multiplied by once they are inside their bounds: amounts for another size."""
