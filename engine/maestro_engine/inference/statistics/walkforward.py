"""walkforward owns walk-forward efficiency: how much of a fitted result was kept on the data after it.

Source: Pardo, "The evaluation and optimization of trading strategies", 2nd ed., 2008, ch. 11: annualised
out-of-sample profit over annualised in-sample profit; 0.5 and more is held to be robust.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from maestro_protocol.errors import UsageError


@dataclass(frozen=True, slots=True)
class Fold:
    """PnL (any one unit) of one step: fitted on ``train_periods``, then held for ``test_periods``."""

    train_pnl: float
    train_periods: int
    test_pnl: float
    test_periods: int


@dataclass(frozen=True, slots=True)
class Efficiency:
    """``value`` pools all folds; ``folds`` has each one's own. None where the fit earned nothing."""

    value: float | None
    folds: tuple[float | None, ...]
    profitable: float | None
    """Share of folds with a profit out of sample; None without folds."""
    reason: str = ""


def efficiency(folds: Sequence[Fold]) -> Efficiency:
    """Walk-forward efficiency of ``folds``.

    The year cancels, so rates are per period. A ratio over a training loss would turn two losses into a
    success; it is undefined instead. Raises UsageError for a fold without periods.
    """
    if any(f.train_periods <= 0 or f.test_periods <= 0 for f in folds):
        raise UsageError("walk-forward: every fold needs at least one period on each side")
    if not folds:
        return Efficiency(None, (), None, "no folds")
    pooled = Fold(
        sum(f.train_pnl for f in folds),
        sum(f.train_periods for f in folds),
        sum(f.test_pnl for f in folds),
        sum(f.test_periods for f in folds),
    )
    value = _ratio(pooled)
    reason = "" if value is not None else "the training periods earned nothing together, so nothing could be kept"
    profitable = sum(f.test_pnl > 0 for f in folds) / len(folds)
    return Efficiency(value, tuple(_ratio(f) for f in folds), profitable, reason)


def _ratio(fold: Fold) -> float | None:
    fitted = fold.train_pnl / fold.train_periods
    return None if fitted <= 0.0 else fold.test_pnl / fold.test_periods / fitted
