"""queue owns how many stand before us at a price level when the level shrinks without trading.

Trades at our price always come from the front. What a cancel takes is not published: each model answers that.
Source: hftbacktest, "Queue Models" (hftbacktest.readthedocs.io), after Rigtorp, "Estimating order queue position".
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from maestro_engine.trading.venue.money import ZERO


class QueueModel(Protocol):
    def front(self, front: Decimal, before: Decimal, after: Decimal, traded: Decimal) -> Decimal:
        """The quantity ahead of us once our level went from *before* to *after*.

        *front* is what was ahead, *traded* what has traded at the level since *before* was seen and is
        already taken off *front*. Negative: that much of what came reached us.
        """
        ...


@dataclass(frozen=True, slots=True)
class RiskAverseQueue:
    """Whoever leaves stood behind us: only a level smaller than our front moves us."""

    def front(self, front: Decimal, before: Decimal, after: Decimal, traded: Decimal) -> Decimal:
        return min(front, after)


def _likely_front(prob: float, front: Decimal, before: Decimal, after: Decimal, left: Decimal) -> Decimal:
    """``est = front - (1 - prob) * chg + min(back - prob * chg, 0)``, at most *after*."""
    share, back = Decimal(prob), before - front
    estimate = front - (1 - share) * left + min(back - share * left, ZERO)
    return min(estimate, after)


def _from_behind(behind: float, ahead: float) -> float:
    """The probability that a cancel comes from behind us; all of it where nobody stands ahead."""
    return behind / (behind + ahead) if behind + ahead > 0 else 1.0


@dataclass(frozen=True, slots=True)
class PowerQueue:
    """A cancel comes from behind with probability f(back) / (f(back) + f(front)), f(x) = x ** n."""

    n: float = 3.0

    def front(self, front: Decimal, before: Decimal, after: Decimal, traded: Decimal) -> Decimal:
        left = before - after - traded
        if left <= 0:
            return min(front, after)
        behind, ahead = max(float(before - front), 0.0), max(float(front), 0.0)
        return _likely_front(_from_behind(behind**self.n, ahead**self.n), front, before, after, left)


@dataclass(frozen=True, slots=True)
class LogQueue:
    """A cancel comes from behind with probability f(back) / (f(back) + f(front)), f(x) = log(1 + x)."""

    def front(self, front: Decimal, before: Decimal, after: Decimal, traded: Decimal) -> Decimal:
        left = before - after - traded
        if left <= 0:
            return min(front, after)
        behind, ahead = max(float(before - front), 0.0), max(float(front), 0.0)
        return _likely_front(_from_behind(math.log1p(behind), math.log1p(ahead)), front, before, after, left)
